//! Programs of others from npm, run by node: who verifies webhooks, and who takes mail. `.ci/setup test` installs them.

use std::path::Path;
use std::process::Stdio;

use checkrein_tests::{WAIT_MAX, installed};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::receiver::Received;

/// One that runs; it ends with its standard input.
pub(super) struct Peer {
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Peer {
    fn start(script: &str, arguments: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut process = Command::new(installed("bin/node").unwrap())
            .arg(root.join("tests/peers/receivers").join(script))
            .arg(installed("peers/receivers").unwrap())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (ask, said) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self {
            ask,
            answers: BufReader::new(said).lines(),
            _process: process,
        }
    }

    /// The specification's own package, which knows this secret.
    pub(super) fn verifier(secret: &str) -> Self {
        Self::start("verify.mjs", &[secret])
    }

    /// An SMTP server, and its port.
    pub(super) async fn mailbox(arguments: &[&str]) -> (Self, u16) {
        let mut mailbox = Self::start("mailbox.mjs", arguments);
        let port = mailbox.line().await.parse().unwrap();
        (mailbox, port)
    }

    /// What it says of a request.
    pub(super) async fn judge(&mut self, received: &Received) -> String {
        let request = json!({"headers": received.headers, "body": received.body});
        self.ask
            .write_all(format!("{request}\n").as_bytes())
            .await
            .unwrap();
        self.line().await
    }

    /// The next message that it took.
    pub(super) async fn mail(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    async fn line(&mut self) -> String {
        let line = timeout(WAIT_MAX, self.answers.next_line()).await.unwrap();
        line.unwrap().unwrap()
    }
}
