//! The enforcer as a process: built, started, killed, or stopped in good order.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{WAIT_MAX, target};

/// What cargo is to build, chosen so that no dependency is built once more with other features: beside the tests, as
/// `cargo test --workspace` does; beside the benchmarks, as it ships.
const AS_TESTED: &[&str] = &[
    "--workspace",
    "--bin=checkrein",
    "--bin=checkrein-enforcer",
    "--test=crash",
];
const AS_SHIPPED: &[&str] = &[
    "--release",
    "--bins",
    "--package=checkrein-control-plane",
    "--package=checkrein-enforcer",
];

/// How the names of variables begin that cargo sets for the package it runs.
const OF_THIS_PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// Where `checkrein-enforcer` is.
#[derive(Debug)]
pub(crate) struct Binary(pub(crate) PathBuf);

/// One that runs. Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Binary {
    /// Has cargo build it, which costs next to nothing where it is up to date: a stale one would prove nothing.
    pub(crate) async fn build() -> Result<Self> {
        let target = target()?;
        let (profile, selection) = if cfg!(debug_assertions) {
            ("debug", AS_TESTED)
        } else {
            ("release", AS_SHIPPED)
        };
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--locked", "--target-dir"])
            .arg(&target)
            .args(selection);
        // What cargo tells this process of this package; build scripts that read it would run again, and all after them.
        for (name, _) in std::env::vars_os() {
            let told = name
                .to_str()
                .is_some_and(|name| OF_THIS_PACKAGE.iter().any(|prefix| name.starts_with(prefix)));
            if told {
                cargo.env_remove(name);
            }
        }
        let built = cargo.status().await.context("starting cargo")?;
        ensure!(built.success(), "checkrein-enforcer does not build");
        Ok(Self(target.join(profile).join("checkrein-enforcer")))
    }
}

impl Process {
    /// Starts one on its directory, and returns when it says that it listens.
    pub(super) async fn start(binary: &Binary, directory: &Path) -> Result<Self> {
        let mut child = Command::new(&binary.0)
            .args(["serve", "--json", "--config"])
            .arg(directory.join("enforcer.toml"))
            .env("CHECKREIN_LOG", "error")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| binary.0.display().to_string())?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = timeout(WAIT_MAX, lines.next_line())
            .await
            .context("not ready in time")??;
        ensure!(
            line.as_ref().is_some_and(|line| line.contains("\"ready\":true")),
            "it is not ready: {line:?}"
        );
        Ok(Self(child))
    }

    /// SIGKILL.
    pub(super) async fn kill(mut self) -> Result<()> {
        self.0.kill().await.context("it died before it was killed")
    }

    /// SIGTERM: the last records go home.
    pub(super) async fn stop(mut self) -> Result<()> {
        let id = self.0.id().context("it died by itself")?;
        let sent = Command::new("kill").arg(id.to_string()).status().await?;
        ensure!(sent.success(), "it can't be told to stop");
        let ended = timeout(WAIT_MAX, self.0.wait())
            .await
            .context("it does not stop")??;
        ensure!(ended.success(), "it did not end well: {ended}");
        Ok(())
    }
}
