//! How old the policy is: the time since a replica confirmed that what runs here is the newest there is.
//!
//! Age runs on the boot clock, which never goes back. Only after a restart, when that clock may have begun anew, the wall
//! clock has to do, and then never gives an age less than the one that was written down.
//!
//! **Invariant**: age falls only on a confirmation that answers a question of ours about exactly what runs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use checkrein_shared::SharedClock;

/// A replica whose read of the primary is older than this confirms nothing.
const READ_AGE_MAX_MS: u64 = 1_000;
/// So many questions may be unanswered; an answer to an older one is not believed.
const QUESTIONS_MAX: usize = 8;

/// The age of what runs.
#[derive(Debug)]
pub(crate) struct Freshness {
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was confirmed then was the newest.
    confirmed: Option<Confirmed>,
    /// When we asked, by the boot clock.
    asked: Vec<u64>,
}

/// A moment, on the boot clock, with the age it already had.
#[derive(Debug, Clone, Copy)]
struct Confirmed {
    boot_ms: u64,
    age_ms: u64,
}

/// What is written down of a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// When the newest was last confirmed, by the wall clock.
    pub(crate) confirmed_wall_ms: u64,
    /// How old that was when it was written down.
    pub(crate) age_ms: u64,
}

impl Freshness {
    /// Begins with what was written down, if anything was.
    pub(crate) fn new(clock: SharedClock, remembered: Option<Remembered>) -> Self {
        let confirmed = remembered.map(|remembered| Confirmed {
            boot_ms: clock.boot_ms(),
            age_ms: clock
                .wall_ms()
                .saturating_sub(remembered.confirmed_wall_ms)
                .max(remembered.age_ms),
        });
        Self {
            clock,
            state: Mutex::new(State {
                confirmed,
                asked: Vec::new(),
            }),
        }
    }

    /// How long ago what runs was confirmed; `u64::MAX`: never.
    pub(crate) fn age_ms(&self) -> u64 {
        let confirmed = self.state().confirmed;
        confirmed.map_or(u64::MAX, |confirmed| {
            self.clock
                .boot_ms()
                .saturating_sub(confirmed.boot_ms)
                .saturating_add(confirmed.age_ms)
        })
    }

    /// A new stream: answers to questions on the one before count for nothing.
    pub(crate) fn forget_questions(&self) {
        self.state().asked.clear();
    }

    /// Asks; the answer must carry this back.
    pub(crate) fn ask(&self) -> u64 {
        // 0 means "no answer" on the wire.
        let now = self.clock.boot_ms().max(1);
        let mut state = self.state();
        if state.asked.len() == QUESTIONS_MAX {
            state.asked.remove(0);
        }
        state.asked.push(now);
        now
    }

    /// An answer came that names what runs. Counts only if we asked, and the replica had looked just before.
    pub(crate) fn confirm(&self, sent_ms: u64, read_age_ms: u64) -> bool {
        let now = self.clock.boot_ms();
        let mut state = self.state();
        if sent_ms == 0 || read_age_ms >= READ_AGE_MAX_MS || !state.asked.contains(&sent_ms) {
            return false;
        }
        // One answer per question, and none to those before it.
        state.asked.retain(|asked| *asked > sent_ms);
        // It was true when the replica read, which was at the earliest so long before we asked.
        let age_ms = now.saturating_sub(sent_ms).saturating_add(read_age_ms);
        let held = state
            .confirmed
            .map(|held| now.saturating_sub(held.boot_ms).saturating_add(held.age_ms));
        if held.is_none_or(|held| age_ms < held) {
            state.confirmed = Some(Confirmed { boot_ms: now, age_ms });
        }
        true
    }

    /// What to write down now; none if nothing was ever confirmed.
    pub(crate) fn remembered(&self) -> Option<Remembered> {
        self.state().confirmed?;
        let age_ms = self.age_ms();
        Some(Remembered {
            confirmed_wall_ms: self.clock.wall_ms().saturating_sub(age_ms),
            age_ms,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
