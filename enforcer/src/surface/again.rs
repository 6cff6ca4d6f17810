//! Calls that were asked for and wait for people, by what they are: whoever asks again finds what it asked for.
//!
//! **Invariant**: the same call (agent, task, tool, arguments) has one name from when it was asked for until what came of its hold is
//! told; the same call after that is another one, and people are asked again. Nothing here permits: a name only finds a hold.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use checkrein_shared::action::{Arguments, Sha256};
use checkrein_shared::id::{TaskId, random_bytes};
use checkrein_shared::identity::SpiffeId;

/// So many calls are remembered; the oldest that nobody asks for at the moment goes first.
const CALLS_MAX: usize = 4_096;

/// What makes two calls the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sameness {
    pub(super) agent: SpiffeId,
    pub(super) task: TaskId,
    pub(super) tool: String,
    /// Of the canonical arguments, and of what comes beside them.
    pub(super) arguments: Sha256,
}

/// All that wait.
#[derive(Debug)]
pub(super) struct Again {
    tag: String,
    state: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    by_sameness: HashMap<Sameness, Asked>,
    made: u64,
}

/// One of them.
#[derive(Debug)]
struct Asked {
    number: u64,
    /// Questions about it that are under way.
    askers: usize,
    /// People were asked.
    waits: bool,
}

/// A question about one of them that is under way.
#[derive(Debug)]
pub(super) struct Asks<'a> {
    again: &'a Again,
    sameness: Sameness,
    number: u64,
}

impl Sameness {
    /// Of a call, with what it brings beside its arguments; none, if those can't be read.
    pub(super) fn of(
        (agent, task): (&SpiffeId, TaskId),
        tool: &str,
        arguments: &[u8],
        beside: &str,
    ) -> Option<Self> {
        let arguments = Arguments::parse(arguments).ok()?;
        Some(Self {
            agent: agent.clone(),
            task,
            tool: tool.to_owned(),
            arguments: Sha256::of(format!("{}{beside}", arguments.canonical()).as_bytes()),
        })
    }
}

impl Again {
    /// Nothing waits yet. Names that are given begin with this word, and are nobody else's.
    pub(super) fn new(word: &str) -> Self {
        Self {
            tag: format!("{word}-{:032x}", u128::from_be_bytes(random_bytes())),
            state: Mutex::default(),
        }
    }

    /// Begins to ask for a call; none, if there is room for no other.
    pub(super) fn ask(&self, sameness: Sameness) -> Option<Asks<'_>> {
        let mut calls = self.calls();
        if !calls.by_sameness.contains_key(&sameness) {
            if calls.by_sameness.len() >= CALLS_MAX {
                calls.forget_oldest()?;
            }
            calls.made += 1;
        }
        let number = calls.made;
        let asked = calls.by_sameness.entry(sameness.clone()).or_insert(Asked {
            number,
            askers: 0,
            waits: false,
        });
        asked.askers += 1;
        let number = asked.number;
        drop(calls);
        Some(Asks {
            again: self,
            sameness,
            number,
        })
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn forget_oldest(&mut self) -> Option<()> {
        let idle = self.by_sameness.iter().filter(|(_, asked)| asked.askers == 0);
        let oldest = idle
            .min_by_key(|(_, asked)| asked.number)
            .map(|(sameness, _)| sameness.clone());
        self.by_sameness.remove(&oldest?).map(drop)
    }
}

impl Asks<'_> {
    /// By which the control plane finds its hold again.
    pub(super) fn call_id(&self) -> String {
        format!("{}-{}", self.again.tag, self.number)
    }

    /// People were asked: the same call finds the same hold from now on.
    pub(super) fn waits(&self) {
        self.with(|asked| asked.waits = true);
    }

    /// What came of its hold was told.
    pub(super) fn is_over(&self) {
        let mut calls = self.again.calls();
        if calls
            .by_sameness
            .get(&self.sameness)
            .is_some_and(|asked| asked.number == self.number)
        {
            calls.by_sameness.remove(&self.sameness);
        }
    }

    fn with(&self, change: impl FnOnce(&mut Asked)) {
        let mut calls = self.again.calls();
        let asked = calls.by_sameness.get_mut(&self.sameness);
        if let Some(asked) = asked.filter(|asked| asked.number == self.number) {
            change(asked);
        }
    }
}

impl Drop for Asks<'_> {
    fn drop(&mut self) {
        let mut is_left = false;
        self.with(|asked| {
            asked.askers -= 1;
            is_left = asked.askers == 0 && !asked.waits;
        });
        if is_left {
            self.is_over();
        }
    }
}

#[cfg(test)]
mod tests;
