//! Permits whose outcome is awaited.
//!
//! When the enforcer stops, it first permits nothing more, then gives the calls under way time to say how they ended, and
//! then gives up on the rest.
//!
//! **Invariant**: a permit gets at most one outcome record, and exactly one if the journal takes it: what the caller says;
//! `unknown` when it lets go, when too many are under way, or when the enforcer has stopped; `failed` if the permit was never
//! given out. A run that is killed, or whose journal fails, leaves permits without one, and whoever reads its record knows by
//! that that nobody knows.

mod unpriced;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use checkrein_shared::decision::{Cause, Outcome, OutcomeResult, Record};
use checkrein_shared::grant::Chain;
use checkrein_shared::id::{DecisionId, HoldId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::label::Label;
use checkrein_shared::ledger::{Amounts, Trust};
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Case, Core, Found};
use crate::control_plane::Refusal;
use crate::journal::JournalError;
use unpriced::Unpriced;

/// One task may have so many calls under way; beyond, the outcome of the oldest is unknown.
const OUTSTANDING_PER_TASK_MAX: usize = 1_024;
/// And all tasks together.
const OUTSTANDING_MAX: usize = 65_536;
/// So many settled calls are remembered, to tell a second outcome from a stranger's.
const SETTLED_MAX: usize = 4_096;
/// An outcome's detail may have at most this many bytes.
const DETAIL_BYTES_MAX: usize = 1_024;

/// How a call ended of which nobody said it.
pub(super) const NOBODY_KNOWS: (OutcomeResult, Amounts) = (OutcomeResult::Unknown, Amounts::none());

/// A permitted call that has not ended.
#[derive(Debug, Clone)]
pub(super) struct Outstanding {
    pub(super) agent: SpiffeId,
    pub(super) task: Option<TaskId>,
    /// The hold whose approval it used.
    pub(super) hold: Option<HoldId>,
    /// Its outcome shall survive power loss.
    pub(super) durable: bool,
    /// What it was permitted under.
    pub(super) chain: Option<Arc<Chain>>,
    /// The same, as it was presented.
    pub(super) presented: Arc<str>,
    pub(super) tool: String,
    /// What rules may say of its result once it is known how large that is.
    pub(super) may_yield: BTreeSet<Label>,
    /// Whose word the values in its result are.
    pub(super) trust: Option<Trust>,
    /// The call itself, if they are to be asked.
    pub(super) case: Option<Arc<Case>>,
    /// If it fails, it has used up nothing.
    pub(super) fails_without_effect: bool,
    /// What it was foreseen to use up: what is reserved for it.
    pub(super) cost: Amounts,
}

/// Every call under way. Ids sort by time, so the first is the oldest.
#[derive(Debug, Default)]
pub(super) struct Permits {
    state: Mutex<State>,
    /// Nothing more is permitted; what was permitted may still end.
    refused: AtomicBool,
    /// The last call under way has its outcome.
    quiet: Notify,
    /// Tools that use up what no budget counts.
    unpriced: Unpriced,
}

#[derive(Debug, Default)]
struct State {
    outstanding: BTreeMap<DecisionId, Outstanding>,
    by_task: HashMap<TaskId, BTreeSet<DecisionId>>,
    settled: VecDeque<DecisionId>,
    /// Cancelled when the call that somebody watches is not under way any more.
    watched: HashMap<DecisionId, CancellationToken>,
    /// Taken out, and their outcomes are being written down at this moment.
    settling: usize,
    /// Given up on; nothing is under way any more.
    ended: bool,
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
    /// The result carries what the ledger of the task does not say yet.
    #[error("the result may not be passed on: {}", .0.reason)]
    Unlabelled(Unlabelled),
}

/// Why the labels of a result could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlabelled {
    /// In a word.
    pub cause: Cause,
    /// In a sentence.
    pub reason: String,
}

impl Core {
    /// Takes the outcome of a call and, if it matters that much, waits until it survives power loss.
    pub(super) async fn complete(
        &self,
        id: DecisionId,
        agent: Option<&SpiffeId>,
        result: OutcomeResult,
        detail: &str,
        found: &Found,
    ) -> Result<(), CompleteError> {
        if detail.len() > DETAIL_BYTES_MAX {
            return Err(CompleteError::DetailTooLong(detail.len()));
        }
        if let Some(outstanding) = self.permits.labelled(id, agent, found) {
            self.label_result(id, &outstanding, found)
                .await
                .map_err(|refusal| CompleteError::Unlabelled(refusal.into()))?;
        }
        let (sequence, durable) = self.settle(id, agent, (result, found.spent), detail)?;
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
        ended: (OutcomeResult, Amounts),
        detail: &str,
    ) -> Result<(u64, bool), CompleteError> {
        let outstanding = self.permits.take(id, agent)?;
        let durable = outstanding.durable;
        let tool = &outstanding.tool;
        if let Some(meters) = self.permits.unpriced.first(tool, &outstanding.cost, &ended.1) {
            warn!(
                tool,
                meters,
                "a call used up what no budget counts; it is in the record alone, until the catalog says a `cost` of the tool in that meter"
            );
        }
        match self
            .journal
            .append(&self.outcome(id, &outstanding, ended, detail))
        {
            Ok(sequence) => {
                self.permits.said();
                Ok((sequence, durable))
            }
            Err(error) => {
                // It may be said again when there is room.
                self.permits.unsaid(id, outstanding);
                Err(error.into())
            }
        }
    }

    /// A call is under way from now on; false if the enforcer has stopped, and it must not be made.
    pub(super) fn remember(&self, id: DecisionId, outstanding: Outstanding) -> bool {
        let forgotten = match self.permits.put(id, outstanding) {
            Ok(forgotten) => forgotten,
            Err(outstanding) => {
                let why = "the enforcer stopped before it gave the permit out; the call was not made";
                self.give_up(id, &outstanding, (OutcomeResult::Failed, Amounts::zero()), why);
                return false;
            }
        };
        for (old, outstanding) in forgotten {
            warn!(decision = %old, "too many calls are under way; the outcome of the oldest is unknown");
            let why = "too many calls were under way before its outcome was said";
            if !self.give_up(old, &outstanding, NOBODY_KNOWS, why) {
                self.permits.put_back(old, outstanding);
            }
        }
        true
    }

    /// Permits nothing more from here on; calls under way go on.
    pub(crate) fn refuse_permits(&self) {
        self.permits.refused.store(true, Ordering::Release);
    }

    /// Whether it still permits anything.
    pub(super) fn refuses_permits(&self) -> bool {
        self.permits.refused.load(Ordering::Acquire)
    }

    /// Resolves when no call is under way.
    pub(crate) async fn permits_settled(&self) {
        self.permits.settled().await;
    }

    /// Records that nobody knows how the calls under way will end. There are none after this.
    pub(crate) fn abandon_permits(&self) {
        self.refuse_permits();
        for (id, outstanding) in self.permits.end() {
            let why = "the enforcer stopped before the outcome was said";
            self.give_up(id, &outstanding, NOBODY_KNOWS, why);
        }
    }

    /// Records an outcome that nobody said; false if the journal does not take it.
    fn give_up(
        &self,
        id: DecisionId,
        outstanding: &Outstanding,
        ended: (OutcomeResult, Amounts),
        why: &str,
    ) -> bool {
        let appended = self.journal.append(&self.outcome(id, outstanding, ended, why));
        if let Err(error) = &appended {
            error!(error = error as &dyn std::error::Error, decision = %id, "an outcome can't be recorded");
        }
        appended.is_ok()
    }

    fn outcome(
        &self,
        id: DecisionId,
        of: &Outstanding,
        (result, spent): (OutcomeResult, Amounts),
        detail: &str,
    ) -> Record {
        let spent = match result {
            OutcomeResult::Failed if of.fails_without_effect => spent.or(Amounts::zero()),
            _ => spent,
        };
        Record::Outcome(Outcome {
            decision: id,
            completed_ms: self.clock.wall_ms(),
            result,
            detail: detail.to_owned(),
            hold: of.hold,
            task: of.task,
            spent,
        })
    }
}

impl From<Refusal> for Unlabelled {
    fn from(refusal: Refusal) -> Self {
        Self {
            cause: refusal.cause,
            reason: refusal.reason,
        }
    }
}

impl Permits {
    /// Adds one and gives those that had to go for it; gives it back if nothing is under way any more.
    fn put(
        &self,
        id: DecisionId,
        outstanding: Outstanding,
    ) -> Result<Vec<(DecisionId, Outstanding)>, Box<Outstanding>> {
        let mut state = self.state();
        if state.ended {
            return Err(Box::new(outstanding));
        }
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
        Ok(gone)
    }

    /// What a call of this agent was permitted under, and what is cancelled when it is not under way any more; none if it is
    /// not now.
    pub(super) fn watch(
        &self,
        id: DecisionId,
        agent: Option<&SpiffeId>,
    ) -> Option<(Arc<Chain>, CancellationToken)> {
        let mut state = self.state();
        let outstanding = state.outstanding.get(&id)?;
        if agent.is_some_and(|agent| *agent != outstanding.agent) {
            return None;
        }
        let chain = Arc::clone(outstanding.chain.as_ref()?);
        Some((chain, state.watched.entry(id).or_default().clone()))
    }

    /// A call of this agent whose result carries labels, or may.
    fn labelled(&self, id: DecisionId, agent: Option<&SpiffeId>, found: &Found) -> Option<Outstanding> {
        let state = self.state();
        let outstanding = state.outstanding.get(&id)?;
        let is_theirs = agent.is_none_or(|agent| *agent == outstanding.agent);
        let may_carry = !found.labels.is_empty()
            || found.content.is_some()
            || outstanding.trust.is_some()
            || !outstanding.may_yield.is_empty();
        (is_theirs && may_carry).then(|| outstanding.clone())
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
            state.settling += 1;
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

    /// The outcome of one that was taken is written down.
    fn said(&self) {
        let mut state = self.state();
        state.settling -= 1;
        if state.is_quiet() {
            self.quiet.notify_waiters();
        }
    }

    /// It is not, and can be said again.
    fn unsaid(&self, id: DecisionId, outstanding: Outstanding) {
        self.put_back(id, outstanding);
        self.state().settling -= 1;
    }

    async fn settled(&self) {
        loop {
            // Made before the look, so that no notice is missed between the two.
            let quiet = self.quiet.notified();
            if self.state().is_quiet() {
                return;
            }
            quiet.await;
        }
    }

    fn end(&self) -> BTreeMap<DecisionId, Outstanding> {
        let mut state = self.state();
        state.ended = true;
        state.by_task.clear();
        for (_, over) in state.watched.drain() {
            over.cancel();
        }
        let all = std::mem::take(&mut state.outstanding);
        for id in all.keys() {
            state.settled(*id);
        }
        all
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
        if let Some(over) = self.watched.remove(&id) {
            over.cancel();
        }
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

    fn is_quiet(&self) -> bool {
        self.outstanding.is_empty() && self.settling == 0
    }

    fn settled(&mut self, id: DecisionId) {
        if self.settled.len() == SETTLED_MAX {
            self.settled.pop_front();
        }
        self.settled.push_back(id);
    }
}

#[cfg(test)]
mod tests;
