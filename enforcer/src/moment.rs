//! A moment, as programs read it.

use std::time::{Duration, UNIX_EPOCH};

/// The last moment that has four digits for its year.
const LAST_MS: u64 = 253_402_300_799_999;

/// Milliseconds since the Unix epoch as RFC 3339 has them, in UTC.
pub(crate) fn rfc3339(ms: u64) -> String {
    let moment = UNIX_EPOCH + Duration::from_millis(ms.min(LAST_MS));
    humantime::format_rfc3339_millis(moment).to_string()
}
