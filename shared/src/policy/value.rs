//! From the arguments of a call to Cedar values, by the catalog's types.
//!
//! **Invariant**: a value rules see is exactly the value that was sent, or it is not seen at all and every rule that would
//! read it is answered for by a denial. Nothing is rounded.

use std::fmt::Write;

use cedar_policy_core::ast::Value;
use smol_str::SmolStr;

use super::argument::{ArgumentType, EnumType, RecordType, Scalar};
use super::{entity, extension};
use crate::action::Json;

/// A refusal names at most this many of the values an enumeration allows.
const VARIANTS_SHOWN_MAX: usize = 8;

/// Why a value is not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unseen {
    /// It is not of its type: the call is denied.
    Mismatch(Mismatch),
    /// It is, and Cedar has no value that is exactly this: rules that read it can't be asked.
    Inexact,
}

/// A value that is not of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// Where: `cc`, `attachments.name`. Never a value, and nothing [below a secret argument](Self::above): both may be secret.
    pub(super) path: String,
    /// What is wrong there: `must be a string`.
    pub(super) wrong: String,
}

impl ArgumentType {
    /// The Cedar value of a JSON value of this type.
    pub(super) fn value_of(&self, json: &Json) -> Result<Value, Unseen> {
        match (self, json) {
            (Self::Scalar(scalar), json) => scalar.value_of(json),
            (Self::List(element), Json::Array(elements)) => {
                let values: Result<Vec<_>, _> = elements.iter().map(|json| element.value_of(json)).collect();
                Ok(Value::set(values?, None))
            }
            (Self::List(_), _) => Err(Unseen::must("be a list")),
            (Self::Record(record), Json::Object(members)) => {
                let mut exact = true;
                let given = members.iter().map(|(name, json)| (name.as_str(), json));
                let values = record
                    .members_of(given, |_| exact = false)
                    .map_err(Unseen::Mismatch)?;
                if exact {
                    Ok(Value::record(values, None))
                } else {
                    Err(Unseen::Inexact)
                }
            }
            (Self::Record(_), _) => Err(Unseen::must("be an object")),
            (Self::Choice(alternatives), json) => choice_of(alternatives, json),
            (Self::Enumeration(names), json) => names.value_of(json),
        }
    }
}

impl RecordType {
    /// The Cedar members of an object of this type. `given` is sorted by name; `inexact` is told of members that have no
    /// exact Cedar value, which are left out. Members that are not listed are checked, and not seen.
    pub(super) fn members_of<'a>(
        &self,
        given: impl Iterator<Item = (&'a str, &'a Json)>,
        mut inexact: impl FnMut(&'a str),
    ) -> Result<Vec<(SmolStr, Value)>, Mismatch> {
        let missing = |name: &str| Mismatch {
            path: name.to_owned(),
            wrong: "is missing".to_owned(),
        };
        let mut values = Vec::with_capacity(self.members.len());
        let mut listed = self.members.iter().peekable();
        for (name, json) in given {
            while let Some(absent) = listed.next_if(|member| member.name.as_str() < name) {
                if absent.required {
                    return Err(missing(&absent.name));
                }
            }
            let Some(member) = listed.next_if(|member| member.name == name) else {
                self.check_additional(name, json)?;
                continue;
            };
            if member.nullable && *json == Json::Null {
                continue;
            }
            match member.ty.value_of(json) {
                Ok(value) => values.push((SmolStr::new(name), value)),
                Err(Unseen::Inexact) => inexact(name),
                Err(Unseen::Mismatch(mismatch)) => return Err(mismatch.below(name)),
            }
        }
        match listed.find(|member| member.required) {
            Some(absent) => Err(missing(&absent.name)),
            None => Ok(values),
        }
    }

    fn check_additional(&self, name: &str, json: &Json) -> Result<(), Mismatch> {
        let Some(additional) = &self.additional else {
            let wrong = "is not an argument that the catalog knows".to_owned();
            return Err(Mismatch {
                path: name.to_owned(),
                wrong,
            });
        };
        match additional.value_of(json) {
            Err(Unseen::Mismatch(mismatch)) => Err(mismatch.below(name)),
            Ok(_) | Err(Unseen::Inexact) => Ok(()),
        }
    }
}

impl Scalar {
    fn value_of(self, json: &Json) -> Result<Value, Unseen> {
        let mismatch = || Unseen::must(&format!("be {}", self.as_str()));
        match (self, json) {
            (Self::Bool, Json::Bool(value)) => Ok(Value::from(*value)),
            (Self::Long, Json::Number(number)) => match number.to_long() {
                Some(value) => Ok(Value::from(value)),
                None if number.is_whole() => Err(Unseen::Inexact),
                None => Err(mismatch()),
            },
            (Self::Decimal, Json::Number(number)) => {
                let units = number.to_decimal_units().ok_or(Unseen::Inexact)?;
                extension::decimal(&decimal_text(units)).ok_or(Unseen::Inexact)
            }
            (Self::String, Json::String(text)) => Ok(Value::from(text.as_str())),
            (Self::Datetime, Json::String(text)) => extension::datetime(text).ok_or(Unseen::Inexact),
            (Self::Duration, Json::String(text)) => extension::duration(text).ok_or(Unseen::Inexact),
            (Self::IpAddress, Json::String(text)) => extension::ip(text).ok_or(Unseen::Inexact),
            (Self::Null, Json::Null) | (Self::Opaque, _) => Ok(Value::empty_record(None)),
            _ => Err(mismatch()),
        }
    }
}

impl EnumType {
    fn value_of(&self, json: &Json) -> Result<Value, Unseen> {
        match json {
            Json::String(text) if self.variants.contains(text) => {
                Ok(Value::from(entity::of(&self.entity_type, text)))
            }
            _ => Err(self.mismatch()),
        }
    }

    fn mismatch(&self) -> Unseen {
        let names: Vec<_> = self
            .variants
            .iter()
            .take(VARIANTS_SHOWN_MAX)
            .map(String::as_str)
            .collect();
        let more = if names.len() < self.variants.len() {
            ", …"
        } else {
            ""
        };
        Unseen::must(&format!("be one of `{}`{more}", names.join("`, `")))
    }
}

impl Unseen {
    fn must(expected: &str) -> Self {
        Self::Mismatch(Mismatch {
            path: String::new(),
            wrong: format!("must {expected}"),
        })
    }
}

impl Mismatch {
    /// The same, naming nothing inside the secret arguments: the members of an object are the caller's to choose, as its
    /// values are.
    pub(super) fn above(mut self, secret: &[String]) -> Self {
        let holds = |name: &&String| {
            let rest = self.path.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        // A name may have dots in it. The shortest that fits shows least.
        let outermost = secret.iter().filter(holds).map(String::len).min();
        if let Some(length) = outermost {
            self.path.truncate(length);
            "is not built as the catalog says".clone_into(&mut self.wrong);
        }
        self
    }

    /// The same, seen from the object that holds it.
    fn below(mut self, name: &str) -> Self {
        self.path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{name}.{}", self.path)
        };
        self
    }
}

/// The text of a Cedar decimal of this many ten-thousandths.
pub(super) fn decimal_text(units: i64) -> String {
    let (sign, units) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
    let mut text = String::with_capacity(24);
    // Writing to a string can't fail.
    let _ = write!(text, "{sign}{}.{:04}", units / 10_000, units % 10_000);
    text
}

/// The first alternative whose type the value is. If Cedar has no exact value for it, the next ones are not asked: a date
/// that Cedar can't read is still a date, and must not pass by the rules about dates as a string.
fn choice_of(alternatives: &[ArgumentType], json: &Json) -> Result<Value, Unseen> {
    for (at, alternative) in alternatives.iter().enumerate() {
        match alternative.value_of(json) {
            Ok(value) => {
                return Ok(Value::record(
                    [(SmolStr::from(format!("typeChoice{at}")), value)],
                    None,
                ));
            }
            Err(Unseen::Inexact) => return Err(Unseen::Inexact),
            Err(Unseen::Mismatch(_)) => {}
        }
    }
    Err(Unseen::must("be of one of the types that the catalog lists"))
}

#[cfg(test)]
mod tests;
