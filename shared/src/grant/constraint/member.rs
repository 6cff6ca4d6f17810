//! The members of one constraint on their way into it: each taken once, what is left over refused.
//!
//! **Invariant**: a bound that is reached is an error. Nothing is cut off or passed over.

use std::borrow::Cow;

use super::{CONSTRAINT_DEPTH_MAX, CONSTRAINT_ENTRIES_MAX, CONSTRAINT_TEXT_BYTES_MAX, InvalidConstraint};
use crate::action::{Json, Number};
use crate::text::shown;

/// What may still be read of one whole constraint.
pub(super) struct Budget {
    pub(super) depth: usize,
    pub(super) entries: usize,
}

/// The members of an object that were not asked for yet.
pub(super) struct Members<'a> {
    pub(super) ty: &'a str,
    rest: Vec<(&'a str, &'a Json)>,
}

impl Budget {
    pub(super) const fn new() -> Self {
        Self {
            depth: CONSTRAINT_DEPTH_MAX,
            entries: CONSTRAINT_ENTRIES_MAX,
        }
    }

    /// Pays for so many entries.
    pub(super) fn spend(&mut self, entries: usize) -> Result<(), InvalidConstraint> {
        self.entries = self
            .entries
            .checked_sub(entries)
            .ok_or(InvalidConstraint::TooMany)?;
        Ok(())
    }

    /// The entries of a list, of which there must be one: an empty list is a slip more often than a wish.
    pub(super) fn list<'a>(
        &mut self,
        name: &'static str,
        value: &'a Json,
    ) -> Result<&'a [Json], InvalidConstraint> {
        match value {
            Json::Array(elements) if !elements.is_empty() => {
                self.spend(elements.len())?;
                Ok(elements)
            }
            _ => Err(wrong(name, "it must be a list with at least one entry")),
        }
    }

    /// A list of texts.
    pub(super) fn texts(
        &mut self,
        name: &'static str,
        value: &Json,
    ) -> Result<Vec<String>, InvalidConstraint> {
        let texts = self.list(name, value)?.iter();
        texts.map(|value| text(name, value).map(str::to_owned)).collect()
    }

    /// Values to compare with.
    pub(super) fn values(
        &mut self,
        name: &'static str,
        value: &Json,
    ) -> Result<Vec<Json>, InvalidConstraint> {
        let values = self.list(name, value)?.iter();
        values.map(|value| self.value(name, value)).collect()
    }

    /// One value to compare with, its numbers written the way [`super::Constraint::to_json`] writes them.
    pub(super) fn value(&mut self, name: &'static str, value: &Json) -> Result<Json, InvalidConstraint> {
        Ok(match value {
            Json::Null | Json::Bool(_) => value.clone(),
            Json::String(_) => Json::String(text(name, value)?.to_owned()),
            Json::Number(number) => Json::Number(plain(number).ok_or_else(|| {
                wrong(
                    name,
                    "a number in it has more digits than are kept; a `range` takes such a number as a text",
                )
            })?),
            Json::Array(elements) => {
                self.spend(elements.len())?;
                let elements = elements.iter().map(|element| self.value(name, element));
                Json::Array(elements.collect::<Result<_, _>>()?)
            }
            Json::Object(members) => {
                self.spend(members.len())?;
                let member =
                    |(key, value): &(String, Json)| Ok((within(key)?.to_owned(), self.value(name, value)?));
                Json::Object(
                    members
                        .iter()
                        .map(member)
                        .collect::<Result<_, InvalidConstraint>>()?,
                )
            }
        })
    }
}

impl<'a> Members<'a> {
    /// Of an object that says its type.
    pub(super) fn of(json: &'a Json) -> Result<Self, InvalidConstraint> {
        let Json::Object(members) = json else {
            return Err(InvalidConstraint::NotAConstraint);
        };
        let mut rest: Vec<_> = members
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let mut names: Vec<_> = rest.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let is_twice = names.windows(2).any(|pair| pair[0] == pair[1]);
        let ty = rest.iter().position(|(name, _)| *name == "constraint_type");
        match ty.map(|at| rest.swap_remove(at).1) {
            Some(Json::String(ty)) if !is_twice => Ok(Self { ty, rest }),
            _ => Err(InvalidConstraint::NotAConstraint),
        }
    }

    /// The member of this name, if it is there.
    pub(super) fn optional(&mut self, name: &str) -> Option<&'a Json> {
        let at = self.rest.iter().position(|(member, _)| *member == name)?;
        Some(self.rest.swap_remove(at).1)
    }

    /// The member of this name.
    pub(super) fn take(&mut self, name: &'static str) -> Result<&'a Json, InvalidConstraint> {
        let missing = || InvalidConstraint::MissingMember(shown(self.ty), name);
        let found = self.rest.iter().position(|(member, _)| *member == name);
        let at = found.ok_or_else(missing)?;
        Ok(self.rest.swap_remove(at).1)
    }

    /// Refuses what nobody asked for.
    pub(super) fn end(self) -> Result<(), InvalidConstraint> {
        match self.rest.first() {
            None => Ok(()),
            Some((name, _)) => Err(InvalidConstraint::UnknownMember(shown(self.ty), shown(name))),
        }
    }
}

/// A member that can't be what it is.
pub(super) fn wrong(name: &'static str, why: impl Into<Cow<'static, str>>) -> InvalidConstraint {
    InvalidConstraint::Member(name, why.into())
}

/// A text within its bound.
pub(super) fn text<'a>(name: &'static str, value: &'a Json) -> Result<&'a str, InvalidConstraint> {
    match value {
        Json::String(text) => within(text),
        _ => Err(wrong(name, "it must be a text")),
    }
}

/// A text that may be as long as this.
fn within(text: &str) -> Result<&str, InvalidConstraint> {
    if text.len() > CONSTRAINT_TEXT_BYTES_MAX {
        return Err(InvalidConstraint::TooLong);
    }
    Ok(text)
}

/// The number as `serde_json` writes it, if that is the same number.
pub(super) fn plain(number: &Number) -> Option<Number> {
    if number.as_str().len() > CONSTRAINT_TEXT_BYTES_MAX {
        return None;
    }
    let written = number_of(number)?.to_string();
    Number::parse(&written).filter(|plain| plain.compare(number).is_some_and(std::cmp::Ordering::is_eq))
}

/// The nearest that `serde_json` has.
pub(super) fn number_of(number: &Number) -> Option<serde_json::Number> {
    if let Some(whole) = number.to_long() {
        return Some(whole.into());
    }
    let whole: Option<u64> = number.as_str().parse().ok();
    match whole {
        Some(whole) => Some(whole.into()),
        None => serde_json::Number::from_f64(number.as_str().parse().ok()?),
    }
}
