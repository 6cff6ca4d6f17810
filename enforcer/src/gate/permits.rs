//! Permits whose outcome is awaited.
//!
//! **Invariant**: every permit gets exactly one outcome record from this run: what the caller says, or `unknown` when it lets
//! go, when too many are outstanding, or when the enforcer stops.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use checkrein_shared::decision::{Outcome, OutcomeResult, Record};
use checkrein_shared::id::{DecisionId, HoldId, TaskId};
use checkrein_shared::identity::SpiffeId;
use thiserror::Error;
use tracing::{error, warn};

use super::Core;
use crate::journal::JournalError;

/// One task may have so many calls under way; beyond, the outcome of the oldest is unknown.
const OUTSTANDING_PER_TASK_MAX: usize = 1_024;
/// And all tasks together.
const OUTSTANDING_MAX: usize = 65_536;
/// So many settled calls are remembered, to tell a second outcome from a stranger's.
const SETTLED_MAX: usize = 4_096;
/// An outcome's detail may have at most this many bytes.
const DETAIL_BYTES_MAX: usize = 1_024;

/// A permitted call that has not ended.
#[derive(Debug, Clone)]
pub(super) struct Outstanding {
    pub(super) agent: SpiffeId,
    pub(super) task: Option<TaskId>,
    /// The hold whose approval it used.
    pub(super) hold: Option<HoldId>,
    /// Its outcome shall survive power loss.
    pub(super) durable: bool,
}

/// Every call under way. Ids sort by time, so the first is the oldest.
#[derive(Debug, Default)]
pub(super) struct Permits {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outstanding: BTreeMap<DecisionId, Outstanding>,
    by_task: HashMap<TaskId, BTreeSet<DecisionId>>,
    settled: VecDeque<DecisionId>,
}

/// An outcome that can't be taken.
#[derive(Debug, Error)]
pub enum CompleteError {
    /// No such call is under way.
    #[error("`{0}` is no call of this agent that is under way here")]
    Unknown(DecisionId),
    /// It has an outcome already.
    #[error("`{0}` has its outcome already; say it once")]
    Twice(DecisionId),
    /// Too long a detail.
    #[error("a detail of {0} bytes is longer than the {DETAIL_BYTES_MAX} allowed")]
    DetailTooLong(usize),
    /// It could not be written down.
    #[error("the outcome can't be recorded")]
    Journal(#[from] JournalError),
}

impl Core {
    /// Takes the outcome of a call and, if it matters that much, waits until it survives power loss.
    pub(super) async fn complete(
        &self,
        id: DecisionId,
        agent: Option<&SpiffeId>,
        result: OutcomeResult,
        detail: &str,
    ) -> Result<(), CompleteError> {
        if detail.len() > DETAIL_BYTES_MAX {
            return Err(CompleteError::DetailTooLong(detail.len()));
        }
        let (sequence, durable) = self.settle(id, agent, result, detail)?;
        if durable {
            self.journal.sync(sequence).await?;
        }
        Ok(())
    }

    /// Records an outcome; gives its sequence, and whether it shall survive power loss.
    pub(super) fn settle(
        &self,
        id: DecisionId,
        agent: Option<&SpiffeId>,
        result: OutcomeResult,
        detail: &str,
    ) -> Result<(u64, bool), CompleteError> {
        let outstanding = self.permits.take(id, agent)?;
        let durable = outstanding.durable;
        match self
            .journal
            .append(&self.outcome(id, &outstanding, result, detail))
        {
            Ok(sequence) => Ok((sequence, durable)),
            Err(error) => {
                // It may be said again when there is room.
                self.permits.put_back(id, outstanding);
                Err(error.into())
            }
        }
    }

    /// A call is under way from now on.
    pub(super) fn remember(&self, id: DecisionId, outstanding: Outstanding) {
        for (old, forgotten) in self.permits.put(id, outstanding) {
            warn!(decision = %old, "too many calls are under way; the outcome of the oldest is unknown");
            self.give_up(
                old,
                &forgotten,
                "too many calls were under way before its outcome was said",
            );
        }
    }

    /// Records that nobody knows how the calls under way will end.
    pub(crate) fn abandon_permits(&self) {
        for (id, outstanding) in self.permits.take_all() {
            self.give_up(
                id,
                &outstanding,
                "the enforcer stopped before the outcome was said",
            );
        }
    }

    fn give_up(&self, id: DecisionId, outstanding: &Outstanding, why: &str) {
        let record = self.outcome(id, outstanding, OutcomeResult::Unknown, why);
        if let Err(error) = self.journal.append(&record) {
            error!(error = &error as &dyn std::error::Error, decision = %id, "an outcome can't be recorded");
        }
    }

    fn outcome(&self, id: DecisionId, of: &Outstanding, result: OutcomeResult, detail: &str) -> Record {
        Record::Outcome(Outcome {
            decision: id,
            completed_ms: self.clock.wall_ms(),
            result,
            detail: detail.to_owned(),
            hold: of.hold,
            task: of.task,
        })
    }
}

impl Permits {
    /// Adds one and gives those that had to go for it.
    fn put(&self, id: DecisionId, outstanding: Outstanding) -> Vec<(DecisionId, Outstanding)> {
        let mut state = self.state();
        let mut gone = Vec::new();
        let of_task = outstanding.task.and_then(|task| state.by_task.get(&task));
        let oldest_of_task = of_task
            .filter(|ids| ids.len() >= OUTSTANDING_PER_TASK_MAX)
            .and_then(|ids| ids.first().copied());
        gone.extend(oldest_of_task.and_then(|old| state.remove(old)));
        if state.outstanding.len() >= OUTSTANDING_MAX {
            let oldest = state.outstanding.keys().next().copied();
            gone.extend(oldest.and_then(|old| state.remove(old)));
        }
        for (old, _) in &gone {
            state.settled(*old);
        }
        state.insert(id, outstanding);
        gone
    }

    fn put_back(&self, id: DecisionId, outstanding: Outstanding) {
        let mut state = self.state();
        state.settled.retain(|settled| *settled != id);
        state.insert(id, outstanding);
    }

    fn take(&self, id: DecisionId, agent: Option<&SpiffeId>) -> Result<Outstanding, CompleteError> {
        let mut state = self.state();
        let is_theirs = |outstanding: &Outstanding| agent.is_none_or(|agent| *agent == outstanding.agent);
        if state.outstanding.get(&id).is_some_and(is_theirs) {
            let taken = state.remove(id);
            state.settled(id);
            return taken
                .map(|(_, outstanding)| outstanding)
                .ok_or(CompleteError::Unknown(id));
        }
        if state.settled.contains(&id) {
            Err(CompleteError::Twice(id))
        } else {
            Err(CompleteError::Unknown(id))
        }
    }

    fn take_all(&self) -> BTreeMap<DecisionId, Outstanding> {
        let mut state = self.state();
        state.by_task.clear();
        std::mem::take(&mut state.outstanding)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, id: DecisionId, outstanding: Outstanding) {
        if let Some(task) = outstanding.task {
            self.by_task.entry(task).or_default().insert(id);
        }
        self.outstanding.insert(id, outstanding);
    }

    fn remove(&mut self, id: DecisionId) -> Option<(DecisionId, Outstanding)> {
        let outstanding = self.outstanding.remove(&id)?;
        if let Some(task) = outstanding.task
            && let Some(ids) = self.by_task.get_mut(&task)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_task.remove(&task);
            }
        }
        Some((id, outstanding))
    }

    fn settled(&mut self, id: DecisionId) {
        if self.settled.len() == SETTLED_MAX {
            self.settled.pop_front();
        }
        self.settled.push_back(id);
    }
}
