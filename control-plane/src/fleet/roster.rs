//! What enforcers are told of the agents they may speak for: the teams that the register has each in.
//!
//! ```text
//! add_agent --> row, the feed of agents raised   one transaction
//! feed      --> every session whose replica reads it sends its enforcer the whole roster
//! ```
//!
//! **Invariant**: a roster names every agent of its enforcer that was not removed, those in no team too: of one that it does not
//! name, nothing is known. It is told under the revision that it was read with, in one statement.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::{Roster, TeamName};
use tokio::sync::watch;

use super::store;
use crate::database::{Database, DatabaseError};

/// The agents that are in a team, at a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Teams {
    /// Of the feed of agents.
    pub revision: u64,
    /// Who is in which.
    pub by_agent: HashMap<SpiffeId, BTreeSet<TeamName>>,
    /// Those who were removed: no roster names them any more.
    pub removed: HashSet<SpiffeId>,
}

/// How each replica knows.
pub type TeamsFeed = watch::Receiver<Arc<Teams>>;

impl Teams {
    /// What an enforcer that may speak for these agents is told.
    pub fn roster(&self, agents: &[String]) -> Roster {
        let ids = agents.iter().filter_map(|agent| agent.parse::<SpiffeId>().ok());
        let ids = ids.filter(|id| !self.removed.contains(id));
        let entry = |id: SpiffeId| {
            let teams = self.by_agent.get(&id).cloned().unwrap_or_default();
            (id, teams)
        };
        Roster {
            revision: self.revision,
            agents: ids.map(entry).collect(),
        }
    }
}

/// Loads who is in which team.
pub async fn load_teams(database: &Database) -> Result<Teams, DatabaseError> {
    let tx = database.begin("fleet.load_teams").await?;
    store::teams(&tx).await
}
