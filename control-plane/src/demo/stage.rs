//! The stage: a private Postgres, a control plane and two enforcers, each a process of its own, over mTLS.
//!
//! **Invariant**: everything lives in one temporary directory and ends with the demo, whichever way that ends.

mod client;
mod part;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::{CommandError, DemoError};
use crate::beside::{forget_settings, installed};
use crate::cli::client::{ClientConfig, Connection};
use crate::postgres::{self, Durability, PrivatePostgres, Progress};
pub(super) use client::{Client, Programs};
use part::{Part, START_MAX};

/// The trust domain of the demo.
pub(super) const TRUST_DOMAIN: &str = "acme.example";
/// The agent that works.
pub(super) const AGENT: &str = "spiffe://acme.example/agent/assistant";
/// The agent that it passes work on to.
pub(super) const CLERK: &str = "spiffe://acme.example/agent/clerk";

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    directory: TempDir,
    database_url: String,
    port: u16,
    control_plane: Part,
    /// Two, each with a connection of its agent's.
    pub(super) enforcers: Vec<Enforcer>,
    /// The operator's connection.
    pub(super) operator: Connection,
    /// The approver's connection.
    pub(super) approver: Connection,
    // Last: it stops after everything that uses it.
    postgres: PrivatePostgres,
}

/// An enforcer's process.
#[derive(Debug)]
pub(super) struct Enforcer {
    pub(super) name: &'static str,
    /// The agent's connection to it.
    pub(super) gate: Channel,
    /// The other agent's.
    pub(super) clerk: Channel,
    process: Part,
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
        say("starting a control plane");
        let (control_plane, port) = start_control_plane(directory.path(), &database_url, 0).await?;
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

    /// Whether its files stand below a directory whose name begins with a dot.
    pub(super) fn is_hidden(&self) -> bool {
        text(self.directory.path()).contains("/.")
    }

    /// Kills the control plane as a power cut would: no goodbye.
    pub(super) async fn kill_control_plane(&mut self) -> Result<(), DemoError> {
        Ok(self.control_plane.kill().await?)
    }

    /// Starts it again, where it was.
    pub(super) async fn restart_control_plane(&mut self) -> Result<(), DemoError> {
        let (directory, port) = (self.directory.path(), self.port);
        (self.control_plane, self.port) = start_control_plane(directory, &self.database_url, port).await?;
        self.operator = connect(&self.directory.path().join("data/operator/client.toml")).await?;
        self.approver = connect(&self.directory.path().join("bob/client.toml")).await?;
        Ok(())
    }

    /// Ends everything, in order.
    pub(super) async fn clear(mut self) -> Result<(), DemoError> {
        for enforcer in &mut self.enforcers {
            enforcer.process.kill().await?;
        }
        self.control_plane.kill().await?;
        self.postgres.stop().await;
        Ok(self.directory.close()?)
    }
}

/// Starts it on a port, or on any that is free if that is 0; returns which.
async fn start_control_plane(
    directory: &Path,
    database_url: &str,
    port: u16,
) -> Result<(Part, u16), DemoError> {
    let data = text(&directory.join("data"));
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
    let arguments = [
        "serve",
        "--data",
        &data,
        "--listen",
        &listen,
        "--console-listen",
        "127.0.0.1:0",
        "--trust-domain",
        TRUST_DOMAIN,
        "--beat",
        "1s",
        "--json",
    ];
    let environment = [("CHECKREIN_DATABASE_URL", database_url)];
    let log = directory.join("control-plane.log");
    let binary = std::env::current_exe()?;
    let part = Part::start("the control plane", &binary, &arguments, &environment, log).await?;
    let address = part.ready["address"].as_str().unwrap_or_default();
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| DemoError::Unexpected {
        expected: "the address of the control plane".to_owned(),
        found: part.ready.to_string(),
    })?;
    Ok((part, port))
}

async fn start_enforcer(
    directory: &Path,
    operator: &Path,
    name: &'static str,
) -> Result<Enforcer, DemoError> {
    let home = directory.join(name);
    let unix = format!("gate.sock={AGENT}");
    let clerk = format!("clerk.sock={CLERK}");
    let out = text(&home);
    checkrein(
        operator,
        &[
            "fleet", "add", name, "--agent", AGENT, "--agent", CLERK, "--unix", &unix, "--unix", &clerk,
            "--out", &out,
        ],
    )
    .await?;
    let beside = installed()?;
    let config = text(&home.join("enforcer.toml"));
    let arguments = ["serve", "--json", "--config", &config];
    let process = Part::start(name, &beside, &arguments, &[], home.join("enforcer.log")).await?;
    Ok(Enforcer {
        name,
        gate: connect_unix(home.join("gate.sock")).await?,
        clerk: connect_unix(home.join("clerk.sock")).await?,
        process,
    })
}

/// Types a command, as an operator would.
async fn checkrein(config: &Path, arguments: &[&str]) -> Result<(), DemoError> {
    let mut command = Command::new(std::env::current_exe()?);
    forget_settings(&mut command);
    command
        .arg("--config")
        .arg(config)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let typed = timeout(START_MAX, command.output())
        .await
        .map_err(|_| DemoError::TimedOut("a command"))??;
    if typed.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&typed.stderr).into_owned();
    Err(DemoError::Command {
        command: arguments.join(" "),
        said,
    })
}

async fn connect(config: &Path) -> Result<Connection, DemoError> {
    let config = ClientConfig::load(config, None).map_err(|error| Box::new(CommandError::from(error)))?;
    Ok(config.connect().await.map_err(Box::new)?)
}

async fn connect_unix(socket: PathBuf) -> Result<Channel, DemoError> {
    let connector = service_fn(move |_: Uri| {
        let path = socket.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The address is never looked at: the connector knows the socket.
    let endpoint = Endpoint::from_static("http://gate");
    let connected = endpoint.connect_with_connector(connector).await;
    Ok(connected.map_err(std::io::Error::other)?)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
