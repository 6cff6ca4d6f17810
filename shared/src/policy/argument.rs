//! What an argument may be: the types of a tool's JSON Schema, as far as rules and refusals need them.
//!
//! References are followed when a pack is read, so that a type is a finite tree and an enforcer needs no schema. A type that
//! contains itself ends in [`Scalar::Opaque`].
//!
//! **Invariant**: one tree says both what is refused and what rules see; the generated Cedar schema is made from it too.

mod schema;

use cedar_policy_core::ast::EntityType;

pub(super) use schema::{arguments_of, identifier};

/// The type of one argument, as rules read it.
#[derive(Debug, Clone, PartialEq)]
pub enum ArgumentType {
    /// A type without parts.
    Scalar(Scalar),
    /// A set of one element type; order and repetition are not seen by rules.
    List(Box<ArgumentType>),
    /// An object.
    Record(RecordType),
    /// One of several types: a record of optional `typeChoice0`, `typeChoice1`, …; the first whose type a value is, is set.
    /// If Cedar has no exact value for that, rules don't see the argument at all.
    Choice(Vec<ArgumentType>),
    /// One of a closed list of strings, which rules compare as entities of a type of its own.
    Enumeration(EnumType),
}

/// A type without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// `Bool`
    Bool,
    /// `Long`, from `integer`
    Long,
    /// `decimal`, from `number`
    Decimal,
    /// `String`
    String,
    /// `datetime`, from strings of format `date` and `date-time`
    Datetime,
    /// `duration`
    Duration,
    /// `ipaddr`
    IpAddress,
    /// Only `null`. Rules see an empty record.
    Null,
    /// Any JSON value. Rules see an empty record: that it is there, and nothing of it.
    Opaque,
}

/// An object of known members.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordType {
    /// Sorted by name.
    pub members: Vec<Member>,
    /// The type of members that are not listed; none: there may be none. Rules don't see them.
    pub additional: Option<Box<ArgumentType>>,
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: ArgumentType,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it may be `null`, which rules see as absent.
    pub nullable: bool,
}

/// A closed list of strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumType {
    /// The Cedar entity type, named after catalog, tool and argument.
    pub(super) entity_type: EntityType,
    /// The strings, as the tool lists them.
    pub variants: Vec<String>,
}

impl RecordType {
    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        let at = self
            .members
            .binary_search_by(|member| member.name.as_str().cmp(name))
            .ok()?;
        self.members.get(at)
    }
}

impl Member {
    /// Whether rules must ask with `has` before they read it.
    pub const fn is_optional(&self) -> bool {
        !self.required || self.nullable
    }
}

impl Scalar {
    /// What a person calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "a boolean",
            Self::Long => "a whole number",
            Self::Decimal => "a number",
            Self::String => "a string",
            Self::Datetime => "a date, as a string",
            Self::Duration => "a duration, as a string",
            Self::IpAddress => "an IP address, as a string",
            Self::Null => "null",
            Self::Opaque => "any value",
        }
    }
}

#[cfg(test)]
mod tests;
