//! What a browser keeps while its person is at the issuer.
//!
//! **Invariant**: what comes back is believed only from the browser that was sent, and only for a while: the state that the
//! issuer returns is a keyed hash of all that the cookie says, under a key that is in that cookie and nowhere else.

use axum::http::header::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_shared::action::Sha256;
use checkrein_shared::id::random_bytes;

use super::super::cookie::Cookie;
use crate::caller::Attempt;

/// How long a person may take at the issuer.
const START_MAX_MS: u64 = 10 * 60_000;
/// A page to come back to has an address of at most so many bytes.
const NEXT_BYTES_MAX: usize = 1_024;
/// Keeps it meanwhile.
const START: Cookie = Cookie {
    secure: "__Host-checkrein-start",
    plain: "checkrein-start",
};

/// One browser's way to the issuer and back.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Start {
    secret: String,
    begun_ms: u64,
    /// Where to go once it is back.
    pub(super) next: String,
}

impl Start {
    /// One that nobody can guess.
    pub(super) fn fresh(now_ms: u64, next: &str) -> Self {
        let next = if next.len() <= NEXT_BYTES_MAX { next } else { "/" };
        Self {
            secret: URL_SAFE_NO_PAD.encode(random_bytes::<32>()),
            begun_ms: now_ms,
            next: next.to_owned(),
        }
    }

    /// The one that a browser kept, if this state came of it, and not too long ago.
    pub(super) fn returned(headers: &HeaderMap, is_secure: bool, state: &str, now_ms: u64) -> Option<Self> {
        let start = Self::read(headers, is_secure)?;
        // One replica may have sent it and another take it back, and their clocks differ.
        let is_recent = now_ms.saturating_sub(start.begun_ms) <= START_MAX_MS;
        // Of digests, so that how long it takes says nothing of what was expected.
        let digest = |state: &str| Sha256::of(state.as_bytes());
        let is_its = digest(state) == digest(&start.attempt().state);
        (is_recent && is_its).then_some(start)
    }

    /// What the issuer is told of it.
    pub(super) fn attempt(&self) -> Attempt {
        Attempt::of(&self.secret, &format!("{}\0{}", self.begun_ms, self.next))
    }

    /// The cookie that keeps it.
    pub(super) fn cookie(&self, is_secure: bool) -> String {
        let next = URL_SAFE_NO_PAD.encode(&self.next);
        let value = format!("{}.{}.{next}", self.secret, self.begun_ms);
        START.set(&value, is_secure, Some(START_MAX_MS / 1_000))
    }

    fn read(headers: &HeaderMap, is_secure: bool) -> Option<Self> {
        let value = START.read(headers, is_secure)?;
        let mut parts = value.splitn(3, '.');
        let (secret, begun, next) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            secret: secret.to_owned(),
            begun_ms: begun.parse().ok()?,
            next: String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?,
        })
    }
}

/// The cookie that takes the place of the one that was kept.
pub(super) fn forgotten(is_secure: bool) -> String {
    START.set("", is_secure, Some(0))
}

#[cfg(test)]
mod tests;
