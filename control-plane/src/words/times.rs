//! Times as people say them.

use std::time::{Duration, UNIX_EPOCH};

/// The last millisecond RFC 3339 can write: the end of year 9999.
const RFC3339_MS_MAX: u64 = 253_402_300_799_999;

/// A moment for scripts: RFC 3339 in UTC; none for 0, which means never.
pub(crate) fn rfc3339(at_ms: u64) -> Option<String> {
    let at = UNIX_EPOCH + Duration::from_millis(at_ms.min(RFC3339_MS_MAX));
    (at_ms != 0).then(|| humantime::format_rfc3339_millis(at).to_string())
}

/// A moment as seen from now: `12 min ago`, `in 3 h`; `never` for 0.
pub(crate) fn relative(at_ms: u64, now_ms: u64) -> String {
    match at_ms {
        0 => "never".to_owned(),
        _ if at_ms.abs_diff(now_ms) < 1_000 => "now".to_owned(),
        _ if at_ms > now_ms => format!("in {}", span(at_ms - now_ms)),
        _ => format!("{} ago", span(now_ms - at_ms)),
    }
}

/// A length of time in its largest unit: `850 ms`, `12 min`.
pub(crate) fn span(ms: u64) -> String {
    let (value, unit) = match ms {
        0..1_000 => (ms, "ms"),
        1_000..120_000 => (ms / 1_000, "s"),
        120_000..7_200_000 => (ms / 60_000, "min"),
        7_200_000..172_800_000 => (ms / 3_600_000, "h"),
        _ => (ms / 86_400_000, "d"),
    };
    format!("{value} {unit}")
}
