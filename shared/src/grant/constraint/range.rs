//! A number within bounds.
//!
//! **Invariant**: compared exactly, digit by digit; no bound is rounded. At least one bound is there.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::member::{Members, number_of, plain, wrong};
use super::{CONSTRAINT_TEXT_BYTES_MAX, InvalidConstraint, Refused, met};
use crate::action::{Json, Number};

/// A number within bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    min: Option<Bound>,
    max: Option<Bound>,
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The number.
    pub number: Number,
    /// Whether the number itself is within.
    pub is_inclusive: bool,
}

impl Range {
    pub(super) fn read(members: &mut Members<'_>) -> Result<Self, InvalidConstraint> {
        let min = read_bound(members, "min", "min_inclusive")?;
        let max = read_bound(members, "max", "max_inclusive")?;
        match (&min, &max) {
            (None, None) => Err(InvalidConstraint::MissingMember("range".into(), "min")),
            (Some(min), Some(max)) if order(&min.number, &max.number) == Some(Ordering::Greater) => {
                Err(wrong("min", "it is greater than `max`"))
            }
            _ => Ok(Self { min, max }),
        }
    }

    pub(super) fn write(&self) -> Value {
        let mut range = json!({"constraint_type": "range"});
        let ends = [
            ("min", "min_inclusive", &self.min),
            ("max", "max_inclusive", &self.max),
        ];
        for (name, inclusive, bound) in ends {
            if let Some(bound) = bound {
                range[name] = write_number(&bound.number);
                range[inclusive] = bound.is_inclusive.into();
            }
        }
        range
    }

    pub(super) fn admits(&self, value: &Json) -> Result<(), Refused> {
        let Json::Number(number) = value else {
            return Err(Refused("it is not a number"));
        };
        let is_above = self
            .min
            .as_ref()
            .is_none_or(|min| min.is_met(order(number, &min.number)));
        met(is_above, "the number is less than is allowed")?;
        let is_below = self
            .max
            .as_ref()
            .is_none_or(|max| max.is_met(order(&max.number, number)));
        met(is_below, "the number is greater than is allowed")
    }

    pub(super) fn narrows(&self, parent: &Self) -> bool {
        let is_inside = |child: &Option<Bound>, parent: &Option<Bound>, is_min: bool| match (child, parent) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(child), Some(parent)) => {
                let order = if is_min {
                    order(&child.number, &parent.number)
                } else {
                    order(&parent.number, &child.number)
                };
                order == Some(Ordering::Greater)
                    || order == Some(Ordering::Equal) && (parent.is_inclusive || !child.is_inclusive)
            }
        };
        is_inside(&self.min, &parent.min, true) && is_inside(&self.max, &parent.max, false)
    }
}

impl Bound {
    fn is_met(&self, order: Option<Ordering>) -> bool {
        order == Some(Ordering::Greater) || self.is_inclusive && order == Some(Ordering::Equal)
    }
}

fn order(left: &Number, right: &Number) -> Option<Ordering> {
    left.compare(right)
}

/// A bound as a JSON number, or as the text of one: then JSON libraries keep all its digits.
fn read_bound(
    members: &mut Members<'_>,
    name: &'static str,
    inclusive: &'static str,
) -> Result<Option<Bound>, InvalidConstraint> {
    let number = match members.optional(name) {
        None => return Ok(None),
        Some(Json::Number(number)) => Some(number.clone()),
        Some(Json::String(text)) if text.len() <= CONSTRAINT_TEXT_BYTES_MAX => Number::parse(text),
        Some(_) => None,
    };
    let number = number
        .filter(|number| number.as_str().len() <= CONSTRAINT_TEXT_BYTES_MAX)
        .ok_or_else(|| wrong(name, "it must be a number, or the text of one"))?;
    let is_inclusive = match members.optional(inclusive) {
        None => true,
        Some(Json::Bool(is)) => *is,
        Some(_) => return Err(wrong(inclusive, "it must be true or false")),
    };
    let number = plain(&number).unwrap_or(number);
    Ok(Some(Bound { number, is_inclusive }))
}

fn write_number(number: &Number) -> Value {
    match number_of(number) {
        Some(kept) if kept.to_string() == number.as_str() => kept.into(),
        _ => number.as_str().into(),
    }
}
