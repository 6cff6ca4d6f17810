//! A real Envoy, with the configurations of `deploy/envoy`, before a service in plain HTTP and the official MCP server of npm: it asks an
//! enforcer over mutual TLS, for agents whom it knows by their certificates or by tokens. `.ci/setup test` installs it.
//!
//! | file | what it does |
//! |---|---|
//! | `edge` | the enforcer that is asked, under what rules |
//! | `envoy`, `agent`, `bank`, `tap` | Envoy, who comes to it, and what is behind |
//! | `http`, `mcp`, `jwt` | what goes through Envoy |
//! | `ext_mcp`, `authzen` | what is asked at the same port by others |

mod agent;
mod authzen;
mod bank;
mod edge;
mod envoy;
mod ext_mcp;
mod http;
mod jwt;
mod mcp;
#[path = "../authorization/signer.rs"]
mod signer;
mod tap;

use serde_json::json;

use agent::{Agent, Answer};
use bank::Bank;
use edge::Edge;
use envoy::{Envoy, Leads};

/// An agent with a certificate, Envoy, an enforcer, and what is behind.
struct Scene {
    edge: Edge,
    agent: Agent,
    bank: Bank,
    _envoy: Envoy,
}

impl Scene {
    async fn set() -> Self {
        let nobody = 1;
        Self::before(nobody).await
    }

    /// With an MCP server on this port.
    async fn before(mcp: u16) -> Self {
        let edge = Edge::open().await;
        let bank = Bank::open().await;
        let leads = Leads {
            enforcer: edge.port,
            bank: bank.port,
            mcp,
        };
        let envoy = Envoy::start(&edge.world, ("envoy.yaml", &[]), &leads).await;
        let agent = Agent::certified(&edge.world, "billing", &envoy, &edge.grant);
        Self {
            edge,
            agent,
            bank,
            _envoy: envoy,
        }
    }

    async fn pays(&self, recipient: &str, amount: u32) -> Answer {
        let path = format!("/accounts/{recipient}/payments");
        let body = json!({ "amount": amount }).to_string();
        self.agent.sends("POST", &path, &[], &body).await
    }
}
