//! Checkrein as processes: built, started, killed, or stopped in good order.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use checkrein_proto::decision::v1::gate_service_client::GateServiceClient;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use crate::WAIT_MAX;
use crate::crash::process::Binary;

/// The one of our variables that a child needs: where to find Postgres.
const POSTGRES: &str = "CHECKREIN_PG_BIN";

/// The directory with `checkrein` and `checkrein-enforcer`, up to date.
#[derive(Debug, Clone)]
pub struct Binaries(PathBuf);

/// One that runs. Killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The line by which it said that it is ready.
    pub ready: Value,
    /// Kept, so that it may go on writing.
    _output: BufReader<ChildStdout>,
}

impl Binaries {
    /// Has cargo build them, once in this process, which costs next to nothing where they are up to date: stale ones would
    /// prove nothing.
    pub async fn build() -> Result<Self> {
        static BUILT: OnceCell<Binaries> = OnceCell::const_new();
        let build = async || {
            let Binary(enforcer) = Binary::build().await?;
            let directory = enforcer.parent().context("a binary is in a directory")?;
            Ok(Self(directory.to_owned()))
        };
        BUILT.get_or_try_init(build).await.cloned()
    }

    /// `checkrein`, told nothing by the variables of whoever runs the tests.
    pub fn checkrein(&self) -> Command {
        unprejudiced(&self.0.join("checkrein"))
    }

    /// `checkrein-enforcer`, told as little.
    pub fn checkrein_enforcer(&self) -> Command {
        unprejudiced(&self.0.join("checkrein-enforcer"))
    }

    /// `checkrein-enforcer serve` on the config in this directory, once it says that it listens.
    pub async fn enforcer(&self, directory: &Path) -> Result<Process> {
        let mut command = self.checkrein_enforcer();
        command
            .args(["serve", "--json", "--config"])
            .arg(directory.join("enforcer.toml"));
        let process = Process::start(&mut command).await?;
        ensure!(
            process.ready["ready"] == true,
            "it is not ready: {}",
            process.ready
        );
        Ok(process)
    }
}

impl Process {
    /// Starts one, and returns when it has written its first line, a JSON document.
    pub async fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        timeout(WAIT_MAX, output.read_line(&mut line))
            .await
            .context("not ready in time")??;
        let ready = serde_json::from_str(&line).with_context(|| format!("it is not ready: `{line}`"))?;
        Ok(Self {
            child,
            ready,
            _output: output,
        })
    }

    /// SIGKILL.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("it died before it was killed")
    }

    /// SIGTERM: the last records go home.
    pub async fn stop(mut self) -> Result<()> {
        let id = self.child.id().context("it died by itself")?;
        let sent = Command::new("kill").arg(id.to_string()).status().await?;
        ensure!(sent.success(), "it can't be told to stop");
        let ended = timeout(WAIT_MAX, self.child.wait())
            .await
            .context("it does not stop")??;
        ensure!(ended.success(), "it did not end well: {ended}");
        Ok(())
    }
}

/// A port of this machine that is free at this moment: for a program of somebody else, which says so if another was faster.
pub async fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.port())
}

/// The gate behind a unix socket.
pub async fn gate(socket: &Path) -> Result<GateServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display()))?;
    let channel = endpoint.connect().await.context("connecting to the gate")?;
    Ok(GateServiceClient::new(channel))
}

fn unprejudiced(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CHECKREIN_") && name != POSTGRES)
        {
            command.env_remove(name);
        }
    }
    command.env("CHECKREIN_LOG", "error");
    command
}
