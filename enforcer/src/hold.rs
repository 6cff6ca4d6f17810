//! Actions that wait for people, as far as this enforcer waits with them.
//!
//! Comes from the gate, when rules ask for people; verdicts come from the follower; what is approved goes through
//! [`release`]. The hold itself, its state and its clock, is the control plane's.
//!
//! **Invariant**: a verdict that comes before its waiter is not lost, and one that is older than what is known changes
//! nothing. Nothing here permits: an approval only sends the action back to be judged and consumed.

pub(crate) mod release;
pub(crate) mod wait;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use checkrein_shared::hold::State;
use checkrein_shared::id::HoldId;
use tokio::sync::watch;

/// So many calls may wait for people at once; beyond, the call is answered `hold` and does not wait.
pub(crate) const WAITERS_MAX: usize = 1_024;
/// So many verdicts without a waiter are remembered; the oldest is forgotten, and asked for again by whoever needs it.
const UNCLAIMED_MAX: usize = 1_024;

/// What is known of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) state: State,
    pub(crate) version: u64,
    /// What a person said when denying; of an open one, what somebody asks and nobody has answered.
    pub(crate) said: String,
    /// Of an approved one: until when it may be used, if that was heard.
    pub(crate) use_by_ms: Option<u64>,
}

/// Who waits for which hold.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    state: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    waiting: HashMap<HoldId, Waited>,
    waiters: usize,
    /// Verdicts that nobody waited for when they came, oldest first.
    unclaimed: VecDeque<(HoldId, View)>,
}

#[derive(Debug)]
struct Waited {
    view: watch::Sender<View>,
    waiters: usize,
}

/// A place in the queue; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Waiter {
    holds: Arc<Holds>,
    id: HoldId,
    view: watch::Receiver<View>,
}

impl View {
    /// Without a time until which it may be used.
    pub(crate) fn new(state: State, version: u64, said: impl Into<String>) -> Self {
        Self {
            state,
            version,
            said: said.into(),
            use_by_ms: None,
        }
    }
}

impl Holds {
    /// Starts waiting, from what is known; none if too many wait.
    pub(crate) fn wait(self: &Arc<Self>, id: HoldId, known: View) -> Option<Waiter> {
        let mut registry = self.registry();
        if registry.waiters >= WAITERS_MAX {
            return None;
        }
        registry.waiters += 1;
        let early = registry.claim(id);
        let waited = registry.waiting.entry(id).or_insert_with(|| Waited {
            view: watch::Sender::new(known.clone()),
            waiters: 0,
        });
        waited.waiters += 1;
        for view in std::iter::once(known).chain(early) {
            learn(&waited.view, view);
        }
        let view = waited.view.subscribe();
        Some(Waiter {
            holds: Arc::clone(self),
            id,
            view,
        })
    }

    /// A verdict came.
    pub(crate) fn tell(&self, id: HoldId, view: View) {
        let mut registry = self.registry();
        if let Some(waited) = registry.waiting.get(&id) {
            learn(&waited.view, view);
            return;
        }
        let view = match registry.claim(id) {
            Some(known) if known.version > view.version => known,
            _ => view,
        };
        if registry.unclaimed.len() == UNCLAIMED_MAX {
            registry.unclaimed.pop_front();
        }
        registry.unclaimed.push_back((id, view));
    }

    /// The holds that are waited for: what a new session is asked about.
    pub(crate) fn open(&self) -> Vec<HoldId> {
        self.registry().waiting.keys().copied().collect()
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn claim(&mut self, id: HoldId) -> Option<View> {
        let at = self.unclaimed.iter().position(|(known, _)| *known == id)?;
        self.unclaimed.remove(at).map(|(_, view)| view)
    }
}

impl Waiter {
    /// What is known of it at this moment.
    pub(crate) fn seen(&self) -> View {
        self.view.borrow().clone()
    }

    /// Resolves once the hold is no longer open, with what became of it.
    pub(crate) async fn decided(&mut self) -> View {
        let decided = self
            .view
            .wait_for(|view| view.state != State::Open)
            .await
            .map(|view| view.clone());
        match decided {
            Ok(view) => view,
            // The sender lives in the registry for as long as this waiter does.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut registry = self.holds.registry();
        registry.waiters = registry.waiters.saturating_sub(1);
        if let Some(waited) = registry.waiting.get_mut(&self.id) {
            waited.waiters -= 1;
            if waited.waiters == 0 {
                registry.waiting.remove(&self.id);
            }
        }
    }
}

fn learn(known: &watch::Sender<View>, view: View) {
    known.send_if_modified(|held| {
        let newer = view.version > held.version;
        if newer {
            *held = view;
        }
        newer
    });
}

#[cfg(test)]
mod tests;
