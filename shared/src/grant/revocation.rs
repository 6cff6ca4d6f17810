//! Revocations: authority that ended before its grants expired, and which grants stop by that.
//!
//! A grant is verified offline, so that what ends it has to be known wherever it is shown: the control plane keeps a log of
//! these, pushes it to every enforcer, and looks at it itself.
//!
//! **Invariant**: a revocation stops a grant wherever that stands in a chain, and with it all that was derived from it.

use super::Grant;
use crate::action::Sha256;
use crate::decision::Cause;
use crate::id::{GrantId, TaskId};
use crate::identity::SpiffeId;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What stops.
    pub what: Revoked,
    /// The last grant that it stops has expired by then: the entry can be forgotten.
    pub expires_ms: u64,
    /// `ended`, `revoked`, `amended` or `removed`.
    pub cause: String,
}

/// What stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revoked {
    /// Every grant of a task.
    Task(TaskId),
    /// The grants that were given before a task was amended.
    Before {
        /// Whose.
        task: TaskId,
        /// The first epoch that holds.
        epoch: u64,
    },
    /// One grant of a task, and all below it.
    Grant {
        /// Whose.
        task: TaskId,
        /// Which.
        grant: GrantId,
    },
    /// What an agent was given, and all that it passed on.
    Agent {
        /// Who.
        agent: SpiffeId,
        /// What was issued later than this holds.
        until_ms: u64,
    },
    /// What the holder of a key was given, and all that it passed on: the key's thumbprint (RFC 7638).
    Key(Sha256),
}

/// Why a grant stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// In a word.
    pub cause: Cause,
    /// For the agent and its human.
    pub reason: String,
}

impl Revoked {
    /// Whether this stops this grant, whatever stands above it.
    pub fn stops(&self, grant: &Grant) -> bool {
        match self {
            Self::Task(task) => grant.task == *task,
            Self::Before { task, epoch } => grant.task == *task && grant.epoch < *epoch,
            Self::Grant { task, grant: id } => grant.task == *task && grant.id == *id,
            Self::Agent { agent, until_ms } => grant.agent == *agent && grant.issued_ms <= *until_ms,
            Self::Key(thumbprint) => grant
                .holder
                .as_ref()
                .is_some_and(|key| key.thumbprint() == *thumbprint),
        }
    }

    /// What an agent is told whose grant this stops.
    pub fn stopped(&self, cause: &str) -> Stopped {
        match self {
            Self::Task(_) => Stopped {
                cause: Cause::TaskEnded,
                reason: format!("the task is over: {cause}"),
            },
            Self::Before { .. } => Stopped::by_amendment(),
            Self::Grant { .. } => Stopped {
                cause: Cause::GrantRevoked,
                reason: format!(
                    "this grant, or one that it was passed on from, was {cause}; do not try again with it, tell the user"
                ),
            },
            Self::Agent { agent, .. } => Stopped {
                cause: Cause::GrantRevoked,
                reason: format!(
                    "the grant went through the hands of `{agent}`, whose grants were {cause}; ask for another grant"
                ),
            },
            Self::Key(_) => Stopped {
                cause: Cause::GrantRevoked,
                reason: format!(
                    "the key of a holder of this grant was {cause}; ask for a grant for another key"
                ),
            },
        }
    }
}

impl Stopped {
    /// A grant that was given before its task was amended.
    pub fn by_amendment() -> Self {
        let reason = "the task was amended after this grant was given; present the call again with the new grant of the \
                      task, which whoever amended it has";
        Self {
            cause: Cause::TaskAmended,
            reason: reason.to_owned(),
        }
    }
}
