//! The stage: a private Postgres, a control plane and two enforcers, each a process of its own, over mTLS.
//!
//! **Invariant**: everything lives in one temporary directory and ends with the demo, whichever way that ends.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::DemoError;
use crate::cli::client::ClientConfig;
use crate::postgres::{self, Durability, PrivatePostgres, Progress};

/// The trust domain of the demo.
pub(super) const TRUST_DOMAIN: &str = "acme.example";
/// The agent that works.
pub(super) const AGENT: &str = "spiffe://acme.example/agent/assistant";
/// How long any one part may take to come up.
const START_MAX: Duration = Duration::from_secs(30);
/// How often we look.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    directory: TempDir,
    database_url: String,
    port: u16,
    control_plane: Child,
    /// Two, each with a connection of its agent's.
    pub(super) enforcers: Vec<Enforcer>,
    /// The operator's connection.
    pub(super) operator: Channel,
    /// The approver's connection.
    pub(super) approver: Channel,
    // Last: it stops after everything that uses it.
    postgres: PrivatePostgres,
}

/// An enforcer's process.
#[derive(Debug)]
pub(super) struct Enforcer {
    pub(super) name: &'static str,
    /// The agent's connection to it.
    pub(super) gate: Channel,
    _process: Child,
}

impl Stage {
    /// Sets everything up; `say` hears what is being done.
    pub(super) async fn set(say: impl Fn(&str) + Send + Clone + 'static) -> Result<Self, DemoError> {
        let directory = tempfile::Builder::new().prefix("checkrein-").tempdir()?;
        let progress = Progress::to(say.clone());
        let options = postgres::Options {
            progress,
            durability: Durability::Durable,
            ..postgres::Options::throwaway()
        };
        let postgres = PrivatePostgres::start(options).await?;
        let database_url = postgres.database("checkrein").await?;
        let port = free_port()?;
        say("starting a control plane");
        let control_plane = start_control_plane(directory.path(), &database_url, port)?;
        let operator_config = directory.path().join("data/operator/client.toml");
        let operator = connect(&operator_config).await?;
        say("registering an approver and two enforcers");
        let out = directory.path().join("bob");
        checkrein(
            &operator_config,
            &["fleet", "identity", "approver", "bob", "--out", &text(&out)],
        )
        .await?;
        let approver = connect(&out.join("client.toml")).await?;
        let mut enforcers = Vec::new();
        for name in ["desk-1", "desk-2"] {
            enforcers.push(start_enforcer(directory.path(), &operator_config, name).await?);
        }
        Ok(Self {
            directory,
            database_url,
            port,
            control_plane,
            enforcers,
            operator,
            approver,
            postgres,
        })
    }

    /// Kills the control plane as a power cut would: no goodbye.
    pub(super) async fn kill_control_plane(&mut self) -> Result<(), DemoError> {
        Ok(self.control_plane.kill().await?)
    }

    /// Starts it again, where it was.
    pub(super) async fn restart_control_plane(&mut self) -> Result<(), DemoError> {
        self.control_plane = start_control_plane(self.directory.path(), &self.database_url, self.port)?;
        self.operator = connect(&self.directory.path().join("data/operator/client.toml")).await?;
        self.approver = connect(&self.directory.path().join("bob/client.toml")).await?;
        Ok(())
    }

    /// Ends everything, in order.
    pub(super) async fn clear(mut self) -> Result<(), DemoError> {
        drop(self.enforcers);
        self.control_plane.kill().await?;
        self.postgres.stop().await;
        Ok(self.directory.close()?)
    }
}

fn start_control_plane(directory: &Path, database_url: &str, port: u16) -> Result<Child, DemoError> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("control-plane.log"))?;
    let data = text(&directory.join("data"));
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
    let arguments = [
        "serve",
        "--data",
        &data,
        "--listen",
        &listen,
        "--trust-domain",
        TRUST_DOMAIN,
        "--beat",
        "1s",
        "--json",
    ];
    Ok(Command::new(std::env::current_exe()?)
        .args(arguments)
        .env("CHECKREIN_DATABASE_URL", database_url)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?)
}

async fn start_enforcer(
    directory: &Path,
    operator: &Path,
    name: &'static str,
) -> Result<Enforcer, DemoError> {
    let home = directory.join(name);
    let socket = home.join("gate.sock");
    let unix = format!("gate.sock={AGENT}");
    let out = text(&home);
    checkrein(
        operator,
        &[
            "fleet", "add", name, "--agent", AGENT, "--unix", &unix, "--out", &out,
        ],
    )
    .await?;
    let beside = std::env::current_exe()?.with_file_name("checkrein-enforcer");
    if !beside.exists() {
        return Err(DemoError::NoEnforcer(beside));
    }
    let log = File::create(home.join("enforcer.log"))?;
    let process = Command::new(beside)
        .args(["serve", "--config", &text(&home.join("enforcer.toml"))])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    let gate = timeout(START_MAX, connect_unix(socket))
        .await
        .map_err(|_| DemoError::NotUp(name))?;
    Ok(Enforcer {
        name,
        gate,
        _process: process,
    })
}

/// Types a command, as an operator would.
async fn checkrein(config: &Path, arguments: &[&str]) -> Result<(), DemoError> {
    let typed = Command::new(std::env::current_exe()?)
        .arg("--config")
        .arg(config)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let typed = timeout(START_MAX, typed)
        .await
        .map_err(|_| DemoError::NotUp("checkrein"))??;
    if typed.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&typed.stderr).into_owned();
    Err(DemoError::Command {
        command: arguments.join(" "),
        said,
    })
}

async fn connect(config: &Path) -> Result<Channel, DemoError> {
    let connecting = async {
        loop {
            if let Ok(config) = ClientConfig::load(config)
                && let Ok(channel) = config.connect().await
            {
                return channel;
            }
            sleep(LOOK_INTERVAL).await;
        }
    };
    timeout(START_MAX, connecting)
        .await
        .map_err(|_| DemoError::NotUp("the control plane"))
}

async fn connect_unix(socket: PathBuf) -> Channel {
    loop {
        let path = socket.clone();
        let connector = service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The address is never looked at: the connector knows the socket.
        if let Ok(channel) = Endpoint::from_static("http://gate")
            .connect_with_connector(connector)
            .await
        {
            return channel;
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
