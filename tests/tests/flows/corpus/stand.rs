//! An enforcer for one agent, with every surface open.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use checkrein_enforcer::{Config, Enforcer, Surfaces};
use checkrein_shared::SharedClock;
use checkrein_shared::id::Generation;
use checkrein_tests::{Binaries, WAIT_MAX, World};
use tonic::transport::{Channel, Endpoint};

use super::mcp::{Door, Stdio};

/// The enforcer, and where it is asked.
pub(super) struct Stand {
    pub(super) enforcer: Enforcer,
    pub(super) directory: PathBuf,
    pub(super) binaries: Binaries,
    pub(super) gateway: Channel,
    pub(super) stdio: Stdio,
    pub(super) stateless_stdio: Stdio,
    pub(super) door: Door,
    _surfaces: Surfaces,
}

/// Where its control plane is, for an enforcer, and what time it is there.
pub(super) struct Place {
    pub(super) control_plane: SocketAddr,
    pub(super) clock: SharedClock,
}

/// One call, as its agent has it made.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) agent: String,
    /// As the catalog names it.
    pub(super) tool: String,
    /// The text that is sent, byte for byte.
    pub(super) arguments: String,
    pub(super) grant: String,
    /// The same when it is asked for once more.
    pub(super) id: String,
}

impl Stand {
    /// for an agent, once it decides by this policy, or by whatever it has. Before an MCP server of this catalog, which writes down what it gets.
    pub(super) async fn open(
        (world, place): (&World, &Place),
        (directory, agent): (PathBuf, &str),
        generation: Option<u64>,
        (catalog, log): (&Path, &Path),
    ) -> Self {
        let file = format!(
            "{}[[unix]]\npath = \"gate.sock\"\nagent = \"{agent}\"\n[[gateway]]\npath = \"gateway.sock\"\n",
            world.enforcer_toml(agent, &[place.control_plane])
        );
        let config = Config::parse(&file, &directory).unwrap();
        let clock = Arc::clone(&place.clock);
        let enforcer = Enforcer::connect_with(config.clone(), clock).await.unwrap();
        let is_ready = |status: &checkrein_enforcer::Status| {
            status.connected()
                && generation.is_none_or(|generation| status.decides_by(Generation(generation)))
        };
        enforcer.wait_until(is_ready, WAIT_MAX).await.unwrap();
        let surfaces = Surfaces::open(&enforcer, &config).await.unwrap();
        let gateway = format!("unix:{}", directory.join("gateway.sock").display());
        Self {
            gateway: Endpoint::from_shared(gateway).unwrap().connect().await.unwrap(),
            stdio: Stdio::open(&enforcer, &directory, (catalog, log)).greeted().await,
            stateless_stdio: Stdio::open(&enforcer, &directory, (catalog, log)),
            door: Door::open(&enforcer, &config, (catalog, log)).await,
            binaries: Binaries::build().await.unwrap(),
            enforcer,
            directory,
            _surfaces: surfaces,
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("gate.sock")
    }

    /// The grant where programs read it; it counts for whatever is asked next.
    pub(super) fn grants(&self, call: &Call) -> PathBuf {
        let file = grant_file(&self.directory);
        std::fs::write(&file, &call.grant).unwrap();
        file
    }
}

impl Call {
    /// As its server names the tool.
    pub(super) fn name(&self) -> &str {
        self.tool.trim_start_matches("bank/")
    }

    /// The parameters of the call in MCP, with more members.
    pub(super) fn params(&self, more: &str) -> String {
        format!(
            r#"{{"name":"{}","arguments":{}{more}}}"#,
            self.name(),
            self.arguments
        )
    }

    /// The message of the call in MCP.
    pub(super) fn message(&self, id: u64, more: &str) -> String {
        let params = self.params(more);
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#)
    }
}

pub(super) fn grant_file(directory: &Path) -> PathBuf {
    directory.join("agent.grant")
}
