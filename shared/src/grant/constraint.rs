//! What the arguments of a task's tools must be, each: the constraints that a scope carries.
//!
//! The names are those of the attenuating-agent-token draft where it has one; what it lacks (`each`, `pattern`, `path`,
//! `url`, `shell`, `cidr`, `email_domain`, `sql`) reads a text as its consumer will. Such a parser knows a small language
//! and refuses the rest: what two consumers could read in two ways is not admitted, even where one reading is harmless.
//!
//! **Invariant**: what can't be judged is refused, and [`Constraint::narrows`] is true only if the parent admits every value
//! that the child does. A refusal never repeats the value.

mod cidr;
mod email;
mod json;
mod member;
mod narrow;
mod path;
mod pattern;
mod range;
mod shell;
mod sql;
mod url;

use std::borrow::Cow;

use thiserror::Error;

pub use cidr::Ranges;
pub use email::Domains;
pub use path::Root;
pub use pattern::Pattern;
pub use range::{Bound, Range};
pub use shell::Command;
pub use sql::{Dialect, Sql, StatementKind};
pub use url::Origin;

use crate::action::Json;

/// A constraint may nest this deep.
pub const CONSTRAINT_DEPTH_MAX: usize = 32;
/// A constraint may have this many entries, those of the constraints inside it included.
pub const CONSTRAINT_ENTRIES_MAX: usize = 256;
/// Each text of a constraint may have this many bytes, and so may a text that one of its parsers reads.
pub const CONSTRAINT_TEXT_BYTES_MAX: usize = 4 << 10;

/// What a value of one argument must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// This very value. Numbers are compared by what they mean, everything else as it is written.
    Exact(Json),
    /// One of these.
    OneOf(Vec<Json>),
    /// None of these.
    NotOneOf(Vec<Json>),
    /// A number within bounds.
    Range(Range),
    /// A list with all of these, and whatever else.
    Contains(Vec<Json>),
    /// A list with none but these.
    Subset(Vec<Json>),
    /// A list, each element of which meets the constraint. An empty one does.
    Each(Box<Constraint>),
    /// Any value.
    Wildcard,
    /// What meets all of these.
    All(Vec<Constraint>),
    /// What meets one of these.
    Any(Vec<Constraint>),
    /// A text of this form.
    Pattern(Pattern),
    /// A file or directory at or under a root.
    Path(Root),
    /// A URL of these schemes, hosts, ports and paths.
    Url(Origin),
    /// One command of a shell.
    Shell(Command),
    /// An address or network within these.
    Cidr(Ranges),
    /// A mail address, or a list of them, in these domains.
    EmailDomain(Domains),
    /// One SQL statement of these kinds, on these tables.
    Sql(Sql),
}

/// A constraint that can't be understood, so that whoever reads it denies.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidConstraint {
    /// Not an object with a `constraint_type`.
    #[error("a constraint is a JSON object with a `constraint_type`")]
    NotAConstraint,
    /// A type this verifier does not know.
    #[error("`{0}` is not a constraint type this version knows; it denies what it does not understand")]
    UnknownType(String),
    /// A member that the type does not have.
    #[error("a constraint of type `{0}` has no member `{1}`; remove it, or correct its name")]
    UnknownMember(String, String),
    /// A member that the type needs.
    #[error("a constraint of type `{0}` needs a member `{1}`")]
    MissingMember(String, &'static str),
    /// A member that can't be what it is.
    #[error("`{0}` of a constraint can't be that: {1}")]
    Member(&'static str, Cow<'static, str>),
    /// Deeper than the bound.
    #[error("the constraint is nested deeper than {CONSTRAINT_DEPTH_MAX}")]
    TooDeep,
    /// More than the bound.
    #[error("the constraint has more than {CONSTRAINT_ENTRIES_MAX} entries")]
    TooMany,
    /// Longer than the bound.
    #[error("a text of the constraint is longer than {CONSTRAINT_TEXT_BYTES_MAX} bytes")]
    TooLong,
}

/// Why a value is not admitted. It never repeats the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refused(&'static str);

impl Constraint {
    /// From its JSON form: an object with `constraint_type` and that type's members; anything unknown is an error (and
    /// whoever reads a token denies).
    pub fn parse(json: &Json) -> Result<Self, InvalidConstraint> {
        json::parse(json)
    }

    /// Its JSON form, which [`Constraint::parse`] reads back as this very constraint.
    pub fn to_json(&self) -> serde_json::Value {
        json::write(self)
    }

    /// Whether the value, parsed the way its consumer will parse it, is admitted.
    pub fn admits(&self, value: &Json) -> Result<(), Refused> {
        match self {
            Self::Exact(wanted) => met(wanted.same(value), "it is not the one value that is allowed"),
            Self::OneOf(values) => met(has(values, value), "it is not one of the values that are allowed"),
            Self::NotOneOf(excluded) => {
                met(!has(excluded, value), "it is one of the values that are excluded")
            }
            Self::Range(range) => range.admits(value),
            Self::Contains(required) => {
                let elements = list(value)?;
                let is_met = required.iter().all(|wanted| has(elements, wanted));
                met(is_met, "the list lacks an element that must be in it")
            }
            Self::Subset(allowed) => {
                let is_met = list(value)?.iter().all(|element| has(allowed, element));
                met(is_met, "the list has an element that is not allowed")
            }
            Self::Each(constraint) => list(value)?
                .iter()
                .try_for_each(|element| constraint.admits(element)),
            Self::Wildcard => Ok(()),
            Self::All(constraints) => constraints.iter().try_for_each(|each| each.admits(value)),
            Self::Any(constraints) => {
                let is_met = constraints.iter().any(|each| each.admits(value).is_ok());
                met(is_met, "it meets none of the alternatives that are allowed")
            }
            Self::EmailDomain(domains) => domains.admits(value),
            Self::Pattern(pattern) => pattern.admits(string(value)?),
            Self::Path(root) => root.admits(text(value)?),
            Self::Url(origin) => origin.admits(text(value)?),
            Self::Shell(command) => command.admits(text(value)?),
            Self::Cidr(ranges) => ranges.admits(text(value)?),
            Self::Sql(sql) => sql.admits(text(value)?),
        }
    }

    /// Sound, may be incomplete: true only if every value that self admits, `parent` admits.
    pub fn narrows(&self, parent: &Self) -> bool {
        narrow::narrows(self, parent)
    }
}

fn met(is_met: bool, otherwise: &'static str) -> Result<(), Refused> {
    if is_met { Ok(()) } else { Err(Refused(otherwise)) }
}

fn has(values: &[Json], wanted: &Json) -> bool {
    values.iter().any(|value| value.same(wanted))
}

fn list(value: &Json) -> Result<&[Json], Refused> {
    match value {
        Json::Array(elements) => Ok(elements),
        _ => Err(Refused("it is not a list")),
    }
}

fn string(value: &Json) -> Result<&str, Refused> {
    match value {
        Json::String(text) => Ok(text),
        _ => Err(Refused("it is not a text")),
    }
}

/// A text short enough to be parsed.
fn text(value: &Json) -> Result<&str, Refused> {
    let text = string(value)?;
    met(
        text.len() <= CONSTRAINT_TEXT_BYTES_MAX,
        "it is longer than what is read",
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests;
