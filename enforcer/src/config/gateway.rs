//! Where gateways ask, who they are, and what their requests are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use checkrein_shared::identity::{Role, SpiffeId};
use serde::Deserialize;

use super::{AuthZen, GatewayRoute, InvalidConfig};

/// Where gateways ask: by their certificates on a port, or by their user id on a socket.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// `ip:port` for mutual TLS; port 0 takes a free one. Either this or `path`.
    pub address: Option<SocketAddr>,
    /// Who may ask there: the SPIFFE IDs of gateways. What they say of an agent is believed.
    #[serde(default)]
    pub callers: Vec<SpiffeId>,
    /// Where the socket is made.
    pub path: Option<PathBuf>,
    /// The user id of the gateway's process; absent: the enforcer's own.
    pub uid: Option<u32>,
    /// Where it stands which agent a request is of: the first of these that names anybody counts. Empty: the principal alone.
    #[serde(default)]
    pub agent_from: Vec<AgentFrom>,
    /// Agents that the gateway knows by other names than here.
    #[serde(default)]
    pub agents: BTreeMap<String, SpiffeId>,
    /// What requests in plain HTTP are.
    #[serde(default)]
    pub route: Vec<GatewayRoute>,
    /// What questions by AuthZEN are.
    #[serde(default)]
    pub authzen: AuthZen,
}

/// Where a gateway says which agent a request is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentFrom {
    /// The certificate that whoever sent it showed the gateway.
    Principal,
    /// The subject of the token that the gateway verified.
    Jwt,
}

impl Gateway {
    /// Every file that it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.path.iter_mut().chain(self.authzen.files())
    }

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        if self.address.is_some() == self.path.is_some() {
            return Err(InvalidConfig::GatewayPlace);
        }
        let is_port = self.address.is_some();
        if self.callers.is_empty() == is_port || (is_port && self.uid.is_some()) {
            return Err(InvalidConfig::GatewayCallers);
        }
        if let Some(agent) = self.callers.iter().find(|id| id.role() == Some(Role::Agent)) {
            return Err(InvalidConfig::GatewayAgent(agent.clone()));
        }
        if let Some(nobody) = self.agents.values().find(|id| id.role() != Some(Role::Agent)) {
            return Err(InvalidConfig::NotAnAgent(nobody.clone()));
        }
        self.authzen.check()?;
        for (at, route) in self.route.iter().enumerate() {
            if self.route[..at]
                .iter()
                .any(|other| other.request.is_as(&route.request))
            {
                return Err(InvalidConfig::GatewayRouteTwice(route.request.clone()));
            }
        }
        Ok(())
    }
}
