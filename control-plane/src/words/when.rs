//! Moments as people type them.

use std::time::{Duration, SystemTime};

/// A moment: `1h` ago, or an RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// This long before now.
    Ago(Duration),
    /// Then.
    At(u64),
}

impl When {
    /// Milliseconds since the Unix epoch.
    pub(crate) fn resolve(self, now_ms: u64) -> u64 {
        match self {
            Self::Ago(ago) => now_ms.saturating_sub(millis(ago)),
            Self::At(at_ms) => at_ms,
        }
    }
}

/// `1h` ago, or `2026-03-01T12:00:00Z`.
pub(crate) fn when(text: &str) -> Result<When, String> {
    if let Ok(duration) = humantime::parse_duration(text) {
        return Ok(When::Ago(duration));
    }
    let at = humantime::parse_rfc3339_weak(text).map_err(|_| {
        "expected a duration such as `1h`, or a time such as `2026-03-01T12:00:00Z`".to_owned()
    })?;
    Ok(When::At(millis(
        at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
    )))
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
