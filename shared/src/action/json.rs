//! JSON with one reading: a member stands once, a number keeps its own text.
//!
//! `serde_json` does the parsing; this file only refuses to forget. Numbers come as [`RawValue`], so that `500.00001` and
//! 2^63 are still what the tool would get.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::{ARGUMENT_BYTES_MAX, ARGUMENT_DEPTH_MAX};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
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

/// A value whose parts are still text.
enum Shallow {
    Null,
    Bool(bool),
    String(String),
    Array(Vec<Box<RawValue>>),
    Object(Vec<(String, Box<RawValue>)>),
}

struct ShallowVisitor;

impl Number {
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

    /// The number times 10^`places`, if that is whole and fits.
    fn scaled(&self, places: i32) -> Option<i64> {
        let (mantissa, exponent) = match self.0.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (self.0.as_str(), 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        let value: i128 = if digits.len() > 38 {
            return None;
        } else {
            digits.parse().ok()?
        };
        if value == 0 {
            return Some(0);
        }
        let shift = exponent
            .checked_sub(i32::try_from(fraction.len()).ok()?)?
            .checked_add(places)?;
        let power = 10_i128.checked_pow(shift.unsigned_abs())?;
        let scaled = if shift >= 0 {
            value.checked_mul(power)?
        } else if value % power == 0 {
            value / power
        } else {
            return None;
        };
        i64::try_from(scaled).ok()
    }
}

impl Json {
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

/// Parses the text of an object into sorted members.
pub(super) fn parse_object(text: &[u8]) -> Result<Vec<(String, Json)>, InvalidArguments> {
    if text.len() > ARGUMENT_BYTES_MAX {
        return Err(InvalidArguments::TooLong(text.len()));
    }
    let raw: Box<RawValue> =
        serde_json::from_slice(text).map_err(|error| InvalidArguments::Syntax(error.to_string()))?;
    match parse_value(&raw, ARGUMENT_DEPTH_MAX)? {
        Json::Object(members) => Ok(members),
        _ => Err(InvalidArguments::NotAnObject),
    }
}

fn parse_value(raw: &RawValue, depth_left: usize) -> Result<Json, InvalidArguments> {
    let text = raw.get();
    if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Ok(Json::Number(Number(text.to_owned())));
    }
    let shallow: Shallow =
        serde_json::from_str(text).map_err(|error| InvalidArguments::Syntax(error.to_string()))?;
    let parts_depth = |is_empty: bool| match depth_left.checked_sub(1) {
        None if !is_empty => Err(InvalidArguments::TooDeep),
        left => Ok(left.unwrap_or_default()),
    };
    Ok(match shallow {
        Shallow::Null => Json::Null,
        Shallow::Bool(value) => Json::Bool(value),
        Shallow::String(value) => Json::String(value),
        Shallow::Array(elements) => {
            let depth = parts_depth(elements.is_empty())?;
            Json::Array(
                elements
                    .iter()
                    .map(|part| parse_value(part, depth))
                    .collect::<Result<_, _>>()?,
            )
        }
        Shallow::Object(members) => {
            let depth = parts_depth(members.is_empty())?;
            let parse = |(name, part): (String, Box<RawValue>)| Ok((name, parse_value(&part, depth)?));
            Json::Object(members.into_iter().map(parse).collect::<Result<_, _>>()?)
        }
    })
}

impl<'de> Deserialize<'de> for Shallow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShallowVisitor)
    }
}

impl<'de> Visitor<'de> for ShallowVisitor {
    type Value = Shallow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Shallow, E> {
        Ok(Shallow::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shallow, E> {
        Ok(Shallow::Bool(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shallow, E> {
        Ok(Shallow::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Shallow, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(Shallow::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shallow, A::Error> {
        let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        members.sort_by(|(left, _), (right, _)| left.cmp(right));
        if let Some(twice) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(A::Error::custom(format!("member `{}` stands twice", twice[0].0)));
        }
        Ok(Shallow::Object(members))
    }
}
