//! When a delivery that failed is tried again, and when it is given up.

use std::time::Duration;

use checkrein_shared::id::random_bytes;

/// So often is a message tried.
pub(super) const ATTEMPTS_MAX: u32 = 12;
/// For so long; then what it tells is no news.
pub(super) const AGE_MAX: Duration = Duration::from_hours(24);
/// Before the second try; doubled with each further one.
const WAIT_FIRST: Duration = Duration::from_secs(5);
/// Between two tries, unless the receiver asks for longer.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// How long to wait after a try that failed; none: give up. At least as long as the receiver asked, and at least half of what
/// doubles, so that many messages don't come back together.
pub(super) fn wait_after(attempt: u32, age: Duration, asked: Option<Duration>) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let doubled = WAIT_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let half = doubled.min(WAIT_MAX) / 2;
    let wait = (half + random_below(half)).max(asked.unwrap_or_default());
    (age + wait <= AGE_MAX).then_some(wait)
}

fn random_below(bound: Duration) -> Duration {
    let bound_ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(u64::from_le_bytes(random_bytes()) % bound_ms)
}
