//! Whose access tokens are taken, and which agent each of their clients is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use checkrein_http::is_askable;
use checkrein_shared::identity::{Role, SpiffeId};
use serde::Deserialize;

use super::InvalidConfig;

/// An authorization server that vouches for agents (OAuth 2.1), and what it does so for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// Who gives the tokens, exactly as they name themselves; their keys are found by their metadata.
    pub issuer: String,
    /// The URL by which clients know what is protected here; a token must be for it.
    pub resource: String,
    /// The CA of the issuer's certificate, PEM; absent: those of this machine.
    pub ca: Option<PathBuf>,
    /// A scope that every token must have.
    pub scope: Option<String>,
    /// Which agents may come.
    #[serde(default)]
    pub client: Vec<OAuthClient>,
}

/// One client of the issuer's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthClient {
    /// What the issuer calls it: `client_id` in its tokens, or `azp`.
    pub id: String,
    /// Who it is here.
    pub agent: SpiffeId,
}

impl OAuth {
    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        for url in [&self.issuer, &self.resource] {
            if !is_askable(url) {
                return Err(InvalidConfig::OAuthUrl(url.clone()));
            }
        }
        let is_token = |c: char| c.is_ascii_graphic() && !"\"\\".contains(c);
        if let Some(scope) = &self.scope
            && (scope.is_empty() || !scope.chars().all(is_token))
        {
            return Err(InvalidConfig::OAuthScope(scope.clone()));
        }
        let mut seen = BTreeSet::new();
        for client in &self.client {
            if client.agent.role() != Some(Role::Agent) {
                return Err(InvalidConfig::NotAnAgent(client.agent.clone()));
            }
            if !seen.insert(&client.id) {
                return Err(InvalidConfig::OAuthClientTwice(client.id.clone()));
            }
        }
        if self.client.is_empty() {
            return Err(InvalidConfig::OAuthNobody);
        }
        Ok(())
    }
}
