//! A real OIDC provider: `oidc-provider` from npm, run by node. `.ci/setup test` installs both.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::{WAIT_MAX, installed};

/// The running provider; it ends with its standard input.
#[derive(Debug)]
pub struct Provider {
    /// Who it says it is.
    pub url: String,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Provider {
    /// On a port of its own, with people of its own.
    pub async fn start() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut process = Command::new(installed("bin/node")?)
            .arg(root.join("tests/peers/oidc-provider/issuer.mjs"))
            .arg(installed("peers/oidc-provider")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let ask = process.stdin.take().context("no input")?;
        let said = process.stdout.take().context("no output")?;
        let mut answers = BufReader::new(said).lines();
        let url = timeout(WAIT_MAX, answers.next_line()).await??;
        Ok(Self {
            url: url.context("it ended at once")?,
            ask,
            answers,
            _process: process,
        })
    }

    /// A token that the provider gave over HTTP.
    pub async fn token(&mut self, person: &str, resource: &str) -> Result<String> {
        self.ask(&format!("token {person} {resource}")).await
    }

    /// Gives it another signing key.
    pub async fn rotate(&mut self) -> Result<()> {
        let said = self.ask("rotate").await?;
        ensure!(said == "rotated", "{said}");
        Ok(())
    }

    /// Makes the provider know a client that people come back to there.
    pub async fn know(&mut self, console: &str, secret: &str) -> Result<()> {
        let line = format!("console {console}/sign-in/oidc/callback {secret}");
        let said = self.ask(&line).await?;
        ensure!(said == "known", "{said}");
        Ok(())
    }

    async fn ask(&mut self, line: &str) -> Result<String> {
        self.ask.write_all(format!("{line}\n").as_bytes()).await?;
        let answer = timeout(WAIT_MAX, self.answers.next_line()).await??;
        answer.context("it has ended")
    }
}
