//! Durations as people write them in packs: `30s`, `10m`, `2h`. One number, one unit, nothing else.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// The longest duration a pack may name: 30 days.
pub const DURATION_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1_000;

/// A duration of a pack, at least a second and at most [`DURATION_MS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DurationMs(pub(super) u64);

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum InvalidDuration {
    /// Not a number and a unit.
    #[error("`{0}` is not a duration; write `30s`, `10m` or `2h`")]
    Syntax(String),
    /// Zero, or longer than anything here should wait.
    #[error("`{0}` is out of range; a duration lies between `1s` and `720h`")]
    Range(String),
}

impl DurationMs {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidDuration> {
        let shown = || text.chars().take(64).collect::<String>();
        let unit_ms = match text.as_bytes().last() {
            Some(b's') => 1_000,
            Some(b'm') => 60_000,
            Some(b'h') => 3_600_000,
            _ => return Err(InvalidDuration::Syntax(shown())),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidDuration::Syntax(shown()));
        }
        let number: Option<u64> = digits.parse().ok();
        match number.and_then(|number| number.checked_mul(unit_ms)) {
            Some(ms @ 1..=DURATION_MS_MAX) => Ok(Self(ms)),
            _ => Err(InvalidDuration::Range(shown())),
        }
    }
}

impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms => write!(f, "{}s", ms / 1_000),
        }
    }
}

impl<'de> Deserialize<'de> for DurationMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
