//! JSON with one reading: a member stands once, a number keeps its own text.
//!
//! `serde_json` says whether it is JSON and what its strings are; this file only refuses to forget, so that `500.00001` and
//! 2^63 are still what the tool would get. The text is read once from end to end, however deep it goes: it comes from
//! whoever can call, before a grant was looked at.

mod exact;
mod reader;

use std::cmp::Ordering;

use serde::de::IgnoredAny;
use thiserror::Error;

use exact::Exact;
pub(super) use reader::parse_object;

use super::{ARGUMENT_BYTES_MAX, ARGUMENT_DEPTH_MAX};

/// A JSON value. Equal values are written alike; [`Json::same`] asks whether they mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(Number),
    /// A string, unescaped.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// An object, members sorted by name.
    Object(Vec<(String, Json)>),
}

/// A JSON number as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(String);

/// Arguments that can't be judged, because they can't be read in exactly one way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidArguments {
    /// Longer than the bound.
    #[error("the arguments have {0} bytes; at most {ARGUMENT_BYTES_MAX} are read")]
    TooLong(usize),
    /// Deeper than the bound.
    #[error("the arguments are nested deeper than {ARGUMENT_DEPTH_MAX}")]
    TooDeep,
    /// Not JSON, or a member twice.
    #[error("the arguments are not JSON that can be read in one way: {0}")]
    Syntax(String),
    /// JSON, but not an object.
    #[error("the arguments must be a JSON object")]
    NotAnObject,
}

impl Number {
    /// From the text of a JSON number.
    pub fn parse(text: &str) -> Option<Self> {
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        let (first, last) = (text.bytes().next()?, text.bytes().last()?);
        let is_number = (first == b'-' || first.is_ascii_digit()) && last.is_ascii_digit();
        (is_json && is_number).then(|| Self(text.to_owned()))
    }

    /// Which of the two is greater, exactly: 500, 500.0 and 5e2 are equal. None: a power of ten that no 64 bits hold.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        if self.0 == other.0 {
            return Some(Ordering::Equal);
        }
        Exact::of(self).compare(&Exact::of(other))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole number this is, if it is one and fits; `1e3` and `10.0` are whole.
    pub fn to_long(&self) -> Option<i64> {
        self.scaled(0)
    }

    /// The number times 10^4, if it has at most four decimal places and fits: a Cedar decimal.
    pub fn to_decimal_units(&self) -> Option<i64> {
        self.scaled(4)
    }

    /// Whether it has no fraction, whatever its size.
    pub fn is_whole(&self) -> bool {
        let exact = Exact::of(self);
        exact.digits.is_empty() || exact.exponent >= 0
    }

    /// The number times 10^`places`, if that is whole and fits.
    fn scaled(&self, places: i64) -> Option<i64> {
        let exact = Exact::of(self);
        if exact.digits.is_empty() {
            return Some(0);
        }
        // Its digits end in no zero: a negative power leaves a fraction.
        let power = u32::try_from(exact.exponent.checked_add(places)?).ok()?;
        let digits: i128 = exact.digits.parse().ok()?;
        let value = digits.checked_mul(10_i128.checked_pow(power)?)?;
        i64::try_from(if exact.is_negative { -value } else { value }).ok()
    }
}

impl Json {
    /// Whether both mean the same: numbers by their value, everything else as it is written.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.compare(right) == Some(Ordering::Equal),
            (Self::Array(left), Self::Array(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.same(right))
            }
            (Self::Object(left), Self::Object(right)) => {
                let pairs = || left.iter().zip(right);
                left.len() == right.len()
                    && pairs().all(|(left, right)| left.0 == right.0 && left.1.same(&right.1))
            }
            _ => self == other,
        }
    }

    /// Appends canonical JSON.
    pub fn write_canonical(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(&number.0),
            Self::String(text) => write_string(text, out),
            Self::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    element.write_canonical(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    value.write_canonical(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends a JSON string with the least escaping JSON allows (RFC 8785, section 3.2.2.2).
pub(super) fn write_string(text: &str, out: &mut String) {
    match serde_json::to_string(text) {
        Ok(quoted) => out.push_str(&quoted),
        // INVARIANT: a `str` always serialises.
        Err(error) => unreachable!("a string is not JSON: {error}"),
    }
}
