//! The ids of everything that has one: typed, prefixed (`hold_…`), a version 7 UUID inside, so that they sort by time.
//!
//! **Invariant**: an id is made from a clock and parsed with its prefix; one kind is never taken for another. The list at
//! the end only grows.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;
use uuid::{Builder, Uuid};

use crate::clock::Clock;
use crate::text::shown;

/// A UUID without dashes has so many digits.
const UUID_DIGITS: usize = 32;

/// A text that is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a {kind} id: expected `{kind}_` and a UUID without dashes")]
pub struct InvalidId {
    /// The prefix that was expected.
    kind: &'static str,
    /// What was given, cut to a length that is safe to show.
    text: String,
}

/// Counts what the control plane publishes: gap-free, never reused. Zero: nothing yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Random bytes for ids, nonces and secrets.
///
/// # Panics
/// Never: the operating system's generator does not fail once the machine has booted.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "an operating system without randomness runs nothing at all"
    )]
    // INVARIANT: getrandom(2) can't fail after boot.
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system gives random bytes");
    bytes
}

fn new_uuid(clock: &dyn Clock) -> Uuid {
    Builder::from_unix_timestamp_millis(clock.wall_ms(), &random_bytes::<10>()).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh id. It sorts after those made in earlier milliseconds; within one there is no order.
            pub fn new(clock: &dyn Clock) -> Self {
                Self(new_uuid(clock))
            }

            /// As it stands in a database row.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// From a database row of this kind.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    // One text for one id: dashes, braces and `urn:` are another's way to write it.
                    .filter(|rest| rest.len() == UUID_DIGITS)
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map(Self)
                    .ok_or_else(|| InvalidId { kind: $prefix, text: shown(text) })
            }
        }
    )*};
}

ids! {
    /// A decision of an enforcer.
    DecisionId = "dec";
    /// An action that waits for people.
    HoldId = "hold";
    /// A unit of authority.
    TaskId = "task";
    /// A signed token of a task.
    GrantId = "grant";
    /// A directory from which an enforcer runs.
    InstanceId = "inst";
    /// A stream between an enforcer and a replica.
    SessionId = "sess";
    /// A running control plane.
    ReplicaId = "replica";
    /// A proof of possession.
    ProofId = "proof";
    /// A part of budgets that an enforcer holds.
    SliceId = "slice";
    /// A standing approval.
    StandingId = "standing";
    /// A message to people about a hold.
    NotificationId = "notification";
}

#[cfg(test)]
mod tests;
