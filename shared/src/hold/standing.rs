//! Standing approvals: what people let happen again, and in which bounds.
//!
//! An approval is of one action. With terms it is also of further ones that are like it: each argument exactly as it was
//! shown, unless the approver said that it may differ, and how far.
//!
//! **Invariant**: bounds never cover more than what was shown allows. What the tool acts on and what is masked are always
//! exactly as shown; a number may only be smaller, and never below zero; whatever can't be compared is not covered.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::action::{Arguments, Json, Number};
use crate::label::Label;
use crate::text::shown;

/// A standing approval holds at most this long, and never longer than its task.
pub const STANDING_MS_MAX: u64 = 8 * 60 * 60 * 1_000;
/// A standing approval lets at most so many actions happen.
pub const STANDING_TIMES_MAX: u32 = 100;
/// At most so many holds are answered in one request.
pub const TOGETHER_MAX: usize = 100;

/// What a person who approves an action lets happen again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// For how long from when the action is approved.
    pub for_ms: u64,
    /// How often, without the action itself.
    pub times: u32,
    /// How far the arguments may differ from those that were shown.
    pub bounds: Bounds,
    /// What the task carried when the approver looked: with more than that, people are asked.
    pub labels: BTreeSet<Label>,
}

/// Where an action may differ from the one that was shown. Every argument that is not named is exactly as shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Numbers that may be anything from zero to this.
    pub at_most: BTreeMap<String, Number>,
    /// Arguments of any value.
    pub any: BTreeSet<String>,
}

/// How far one argument may differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound<'a> {
    /// Not at all.
    Exactly(&'a Json),
    /// From zero to this.
    AtMost(&'a Number),
    /// In any way.
    Any,
}

/// Terms that cover more than an approver may allow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TooWide {
    /// Longer than may be.
    #[error("a standing approval holds for at most 8 h")]
    Long,
    /// More often than may be.
    #[error("a standing approval lets at most {STANDING_TIMES_MAX} actions happen")]
    Often,
    /// No time, or no action.
    #[error("terms need a time and a number of times that are more than zero")]
    Nothing,
    /// Bounds for what is not there.
    #[error("the action has no argument `{0}`: name one that it was shown with")]
    NoArgument(String),
    /// Both at once.
    #[error("`{0}` can be of any value or at most a number, not both")]
    Twice(String),
    /// What may never differ.
    #[error("`{0}` says what the tool acts on, and is always exactly as shown")]
    Resource(String),
    /// What nobody can read.
    #[error("`{0}` is masked, and is always exactly the same value")]
    Masked(String),
    /// A number may be smaller, and not just anything.
    #[error("`{0}` is a number: say how much it may be at most, up to what was shown")]
    AnyNumber(String),
    /// Only numbers have a most.
    #[error("`{0}` is no number of at least zero, and is exactly as shown or of any value")]
    NoNumber(String),
    /// More than was shown.
    #[error("`{argument}` was shown as {shown}: it may be from 0 to that, and not `{asked}`")]
    More {
        /// Which argument.
        argument: String,
        /// What it was.
        shown: String,
        /// What was asked for.
        asked: String,
    },
    /// The arguments have no bounds.
    #[error("the held arguments can't be read again, and nothing like them can be approved")]
    Unreadable,
}

impl Terms {
    /// Whether a person may give these on an action with these arguments, of which those that are fixed say what it acts on.
    pub fn check(&self, held: &Arguments, fixed: &[String]) -> Result<(), TooWide> {
        if self.for_ms == 0 || self.times == 0 {
            return Err(TooWide::Nothing);
        }
        if self.for_ms > STANDING_MS_MAX {
            return Err(TooWide::Long);
        }
        if self.times > STANDING_TIMES_MAX {
            return Err(TooWide::Often);
        }
        self.bounds.check(held, fixed)
    }

    /// What two people both let happen; none if there is no action that both do.
    #[must_use]
    pub fn meet(&self, other: &Self, held: &Arguments) -> Option<Self> {
        Some(Self {
            for_ms: self.for_ms.min(other.for_ms),
            times: self.times.min(other.times),
            bounds: self.bounds.meet(&other.bounds, held)?,
            labels: self.labels.intersection(&other.labels).cloned().collect(),
        })
    }
}

impl Bounds {
    /// The widest that a person may allow.
    pub fn widest(held: &Arguments, fixed: &[String]) -> Self {
        let mut widest = Self::default();
        for (name, value) in held.members() {
            if fixed.iter().any(|fixed| fixed == name) || is_masked(value) {
                continue;
            }
            match value {
                Json::Number(number) if is_amount(number) => {
                    widest.at_most.insert(name.to_owned(), number.clone());
                }
                Json::Number(_) => {}
                _ => {
                    widest.any.insert(name.to_owned());
                }
            }
        }
        widest
    }

    /// The bound of one argument that was shown with this value.
    pub fn of<'a>(&'a self, name: &str, shown: &'a Json) -> Bound<'a> {
        match self.at_most.get(name) {
            Some(most) => Bound::AtMost(most),
            None if self.any.contains(name) => Bound::Any,
            None => Bound::Exactly(shown),
        }
    }

    /// Whether an action with these arguments is like the one that was shown, within these bounds.
    pub fn admit(&self, held: &Arguments, asked: &Arguments) -> bool {
        // Both are sorted by name: the same names, one by one.
        held.members().count() == asked.members().count()
            && held
                .members()
                .zip(asked.members())
                .all(|((name, shown), (other, value))| name == other && self.of(name, shown).admits(value))
    }

    fn check(&self, held: &Arguments, fixed: &[String]) -> Result<(), TooWide> {
        for name in self.at_most.keys().chain(&self.any) {
            let value = held.get(name).ok_or_else(|| TooWide::NoArgument(shown(name)))?;
            if fixed.contains(name) {
                return Err(TooWide::Resource(name.clone()));
            }
            if is_masked(value) {
                return Err(TooWide::Masked(name.clone()));
            }
            let is_number = matches!(value, Json::Number(_));
            match (self.at_most.get(name), value) {
                (Some(_), _) if self.any.contains(name) => return Err(TooWide::Twice(name.clone())),
                (Some(most), Json::Number(number)) if is_amount(number) => {
                    if !is_amount(most) || !is_at_most(most, number) {
                        return Err(TooWide::More {
                            argument: name.clone(),
                            shown: shown(number.as_str()),
                            asked: shown(most.as_str()),
                        });
                    }
                }
                (Some(_), _) => return Err(TooWide::NoNumber(name.clone())),
                (None, _) if is_number => return Err(TooWide::AnyNumber(name.clone())),
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn meet(&self, other: &Self, held: &Arguments) -> Option<Self> {
        let mut both = Self::default();
        for (name, value) in held.members() {
            match (self.of(name, value), other.of(name, value)) {
                (Bound::Any, Bound::Any) => {
                    both.any.insert(name.to_owned());
                }
                (Bound::AtMost(one), Bound::AtMost(two)) => {
                    let less = if is_at_most(one, two) { one } else { two };
                    both.at_most.insert(name.to_owned(), less.clone());
                }
                (Bound::AtMost(one), Bound::Any) | (Bound::Any, Bound::AtMost(one)) => {
                    both.at_most.insert(name.to_owned(), one.clone());
                }
                (exactly @ Bound::Exactly(value), bound) | (bound, exactly @ Bound::Exactly(value)) => {
                    // One lets it be only as it was shown, and the other only less.
                    if bound != exactly && !bound.admits(value) {
                        return None;
                    }
                }
            }
        }
        Some(both)
    }
}

impl Bound<'_> {
    fn admits(&self, value: &Json) -> bool {
        match (self, value) {
            // As it is written, and not only as it is meant: 10 and 10.0 may be one for us and two for a tool.
            (Self::Exactly(shown), value) => *shown == value,
            (Self::AtMost(most), Json::Number(number)) => is_amount(number) && is_at_most(number, most),
            (Self::AtMost(_), _) => false,
            (Self::Any, value) => !is_masked(value),
        }
    }
}

/// Whether this is written as a masked value is. Whatever looks like one is treated as one.
fn is_masked(value: &Json) -> bool {
    matches!(value, Json::Object(members) if matches!(&members[..], [(name, _)] if name == "masked"))
}

/// Of less than nothing, "at most" would say nothing.
fn is_amount(number: &Number) -> bool {
    let zero = Number::parse("0");
    zero.is_some_and(|zero| is_at_most(&zero, number))
}

fn is_at_most(number: &Number, most: &Number) -> bool {
    matches!(number.compare(most), Some(Ordering::Less | Ordering::Equal))
}

#[cfg(test)]
mod tests;
