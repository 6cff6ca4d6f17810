//! Groups of approvers: who is in one, who stands in for whom, and who is asked once nobody answers or while people sleep.
//!
//! **Invariant**: pure meaning. A group says who may answer *from when*; whether that moment has come is asked of the one
//! clock that counts, the database's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::identity::SpiffeId;

/// Minutes of a day.
pub const DAY_MINUTES: u32 = 24 * 60;
const DAY_MS: i64 = DAY_MINUTES as i64 * MINUTE_MS;
const MINUTE_MS: i64 = 60_000;

/// A human, by whatever identities: two names that differ in case only are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person(String);

/// Those who may answer, and the rules of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its people.
    pub members: BTreeSet<SpiffeId>,
    /// Who of them never answers.
    pub excludes: BTreeSet<Exclusion>,
    /// Who counts in the place of a member who is away.
    pub deputies: BTreeMap<SpiffeId, SpiffeId>,
    /// Who is asked as well, once nobody has answered for a while.
    pub escalation: Option<Escalation>,
    /// When its people are not to be woken.
    pub quiet: Option<Quiet>,
    /// The group of which two may let something happen that this one did not answer.
    pub break_glass: Option<String>,
}

/// Whom a group leaves out, beside those who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusion {
    /// Whoever answers for an agent of the chain in the register of agents.
    AgentOwner,
}

/// Who is asked as well, and after how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// From the moment the action was held.
    pub after_ms: u64,
    /// Another group.
    pub to: String,
}

/// Hours of every day in which people are not to be woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// The first minute of them, by the clock on the wall.
    pub from: u32,
    /// The first minute after them; before `from`: on the next day.
    pub to: u32,
    /// How many minutes the clock on the wall is ahead of UTC.
    pub utc_offset: i32,
    /// What happens then.
    pub then: Then,
}

/// What happens in quiet hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// This group is asked as well, at once.
    Ask(String),
    /// Nobody else is, and the time does not count towards escalation.
    Wait,
}

/// Why another group is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Nobody had answered for as long as the group has.
    Unanswered,
    /// It was night.
    Quiet,
}

impl Person {
    /// Whose identity this is.
    pub fn of(id: &SpiffeId) -> Self {
        Self(id.name().to_lowercase())
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Exclusion {
    /// Every one of them.
    pub const ALL: [Self; 1] = [Self::AgentOwner];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentOwner => "agent_owner",
        }
    }

    /// The one of this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

impl Why {
    /// The word for it in rows and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Quiet => "quiet_hours",
        }
    }

    /// The one of this word.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Unanswered, Self::Quiet]
            .into_iter()
            .find(|why| why.as_str() == word)
    }
}

impl Group {
    /// A group of these, and nothing else.
    pub fn of(members: impl IntoIterator<Item = SpiffeId>) -> Self {
        Self {
            members: members.into_iter().collect(),
            ..Self::default()
        }
    }

    /// How many people it has, whatever identities they have.
    pub fn people(&self) -> usize {
        self.members.iter().map(Person::of).collect::<BTreeSet<_>>().len()
    }

    /// The groups that are asked as well of what it is asked at this moment: from when on, and why.
    pub fn asks(&self, asked_ms: u64) -> Vec<(&str, u64, Why)> {
        let mut also = Vec::new();
        if let Some(escalation) = &self.escalation {
            let at_ms = match &self.quiet {
                Some(quiet) if quiet.then == Then::Wait => quiet.after_waking(asked_ms, escalation.after_ms),
                _ => asked_ms.saturating_add(escalation.after_ms),
            };
            also.push((&*escalation.to, at_ms, Why::Unanswered));
        }
        if let Some((quiet, to)) = self.quiet.as_ref().and_then(Quiet::asking) {
            also.push((to, quiet.next(asked_ms), Why::Quiet));
        }
        also
    }

    /// The other groups that it names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let escalation = self.escalation.as_ref().map(|escalation| &*escalation.to);
        let quiet = self.quiet.as_ref().and_then(Quiet::asking).map(|(_, to)| to);
        escalation.into_iter().chain(quiet)
    }
}

impl Quiet {
    fn asking(&self) -> Option<(&Self, &str)> {
        match &self.then {
            Then::Ask(to) => Some((self, to)),
            Then::Wait => None,
        }
    }

    /// Whether this moment is in them.
    pub fn contains(&self, at_ms: u64) -> bool {
        self.left(at_ms).is_some()
    }

    /// The first moment in them that is not before this one.
    pub fn next(&self, at_ms: u64) -> u64 {
        if self.contains(at_ms) {
            return at_ms;
        }
        at_ms.saturating_add(self.until(self.from, at_ms))
    }

    /// The moment at which so much time outside of them has passed.
    fn after_waking(&self, from_ms: u64, mut waking_ms: u64) -> u64 {
        let mut at_ms = from_ms;
        if self.from == self.to {
            return at_ms.saturating_add(waking_ms);
        }
        loop {
            if let Some(left_ms) = self.left(at_ms) {
                at_ms = at_ms.saturating_add(left_ms);
            }
            let awake_ms = self.until(self.from, at_ms);
            if waking_ms <= awake_ms || at_ms == u64::MAX {
                return at_ms.saturating_add(waking_ms);
            }
            waking_ms -= awake_ms;
            at_ms = at_ms.saturating_add(awake_ms);
        }
    }

    /// How much is left of them at this moment; none: it is not in them.
    fn left(&self, at_ms: u64) -> Option<u64> {
        let whole_ms = i64::from((self.to + DAY_MINUTES - self.from) % DAY_MINUTES) * MINUTE_MS;
        let since_ms = (self.on_the_wall(at_ms) - i64::from(self.from) * MINUTE_MS).rem_euclid(DAY_MS);
        u64::try_from(whole_ms - since_ms)
            .ok()
            .filter(|left_ms| *left_ms > 0)
    }

    /// From this moment to the next time that the clock on the wall shows this minute.
    fn until(&self, minute: u32, at_ms: u64) -> u64 {
        let away_ms = (i64::from(minute) * MINUTE_MS - self.on_the_wall(at_ms)).rem_euclid(DAY_MS);
        u64::try_from(away_ms).unwrap_or_default()
    }

    /// Milliseconds of the day, by the clock on the wall.
    fn on_the_wall(&self, at_ms: u64) -> i64 {
        let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX - DAY_MS);
        (at_ms + i64::from(self.utc_offset) * MINUTE_MS).rem_euclid(DAY_MS)
    }
}

#[cfg(test)]
mod tests;
