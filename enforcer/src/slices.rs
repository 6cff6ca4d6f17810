//! Slices of budgets that this enforcer holds: calls that cost something are paid from them, without asking.
//!
//! ```text
//! a call like one that was just confirmed -> confirmed, and a slice wanted -> held -> drawn from, call by call
//! not used for a moment, a second old, used up, or of another policy -> ended -> nothing of it is under way -> closed in the journal
//! ```
//!
//! While the control plane can be asked, a slice ends soon: what nobody uses here must not stand in the way of others, who wait for it no
//! longer than two seconds. While it is away, one lasts as long as it may.
//!
//! **Invariant**: nothing is drawn that a slice does not have, and nothing from a slice after its end was written down: whatever was
//! drawn stands before that in the journal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use checkrein_shared::Generation;
use checkrein_shared::decision::{Drawn, SliceClosed};
use checkrein_shared::id::{SliceId, TaskId};
use checkrein_shared::ledger::Amounts;

/// So long a slice is used while the control plane can be asked for another, and so long one that was refused is not asked for again;
const USED_MS_MAX: u64 = 1_000;
/// and it ends after so long without a call. Calls that come less often are not worth one.
const IDLE_MS_MAX: u64 = 200;
/// Whoever asked for a slice has an answer by then, or went away.
const ASKING_MS_MAX: u64 = 10_000;
/// Slices are held for the calls of so many tasks,
const TASKS_MAX: usize = 4_096;
/// and in each of them for so many kinds of calls. Any other is confirmed.
const KINDS_MAX: usize = 16;

/// What is held, for each kind of call.
#[derive(Debug, Default)]
pub(crate) struct Slices(Mutex<State>);

/// A call as far as a slice is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) task: TaskId,
    /// The grant, with all it was narrowed from.
    pub(crate) presented: &'a Arc<str>,
    pub(crate) tool: &'a str,
    pub(crate) generation: Generation,
    /// What it uses up at most.
    pub(crate) cost: &'a Amounts,
}

/// What the control plane lets us hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) calls: u64,
    pub(crate) amounts: Amounts,
    pub(crate) lasts_ms: u64,
}

/// How a call is paid.
#[derive(Debug)]
pub(crate) enum Payment {
    /// From a slice.
    Drawn(Paid),
    /// It has to be confirmed, and may bring a slice of this name.
    Confirm(Option<SliceId>),
}

/// What was drawn. Keep it until that is written down.
#[derive(Debug, Clone)]
pub(crate) struct Paid {
    pub(crate) drawn: Drawn,
    _under_way: Arc<()>,
}

#[derive(Debug, Default)]
struct State {
    by_task: HashMap<TaskId, Vec<Kind>>,
    ended: Vec<Ended>,
}

/// Calls of one tool under one grant.
#[derive(Debug)]
struct Kind {
    presented: Arc<str>,
    tool: String,
    holding: Holding,
    /// Since when, on the boot clock.
    since_ms: u64,
    /// When there was such a call last.
    called_ms: u64,
}

/// When it is, on the boot clock, and how long ago a slice was asked for and such a call was made.
#[derive(Debug, Clone, Copy)]
struct Moment {
    now_ms: u64,
    age_ms: u64,
    idle_ms: u64,
    is_connected: bool,
}

#[derive(Debug)]
enum Holding {
    /// Nothing; one was confirmed.
    Nothing,
    /// Nothing, and there is none to be had for now.
    Refused,
    /// The control plane is being asked.
    Asking(SliceId),
    Held(Held),
}

#[derive(Debug)]
struct Held {
    id: SliceId,
    generation: Generation,
    calls: u64,
    rest: Amounts,
    /// On the boot clock.
    ends_ms: u64,
    /// One more than draws that are not written down.
    under_way: Arc<()>,
}

#[derive(Debug)]
struct Ended {
    closed: SliceClosed,
    under_way: Arc<()>,
}

impl Slices {
    /// Pays a call from what is held for its kind, or says how it is to be confirmed. `fresh` names a slice that may be asked for.
    pub(crate) fn pay(
        &self,
        call: Call<'_>,
        (now_ms, is_connected): (u64, bool),
        fresh: impl FnOnce() -> SliceId,
    ) -> Payment {
        let mut state = self.state();
        let state = &mut *state;
        let Some(kind) = state.kind(call, now_ms) else {
            return Payment::Confirm(None);
        };
        let moment = kind.moment((now_ms, is_connected));
        kind.called_ms = now_ms;
        if let Holding::Held(held) = &mut kind.holding
            && held.is_good(moment, call.generation)
            && let Some(paid) = held.draw(call.cost)
        {
            return Payment::Drawn(paid);
        }
        let is_often = moment.idle_ms <= IDLE_MS_MAX;
        let wants = match &kind.holding {
            Holding::Nothing | Holding::Held(_) => is_often,
            Holding::Refused => is_often && moment.age_ms > USED_MS_MAX,
            Holding::Asking(_) => false,
        };
        if !wants {
            return Payment::Confirm(None);
        }
        let id = fresh();
        let before = std::mem::replace(&mut kind.holding, Holding::Asking(id));
        kind.since_ms = now_ms;
        state.ended.extend(before.ended(call.task));
        Payment::Confirm(Some(id))
    }

    /// Takes in what came of asking for a slice, at that moment, with the confirmation of this call.
    pub(crate) fn given(&self, call: Call<'_>, id: SliceId, given: Option<Given>, asked_ms: u64) {
        let mut state = self.state();
        let kind = state.asking(call.task, id);
        let holding = given.map(|given| Held {
            id,
            generation: call.generation,
            calls: given.calls,
            rest: given.amounts,
            ends_ms: asked_ms.saturating_add(given.lasts_ms),
            under_way: Arc::new(()),
        });
        let holding = holding.map_or(Holding::Refused, Holding::Held);
        match kind {
            Some(kind) => (kind.holding, kind.since_ms) = (holding, asked_ms),
            // Nobody waits for it any more.
            None => state.ended.extend(holding.ended(call.task)),
        }
    }

    /// Nobody knows whether this slice is ours: it is not used, and its end is written down.
    pub(crate) fn unheard(&self, task: TaskId, id: SliceId) {
        let mut state = self.state();
        if let Some(kind) = state.asking(task, id) {
            kind.holding = Holding::Refused;
            state.ended.push(Ended::of(task, id));
        }
    }

    /// Ends what is old or of another policy; gives what nothing is under way of any more, to be written down.
    pub(crate) fn ended(
        &self,
        (now_ms, is_connected): (u64, bool),
        generation: Generation,
    ) -> Vec<SliceClosed> {
        let mut state = self.state();
        let State { by_task, ended } = &mut *state;
        for (task, kinds) in by_task.iter_mut() {
            ended.extend(
                kinds
                    .extract_if(.., |kind| kind.is_over((now_ms, is_connected), generation))
                    .filter_map(|kind| kind.holding.ended(*task)),
            );
        }
        by_task.retain(|_, kinds| !kinds.is_empty());
        state.settled()
    }

    /// Ends everything; gives what nothing is under way of any more.
    pub(crate) fn end_all(&self) -> Vec<SliceClosed> {
        let mut state = self.state();
        let State { by_task, ended } = &mut *state;
        for (task, kinds) in by_task.drain() {
            ended.extend(kinds.into_iter().filter_map(|kind| kind.holding.ended(task)));
        }
        state.settled()
    }

    /// Their ends could not be written down; they are given again.
    pub(crate) fn unwritten(&self, closed: impl IntoIterator<Item = SliceClosed>) {
        let again = closed.into_iter().map(|closed| Ended {
            closed,
            under_way: Arc::new(()),
        });
        self.state().ended.extend(again);
    }

    /// Whether there is anything to look after.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state();
        state.by_task.is_empty() && state.ended.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is known of calls of this kind; none, if too many kinds are known.
    fn kind(&mut self, call: Call<'_>, now_ms: u64) -> Option<&mut Kind> {
        if self.by_task.len() >= TASKS_MAX && !self.by_task.contains_key(&call.task) {
            return None;
        }
        let kinds = self.by_task.entry(call.task).or_default();
        let is_same = |kind: &Kind| kind.tool == call.tool && *kind.presented == **call.presented;
        let at = match kinds.iter().position(is_same) {
            Some(at) => at,
            None if kinds.len() >= KINDS_MAX => return None,
            None => {
                // The first of its kind is confirmed, and is no reason to hold anything.
                kinds.push(Kind {
                    presented: Arc::clone(call.presented),
                    tool: call.tool.to_owned(),
                    holding: Holding::Nothing,
                    since_ms: now_ms,
                    called_ms: now_ms,
                });
                return None;
            }
        };
        kinds.get_mut(at)
    }

    /// The kind of calls for which this slice was asked for.
    fn asking(&mut self, task: TaskId, id: SliceId) -> Option<&mut Kind> {
        let kinds = self.by_task.get_mut(&task)?;
        kinds
            .iter_mut()
            .find(|kind| matches!(kind.holding, Holding::Asking(asked) if asked == id))
    }

    fn settled(&mut self) -> Vec<SliceClosed> {
        let settled = self
            .ended
            .extract_if(.., |ended| Arc::strong_count(&ended.under_way) == 1);
        settled.map(|ended| ended.closed).collect()
    }
}

impl Kind {
    const fn moment(&self, (now_ms, is_connected): (u64, bool)) -> Moment {
        Moment {
            now_ms,
            age_ms: now_ms.saturating_sub(self.since_ms),
            idle_ms: now_ms.saturating_sub(self.called_ms),
            is_connected,
        }
    }

    fn is_over(&self, now: (u64, bool), generation: Generation) -> bool {
        let moment = self.moment(now);
        match &self.holding {
            Holding::Nothing | Holding::Refused => moment.age_ms.min(moment.idle_ms) > USED_MS_MAX,
            Holding::Asking(_) => moment.age_ms > ASKING_MS_MAX,
            Holding::Held(held) => !held.is_good(moment, generation),
        }
    }
}

impl Holding {
    /// What is to be written down, if there is, or may be, a slice.
    fn ended(self, task: TaskId) -> Option<Ended> {
        match self {
            Self::Nothing | Self::Refused => None,
            Self::Asking(id) => Some(Ended::of(task, id)),
            Self::Held(held) => Some(Ended {
                closed: SliceClosed { slice: held.id, task },
                under_way: held.under_way,
            }),
        }
    }
}

impl Held {
    /// Whether it may be drawn from.
    fn is_good(&self, moment: Moment, generation: Generation) -> bool {
        let is_used = moment.age_ms <= USED_MS_MAX && moment.idle_ms <= IDLE_MS_MAX;
        self.calls > 0
            && (is_used || !moment.is_connected)
            && moment.now_ms < self.ends_ms
            && generation == self.generation
    }

    fn draw(&mut self, cost: &Amounts) -> Option<Paid> {
        let has = |(meter, amount)| self.rest.get(meter).is_some_and(|rest| rest >= amount);
        if !cost.iter().all(has) {
            return None;
        }
        self.calls -= 1;
        self.rest = self.rest.minus(cost);
        let drawn = Drawn {
            slice: self.id,
            cost: *cost,
        };
        Some(Paid {
            drawn,
            _under_way: Arc::clone(&self.under_way),
        })
    }
}

impl Ended {
    /// Of a slice that nothing was drawn from.
    fn of(task: TaskId, slice: SliceId) -> Self {
        Self {
            closed: SliceClosed { slice, task },
            under_way: Arc::new(()),
        }
    }
}

#[cfg(test)]
mod tests;
