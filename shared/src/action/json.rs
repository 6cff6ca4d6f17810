//! JSON with one reading: a member stands once, a number keeps its own text.
//!
//! `serde_json` says whether it is JSON and what its strings are; this file only refuses to forget, so that `500.00001` and
//! 2^63 are still what the tool would get. The text is read once from end to end, however deep it goes: it comes from
//! whoever can call, before a grant was looked at.

mod reader;

use thiserror::Error;

pub(super) use reader::parse_object;

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

/// A number without loss: its digits times a power of ten.
struct Exact {
    is_negative: bool,
    /// Without a zero at either end; none: it is 0.
    digits: String,
    exponent: i64,
}

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

    /// Whether it has no fraction, whatever its size.
    pub fn is_whole(&self) -> bool {
        let exact = self.exact();
        exact.digits.is_empty() || exact.exponent >= 0
    }

    /// The number times 10^`places`, if that is whole and fits.
    fn scaled(&self, places: i64) -> Option<i64> {
        let exact = self.exact();
        if exact.digits.is_empty() {
            return Some(0);
        }
        // Its digits end in no zero: a negative power leaves a fraction.
        let power = u32::try_from(exact.exponent.checked_add(places)?).ok()?;
        let digits: i128 = exact.digits.parse().ok()?;
        let value = digits.checked_mul(10_i128.checked_pow(power)?)?;
        i64::try_from(if exact.is_negative { -value } else { value }).ok()
    }

    fn exact(&self) -> Exact {
        let (is_negative, text) = match self.0.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, self.0.as_str()),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let count = |digits: usize| i64::try_from(digits).unwrap_or(i64::MAX);
        // A power that no 64 bits hold is as far from 1 as makes no difference.
        let far = if exponent.starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        };
        Exact {
            is_negative,
            digits: digits.trim_start_matches('0').to_owned(),
            exponent: exponent
                .parse()
                .unwrap_or(far)
                .saturating_add(count(all.len() - digits.len()))
                .saturating_sub(count(fraction.len())),
        }
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
