//! Holds: one exact action waiting for people, as a state machine.
//!
//! Postgres is the authority and the only clock of a hold; this file says which steps exist, so that the database, the
//! approver and the waiting enforcer mean the same by each.
//!
//! **Invariant**: a terminal state is terminal, and only an approved hold can be consumed, once.

mod electorate;
mod glass;
mod group;
mod remark;
mod standing;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::action::{ActionIdentity, Sha256};
use crate::decision::OutcomeResult;
use crate::id::{DecisionId, Generation, HoldId, StandingId};
use crate::identity::SpiffeId;
use crate::policy::Reversibility;
use crate::text::shown;

pub use electorate::{BREAKERS, Barred, Elector, Electorate, Yes, escalated};
pub use glass::{Break, Finding, Review};
pub use group::{DAY_MINUTES, Escalation, Exclusion, Group, Person, Quiet, Then, Why};
pub use remark::{REMARKS_MAX, Remark, RemarkKind, asks};
pub use standing::{Bound, Bounds, STANDING_MS_MAX, STANDING_TIMES_MAX, TOGETHER_MAX, Terms, TooWide};

/// How many holds may be open, per task, agent and group; beyond, the action is denied.
pub const OPEN_HOLDS_MAX: OpenHoldsMax = OpenHoldsMax {
    per_task: 5,
    per_agent: 20,
    per_group: 200,
};

/// Bounds on open holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenHoldsMax {
    /// In one task.
    pub per_task: u32,
    /// Of one agent.
    pub per_agent: u32,
    /// Before one group.
    pub per_group: u32,
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// People may vote.
    Open,
    /// Enough people said yes; it may be used once, for a while.
    Approved,
    /// A person said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The task ended or was revoked, or a person said no to the same tool on the same resource in it.
    Cancelled,
    /// Approved, and not used in time.
    Lapsed,
    /// Approved, and taken back before it was used.
    Withdrawn,
    /// Used for one release, whose outcome is awaited.
    Consumed,
    /// Released and done.
    Done,
    /// Released and failed; or used by an enforcer that did not hear of it and released nothing.
    Failed,
    /// Released, and nobody knows. Never retried by itself.
    Unknown,
}

/// What can happen to a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The last vote that was needed.
    Approve,
    /// A person says no: to an open hold, or to an approved one that has not been used.
    Deny,
    /// The deadline of the present state passes.
    Expire,
    /// The task ends, or another hold of the same class in it is denied.
    Cancel,
    /// The enforcer uses the approval.
    Consume,
    /// The released action ended so.
    Settle(OutcomeResult),
}

/// A step that does not exist from this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a hold that is {from} can't {step}")]
pub struct InvalidTransition {
    /// Where it stands.
    pub from: State,
    /// What was tried.
    pub step: Step,
}

/// One rule's demand for people. A hold may carry several; all must be met, and one person may count in several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The rule's id.
    pub rule: String,
    /// The group that may answer.
    pub group: String,
    /// How many of its people must say yes.
    pub quorum: u32,
    /// How long people may take.
    pub decide_within_ms: u64,
    /// How long an approval stays usable.
    pub use_within_ms: u64,
    /// What the rule says of itself.
    pub reason: String,
}

/// A person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Who.
    pub approver: SpiffeId,
    /// Yes or no.
    pub approve: bool,
    /// Why; the agent is told.
    pub reason: String,
    /// When, by the database's clock.
    pub voted_ms: u64,
    /// What else they let happen.
    pub terms: Option<Terms>,
    /// By which standing approval their word counts; none: they looked at this very action.
    pub standing: Option<StandingId>,
    /// As whom they answered; none: by a standing approval, or before groups had rules.
    pub capacity: Option<Elector>,
}

/// A hold, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Where it stands.
    pub state: State,
    /// Exactly what is held.
    pub action: ActionIdentity,
    /// The hash of that.
    pub action_sha256: Sha256,
    /// What it waits for.
    pub requirements: Vec<Requirement>,
    /// What people said so far.
    pub votes: Vec<Vote>,
    /// The enforcer that holds it.
    pub enforcer: SpiffeId,
    /// The caller's own name for the call.
    pub call_id: String,
    /// The decision that opened it.
    pub decision: DecisionId,
    /// The generation that decision was made under.
    pub generation: Generation,
    /// Where the task runs.
    pub environment: String,
    /// What the user wants, in words.
    pub intent: String,
    /// Why it was held.
    pub reason: String,
    /// When it was opened.
    pub opened_ms: u64,
    /// Until when people may answer.
    pub decide_by_ms: u64,
    /// Until when an approval may be used; none until approved.
    pub use_by_ms: Option<u64>,
    /// Counts changes.
    pub version: u64,
    /// What a person said when denying; of a hold cancelled because another of its class was denied, that.
    pub denial_reason: String,
    /// Whether it can be undone; none: nobody said.
    pub reversibility: Option<Reversibility>,
    /// The arguments that say what the tool acts on.
    pub fixed: Vec<String>,
    /// The standing approval that approved it.
    pub standing: Option<StandingId>,
    /// Who wanted the glass broken for it.
    pub breaks: Vec<Break>,
    /// When it was approved by that, over people whose answer was missing.
    pub broken_ms: Option<u64>,
    /// What somebody found who looked at that afterwards.
    pub review: Option<Review>,
    /// What people said of it to each other.
    pub remarks: Vec<Remark>,
}

/// Who may not answer a hold: everyone who asked for the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Askers<'a> {
    /// The agent that acts.
    pub agent: &'a SpiffeId,
    /// Those who passed the grant on to it.
    pub delegated_by: &'a [SpiffeId],
    /// Who started the task.
    pub started_by: &'a SpiffeId,
    /// The human it acts for, as whoever started the task wrote it: a name, an e-mail address.
    pub user: &'a str,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 11] = [
        Self::Open,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::Lapsed,
        Self::Withdrawn,
        Self::Consumed,
        Self::Done,
        Self::Failed,
        Self::Unknown,
    ];

    /// The word for it in rows and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Lapsed => "lapsed",
            Self::Withdrawn => "withdrawn",
            Self::Consumed => "consumed",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nothing can happen any more.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Open | Self::Approved | Self::Consumed)
    }

    /// Where one step leads.
    pub const fn after(self, step: Step) -> Result<Self, InvalidTransition> {
        Ok(match (self, step) {
            (Self::Open, Step::Approve) => Self::Approved,
            (Self::Open, Step::Deny) => Self::Denied,
            (Self::Open, Step::Expire) => Self::Expired,
            (Self::Open | Self::Approved, Step::Cancel) => Self::Cancelled,
            (Self::Approved, Step::Deny) => Self::Withdrawn,
            (Self::Approved, Step::Expire) => Self::Lapsed,
            (Self::Approved, Step::Consume) => Self::Consumed,
            (Self::Consumed, Step::Settle(OutcomeResult::Done)) => Self::Done,
            (Self::Consumed, Step::Settle(OutcomeResult::Failed)) => Self::Failed,
            (Self::Consumed, Step::Settle(OutcomeResult::Unknown) | Step::Expire) => Self::Unknown,
            (from, step) => return Err(InvalidTransition { from, step }),
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = InvalidState;

    fn from_str(word: &str) -> Result<Self, InvalidState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| InvalidState(shown(word)))
    }
}

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a state of a hold")]
pub struct InvalidState(String);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approve => f.write_str("be approved"),
            Self::Deny => f.write_str("be denied"),
            Self::Expire => f.write_str("expire"),
            Self::Cancel => f.write_str("be cancelled"),
            Self::Consume => f.write_str("be released"),
            Self::Settle(result) => write!(f, "be settled as {result}"),
        }
    }
}

impl Requirement {
    /// Whether these people, all of whom said yes and are in the group now, are enough.
    pub fn is_met_by(&self, distinct_people: usize) -> bool {
        distinct_people >= self.quorum as usize
    }
}

impl Askers<'_> {
    /// Whether this identity is one of the askers. People are compared by name, whatever role they come in: the operator
    /// who started a task does not approve it by changing hats. When in doubt they are the same: to turn away somebody who
    /// could have approved costs another approver's time, to let an asker approve costs the whole hold.
    pub fn include(&self, person: &SpiffeId) -> bool {
        person == self.agent
            || self.delegated_by.contains(person)
            || is_same_person(self.started_by.name(), person.name())
            || is_same_person(self.user, person.name())
    }
}

/// Whether what somebody wrote may mean the person of this name: in any case, alone or as the mailbox of an address.
fn is_same_person(written: &str, name: &str) -> bool {
    let (written, name) = (written.trim().to_lowercase(), name.to_lowercase());
    let mailbox = written.split(['@', '+']).next();
    written == name || mailbox == Some(name.as_str())
}

#[cfg(test)]
mod tests;
