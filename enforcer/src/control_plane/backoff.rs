//! How long to wait before trying again: full jitter, so that a fleet does not come back in step.

use std::time::Duration;

use checkrein_shared::id::random_bytes;

const FIRST: Duration = Duration::from_millis(250);
const MAX: Duration = Duration::from_secs(30);
/// What held this long has recovered: the next failure starts at [`FIRST`] again.
pub(crate) const STABLE: Duration = Duration::from_mins(1);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A random wait below a bound that doubles with each failure, up to [`MAX`].
    pub(crate) fn next(&mut self) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        random_below(bound)
    }

    /// A random wait below [`FIRST`], for what was no failure and still must not bring a whole fleet at once.
    pub(crate) fn first() -> Duration {
        random_below(FIRST)
    }

    /// Forgets the failures if what just ended had lasted.
    pub(crate) fn ended_after(&mut self, lasted: Duration) {
        if lasted >= STABLE {
            self.failures = 0;
        }
    }
}

fn random_below(bound: Duration) -> Duration {
    let bound_us = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(u64::from_le_bytes(random_bytes()) % bound_us)
}
