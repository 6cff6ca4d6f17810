//! How long a server that has gone is left alone before it is begun with again.
//!
//! **Invariant**: one that keeps going is not begun with in a tight loop.

use std::time::Duration;

/// It is left alone for so long, then for twice as long, and so on up to the last.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_mins(1);
/// One that lived for so long is begun with again as if it had never gone.
const LIVED_MIN: Duration = Duration::from_mins(2);

/// How long it is left alone.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(AGAIN_MIN)
    }
}

impl Pause {
    /// After a life of so long.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= LIVED_MIN {
            self.0 = AGAIN_MIN;
        }
        let now = self.0;
        self.0 = (now * 2).min(AGAIN_MAX);
        now
    }
}

#[cfg(test)]
mod tests;
