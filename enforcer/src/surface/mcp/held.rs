//! Calls that wait for people, and what came of them, until whoever asked has it.
//!
//! **Invariant**: the same call (task, tool, arguments) has one name while it waits, is made once however often it is asked for
//! meanwhile, and its result goes to whoever asks next if nobody was there to take it. What was taken is forgotten: the same call
//! after it is another one, and people are asked again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::answers::{Ending, Instead, Shape};
use super::wire::Id;
use crate::gate::Held;
use crate::surface::again::Sameness;

/// So many calls are remembered; the oldest that nobody waits for goes first.
const CALLS_MAX: usize = 128;
/// A result that nobody was there to take is kept if it has at most this many bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// What a call came to.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// The server's result, its bytes as they came.
    Result(String),
    /// The server's error.
    Error(String),
    Instead(Instead),
}

/// All of them.
#[derive(Debug)]
pub(super) struct HeldCalls {
    tag: String,
    state: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    by_sameness: HashMap<Sameness, Arc<HeldCall>>,
    made: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct HeldCall {
    /// By which the control plane finds its hold again.
    pub(super) call_id: String,
    pub(super) sameness: Sameness,
    number: u64,
    /// Whoever uses the client was shown where people answer.
    shown: AtomicBool,
    state: watch::Sender<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) stage: Stage,
    /// Requests that wait for it.
    followers: usize,
}

/// How far it is.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Nobody was asked yet.
    New,
    /// People were asked, and nobody waits here at the moment.
    Asked,
    /// Somebody waits here.
    Waiting(Held),
    /// It was approved, and is made at this moment.
    Making,
    /// It is over, and nobody has taken what came of it yet.
    Ended(Told),
}

/// One request that waits for it.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) call: Arc<HeldCall>,
    pub(super) changes: watch::Receiver<State>,
}

impl Told {
    /// As the answer to a request.
    pub(super) fn answer(&self, id: &Id, shape: Shape) -> String {
        self.ending(shape).answer(id)
    }

    /// What a request of this shape comes to by it.
    pub(super) fn ending(&self, shape: Shape) -> Ending {
        match self {
            Self::Result(bytes) => Ending::Result(bytes.clone()),
            Self::Error(bytes) => Ending::Error(bytes.clone()),
            Self::Instead(instead) => instead.ending(shape),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Result(bytes) | Self::Error(bytes) => bytes.len(),
            Self::Instead(_) => 0,
        }
    }
}

impl HeldCalls {
    pub(super) fn new(tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            state: Mutex::default(),
        }
    }

    /// The call that this is, as far as it has come; none, if there is room for no other. One that is not known here may have been
    /// named before.
    pub(super) fn enter(&self, sameness: &Sameness, named: Option<&str>) -> Option<Arc<HeldCall>> {
        let mut calls = self.calls();
        if let Some(call) = calls.by_sameness.get(sameness) {
            return Some(Arc::clone(call));
        }
        if calls.by_sameness.len() >= CALLS_MAX {
            let oldest = calls.by_sameness.values().filter(|call| call.is_left());
            let oldest = oldest.min_by_key(|call| call.number)?.sameness.clone();
            calls.by_sameness.remove(&oldest);
        }
        calls.made += 1;
        let call = Arc::new(HeldCall {
            call_id: named.map_or_else(|| format!("{}-{}", self.tag, calls.made), str::to_owned),
            sameness: sameness.clone(),
            number: calls.made,
            shown: AtomicBool::new(false),
            state: watch::Sender::new(State {
                stage: Stage::New,
                followers: 0,
            }),
        });
        calls.by_sameness.insert(sameness.clone(), Arc::clone(&call));
        Some(call)
    }

    /// Lets go of a call: one that nobody has to look at is forgotten with the last who asked.
    pub(super) fn leave(&self, call: Arc<HeldCall>) {
        let mut calls = self.calls();
        let is_new = matches!(call.state.borrow().stage, Stage::New);
        // The map's and ours.
        if is_new && Arc::strong_count(&call) == 2 {
            calls.forget(&call);
        }
        drop(call);
    }

    /// What came of it is taken.
    pub(super) fn taken(&self, call: &Arc<HeldCall>) {
        self.calls().forget(call);
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn forget(&mut self, call: &Arc<HeldCall>) {
        let is_it = |known: &Arc<HeldCall>| Arc::ptr_eq(known, call);
        if self.by_sameness.get(&call.sameness).is_some_and(is_it) {
            self.by_sameness.remove(&call.sameness);
        }
    }
}

impl HeldCall {
    /// Waits with the others, or takes what came of it; none, if nothing of it is under way and it must be decided.
    pub(super) fn join(self: &Arc<Self>) -> Option<Follower> {
        let mut is_under_way = false;
        self.state.send_modify(|state| {
            is_under_way = !matches!(state.stage, Stage::New | Stage::Asked);
            state.followers += usize::from(is_under_way);
        });
        is_under_way.then(|| self.follower())
    }

    /// Waits for people. True beside it: nobody else does, and the call must be looked after.
    pub(super) fn wait(self: &Arc<Self>, held: &Held) -> (Follower, bool) {
        let mut is_first = false;
        self.state.send_modify(|state| {
            state.followers += 1;
            is_first = matches!(state.stage, Stage::New | Stage::Asked);
            if is_first {
                state.stage = Stage::Waiting(held.clone());
            }
        });
        (self.follower(), is_first)
    }

    /// Waits while it is made.
    pub(super) fn make(self: &Arc<Self>) -> Follower {
        self.state.send_modify(|state| {
            state.followers += 1;
            state.stage = Stage::Making;
        });
        self.follower()
    }

    /// Whoever makes one was counted before.
    fn follower(self: &Arc<Self>) -> Follower {
        let mut changes = self.state.subscribe();
        changes.mark_changed();
        Follower {
            call: Arc::clone(self),
            changes,
        }
    }

    /// Resolves when nobody waits for it.
    pub(super) async fn left(&self) {
        let mut changes = self.state.subscribe();
        // It can't fail: the sender is here.
        drop(changes.wait_for(|state| state.followers == 0).await);
    }

    /// Gives it a rest, if really nobody waits.
    pub(super) fn rests(&self) -> bool {
        let mut rests = false;
        self.state.send_modify(|state| {
            rests = state.followers == 0;
            if rests {
                state.stage = Stage::Asked;
            }
        });
        rests
    }

    /// It goes on to this stage.
    pub(super) fn goes_on(&self, stage: Stage) {
        self.state.send_modify(|state| state.stage = stage);
    }

    /// It is over.
    pub(super) fn ends(&self, told: Told) {
        self.state.send_modify(|state| {
            let bytes = told.bytes();
            let is_kept = state.followers > 0 || bytes <= KEPT_BYTES_MAX;
            state.stage = Stage::Ended(if is_kept {
                told
            } else {
                let words = format!(
                    "the call was made once, and nobody was there to take its result, whose {bytes} bytes are more than are kept"
                );
                Told::Instead(Instead::failed(super::answers::INTERNAL, words))
            });
        });
    }

    /// Whether it is to be shown now where people answer: once is enough.
    pub(super) fn is_to_be_shown(&self) -> bool {
        !self.shown.swap(true, Ordering::Relaxed)
    }

    /// How far it is.
    pub(super) fn stage(&self) -> Stage {
        self.state.borrow().stage.clone()
    }

    fn is_left(&self) -> bool {
        let state = self.state.borrow();
        state.followers == 0 && matches!(state.stage, Stage::Asked | Stage::Ended(_))
    }
}

impl Follower {
    /// Whether this one may go without an answer to come: it still waits for people.
    pub(super) fn still_waits(&self) -> Option<Held> {
        match &self.call.state.borrow().stage {
            Stage::Waiting(held) => Some(held.clone()),
            _ => None,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.call.state.send_modify(|state| state.followers -= 1);
    }
}

#[cfg(test)]
mod tests;
