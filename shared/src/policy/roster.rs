//! The teams that agents are in by the register, beside those that packs put them in; and a bundle that knows of them.
//!
//! ```text
//! Roster (from the register) + Bundle --> Seated --judge--> Judgement
//! ```
//!
//! A newcomer is in a team as soon as the register says so: no pack has to name it first.
//!
//! **Invariant**: a roster only adds members to teams. Rules see them as if packs said so, and candidates are never too few. An
//! agent that the roster does not name is one of which the register has not been heard: that is not the same as in no team.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy_core::ast::{Entity, EntityUID};
use cedar_policy_core::entities::{Dereference, Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use thiserror::Error;

use super::bundle::Bundle;
use super::entity;
use super::evaluate::{Judgement, Situation};
use super::index::Moved;
use crate::identity::SpiffeId;

/// An agent is in at most this many teams of the register.
pub const TEAMS_MAX: usize = 32;
/// The name of a team has at most this many bytes.
pub const TEAM_BYTES_MAX: usize = 128;
/// A roster names at most this many agents.
pub const ROSTER_AGENTS_MAX: usize = 256;

/// What rules call a team: the `billing` of `Team::"billing"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TeamName(String);

/// Teams by agent, as the register had them at a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// Rises with every change of the register of agents.
    pub revision: u64,
    /// Every agent of which the register was heard.
    pub agents: BTreeMap<SpiffeId, BTreeSet<TeamName>>,
}

/// A bundle whose teams have members from the register.
#[derive(Debug)]
pub struct Seated {
    bundle: Arc<Bundle>,
    pub(super) entities: Entities,
    moved: Moved,
}

/// Not the name of a team.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{}` is not the name of a team: expected 1 to {TEAM_BYTES_MAX} bytes without control characters, and no space at an end",
    .0.escape_debug()
)]
pub struct InvalidTeam(String);

/// The members of a roster and the entities of a bundle can't both be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the teams of the register don't go with the entities of the policy: {0}")]
pub struct SeatError(String);

impl TeamName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn uid(&self) -> EntityUID {
        entity::of(&entity::TEAM, &self.0)
    }
}

impl FromStr for TeamName {
    type Err = InvalidTeam;

    fn from_str(text: &str) -> Result<Self, InvalidTeam> {
        let fits = (1..=TEAM_BYTES_MAX).contains(&text.len());
        if !fits || text.contains(char::is_control) || text.trim() != text {
            let shown = text.chars().take(TEAM_BYTES_MAX).collect();
            return Err(InvalidTeam(shown));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TeamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Roster {
    /// Whether the register was heard of this agent.
    pub fn knows(&self, agent: &SpiffeId) -> bool {
        self.agents.contains_key(agent)
    }
}

impl Seated {
    /// Puts agents into their teams. None: the roster puts nobody anywhere, and the bundle alone says all there is.
    ///
    /// Looks at every entity of the bundle: not for every call.
    pub fn new(bundle: &Arc<Bundle>, roster: &Roster) -> Result<Option<Self>, SeatError> {
        let members = roster.agents.iter().filter(|(_, teams)| !teams.is_empty());
        let seats: Vec<Arc<Entity>> = members
            .map(|(agent, teams)| Arc::new(seat(&bundle.entities, agent, teams)))
            .collect();
        if seats.is_empty() {
            return Ok(None);
        }
        let seated: HashSet<EntityUID> = seats.iter().map(|entity| entity.uid().clone()).collect();
        let entities = bundle.entities.clone().upsert_entities(
            seats,
            None::<&NoEntitiesSchema>,
            TCComputation::ComputeNow,
            Extensions::all_available(),
        );
        let entities = entities.map_err(|error| SeatError(error.to_string()))?;
        // Whatever is in an agent is now in the agent's teams.
        let is_moved = |entity: &&Entity| {
            seated.contains(entity.uid()) || entity.ancestors().any(|ancestor| seated.contains(ancestor))
        };
        let moved = entities.iter().filter(is_moved);
        let moved = moved
            .map(|entity| {
                let keys = bundle.index.keys_of(entity.uid(), &entities);
                (entity.uid().clone(), keys.into())
            })
            .collect();
        Ok(Some(Self {
            bundle: Arc::clone(bundle),
            entities,
            moved,
        }))
    }

    /// Judges a situation, evaluating only the rules that could apply.
    pub fn judge(&self, situation: &Situation<'_>) -> Judgement {
        self.bundle
            .judge_among(situation, &self.entities, Some(&self.moved))
    }

    /// Judges a situation by every rule there is: what [`Seated::judge`] is held to.
    pub fn judge_unindexed(&self, situation: &Situation<'_>) -> Judgement {
        self.bundle.judge_all_among(situation, &self.entities)
    }
}

/// An agent as packs have it, or as nobody has it yet, with more parents.
fn seat(entities: &Entities, agent: &SpiffeId, teams: &BTreeSet<TeamName>) -> Entity {
    let uid = entity::of(&entity::AGENT, agent.as_str());
    let mut entity = match entities.entity(&uid) {
        Dereference::Data(entity) => entity.clone(),
        _ => Entity::with_uid(uid),
    };
    for team in teams {
        entity.add_parent(team.uid());
    }
    entity
}

#[cfg(test)]
mod tests;
