//! The register of agents: who answers for each, which teams it is in, when it was seen, and what it is allowed and never used.
//!
//! An agent is listed from whatever knows it: it was added, certified or joined, an enforcer may speak for it, it was given a
//! task, or it was removed. What it is allowed is what the scopes of its newest tasks say, which no policy can widen.
//!
//! **Invariant**: the register permits nothing but what rules say of the teams that it names; an agent that was removed is never added again.

use std::collections::BTreeSet;

use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_shared::policy::TeamName;

use super::{Fleet, FleetError, is_removed, store};
use crate::database::FeedName;

/// An agent, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Who.
    pub id: SpiffeId,
    /// Who answers for it; empty: nobody was named.
    pub owner: String,
    /// By whom it was registered, and when; nothing if only an enforcer, a task or a removal names it.
    pub registered: Option<(SpiffeId, u64)>,
    /// Who last named its owner and its teams, and when.
    pub named: Option<(SpiffeId, u64)>,
    /// Names of the enforcers that may speak for it.
    pub enforcers: Vec<String>,
    /// Its last decision of those kept.
    pub last_seen_ms: Option<u64>,
    /// Tasks it could act in now.
    pub live_tasks: u64,
    /// What the scopes of its newest tasks allow.
    pub tools: Vec<AllowedTool>,
    /// When it was removed.
    pub removed_ms: Option<u64>,
    /// The teams of the register that it is in.
    pub teams: Vec<String>,
}

/// What a scope names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedTool {
    /// `<catalog>/<tool>` or `<catalog>/*`.
    pub tool: String,
    /// Whether a decision that is kept was about it.
    pub is_used: bool,
}

impl Fleet {
    /// Names who answers for an agent, and the teams that it is in from now on.
    pub async fn add_agent(
        &self,
        by: &SpiffeId,
        id: &SpiffeId,
        owner: &str,
        teams: &BTreeSet<TeamName>,
    ) -> Result<Agent, FleetError> {
        if id.role() != Some(Role::Agent) || id.trust_domain() != self.authority.trust_domain {
            return Err(FleetError::NotAnAgent(id.clone()));
        }
        let added = self.database.transact("fleet.add_agent", |tx| async move {
            if is_removed(&tx, id).await? {
                return Ok((tx, None));
            }
            store::own_agent(&tx, id, by, owner, teams).await?;
            let agent = store::find_agent(&tx, id).await?;
            tx.raise(FeedName::Agent).await?;
            Ok((tx, agent))
        });
        added.await?.ok_or_else(|| FleetError::Removed(id.clone()))
    }
}
