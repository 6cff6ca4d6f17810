//! What people can be told of. A new kind is a variant and a row of the table; whatever finds out that it happened hands it to
//! `gather`.

use std::str::FromStr;

use thiserror::Error;

use Kind::{
    HoldApproved, HoldAsked, HoldCancelled, HoldDenied, HoldEscalated, HoldExpired, HoldGlassBroken,
    HoldGlassRequested, HoldHandedOn, HoldOpened, HoldReminder, HoldUnknown, StandingGiven, StandingRevoked,
    StandingUsed, Test,
};

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An action waits for people.
    HoldOpened,
    /// It still does, and its deadline is near.
    HoldReminder,
    /// Somebody has to know more before they answer.
    HoldAsked,
    /// Somebody wants somebody else to answer.
    HoldHandedOn,
    /// A further group is asked: others have not answered in their time, or sleep.
    HoldEscalated,
    /// The first of two people wants it to happen over others whose answer is missing.
    HoldGlassRequested,
    /// People said yes.
    HoldApproved,
    /// Two people let it happen over others whose answer was missing.
    HoldGlassBroken,
    /// A person said no, before or after a yes.
    HoldDenied,
    /// Nobody answered in time.
    HoldExpired,
    /// It waits no longer: its task ended, or the same was denied.
    HoldCancelled,
    /// It was released, and nobody knows what came of it.
    HoldUnknown,
    /// People let actions like it happen again.
    StandingGiven,
    /// One was let happen without asking.
    StandingUsed,
    /// A person ended that.
    StandingRevoked,
    /// An operator tries a channel.
    Test,
}

/// A word that names no kind that a channel can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no event; there are {all}", all = Kind::words().join(", "))]
pub struct InvalidKind(String);

/// Each kind: its word in configs and events, what a message about it begins with, whether channels that ask for nothing in
/// particular hear of it.
const TABLE: [(Kind, &str, &str, bool); 16] = [
    (HoldOpened, "hold.opened", "An action waits for your answer", true),
    (
        HoldReminder,
        "hold.reminder",
        "An action still waits, and its deadline is near",
        true,
    ),
    (
        HoldAsked,
        "hold.asked",
        "Somebody asks something before an action is answered",
        true,
    ),
    (
        HoldHandedOn,
        "hold.handed_on",
        "An action that waits was handed on",
        true,
    ),
    (
        HoldEscalated,
        "hold.escalated",
        "An action that others have not answered waits for you as well",
        true,
    ),
    (
        HoldGlassRequested,
        "hold.glass_requested",
        "Somebody wants to break the glass, which takes two",
        true,
    ),
    (HoldApproved, "hold.approved", "An action was approved", true),
    (
        HoldGlassBroken,
        "hold.glass_broken",
        "An action was approved by breaking the glass, and awaits a review",
        true,
    ),
    (HoldDenied, "hold.denied", "An action was denied", true),
    (HoldExpired, "hold.expired", "Nobody answered in time", true),
    (
        HoldCancelled,
        "hold.cancelled",
        "An action no longer waits for an answer",
        false,
    ),
    (
        HoldUnknown,
        "hold.unknown",
        "An action was released, and nobody knows what came of it",
        true,
    ),
    (
        StandingGiven,
        "standing.given",
        "Actions like this one may happen again without asking",
        true,
    ),
    (
        StandingUsed,
        "standing.used",
        "An action happens under a standing approval",
        false,
    ),
    (
        StandingRevoked,
        "standing.revoked",
        "A standing approval was revoked",
        true,
    ),
    (Test, "test", "This is a test: nothing waits", false),
];

impl Kind {
    /// As configs and events say it.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// What a message begins with.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// Whether there is still something to be done in time.
    pub const fn awaits_an_answer(self) -> bool {
        matches!(
            self,
            HoldOpened | HoldReminder | HoldAsked | HoldHandedOn | HoldEscalated | HoldGlassRequested
        )
    }

    /// What a channel hears of that asks for nothing in particular.
    pub fn usual() -> impl Iterator<Item = Self> {
        TABLE
            .iter()
            .filter(|(_, _, _, usual)| *usual)
            .map(|(kind, ..)| *kind)
    }

    /// A kind that a channel asks for.
    pub(super) fn asked(word: &str) -> Result<Self, InvalidKind> {
        word.parse().and_then(|kind| match kind {
            Test => Err(InvalidKind(word.to_owned())),
            kind => Ok(kind),
        })
    }

    /// The words that a channel may ask for.
    fn words() -> Vec<&'static str> {
        TABLE
            .iter()
            .filter(|(kind, ..)| *kind != Test)
            .map(|(_, word, ..)| *word)
            .collect()
    }

    fn row(self) -> &'static (Self, &'static str, &'static str, bool) {
        TABLE
            .iter()
            .find(|(kind, ..)| *kind == self)
            // INVARIANT: a test finds every kind in the table.
            .unwrap_or(&TABLE[TABLE.len() - 1])
    }
}

impl FromStr for Kind {
    type Err = InvalidKind;

    fn from_str(text: &str) -> Result<Self, InvalidKind> {
        let found = TABLE.iter().find(|(_, word, ..)| *word == text);
        found
            .map(|(kind, ..)| *kind)
            .ok_or_else(|| InvalidKind(text.to_owned()))
    }
}
