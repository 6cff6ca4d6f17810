//! The catalog: what each tool is. Effects, reversibility, resource, secrets, labels, argument types.
//!
//! **Invariant**: a tool is in the catalog only if a person said what it is. What the tool's own server says of it (names,
//! types) describes its arguments; hints about harm are never read.

mod cost;
mod definition;
mod file;

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

pub use cost::{Cost, Price};
pub(super) use file::CatalogFile;

use super::argument::{ArgumentType, RecordType};
use crate::action::{Arguments, Json, MaskedArguments, Sha256};
use crate::label::Label;
use crate::ledger::Trust;

/// A tool may yield at most this many labels.
pub(super) const YIELDS_MAX: usize = 32;
/// What compensates is said in at most this many characters.
const COMPENSATION_CHARS_MAX: usize = 200;

/// What a tool does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Gives data to the agent.
    Read,
    /// Changes something.
    Write,
    /// Removes something.
    Destroy,
    /// Moves data out.
    Send,
    /// Costs money.
    Spend,
    /// Says yes for someone.
    Approve,
    /// Starts something that acts on its own.
    Trigger,
    /// Changes identities, credentials or permissions.
    Administer,
    /// Customers see it.
    Publish,
}

/// Whether, and by whom, the effect can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reversibility {
    /// There is nothing to undo.
    ReadOnly,
    /// By us.
    Reversible,
    /// By someone else, if they want to.
    ExternallyReversible,
    /// By nobody.
    Irreversible,
}

/// Which argument names what a tool touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceSpec {
    /// The Cedar entity type.
    pub entity_type: String,
    /// The top-level argument whose value is the id.
    pub argument: String,
}

/// One catalog entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// `<catalog>/<tool>`.
    pub id: String,
    /// What it does to the world.
    pub effects: BTreeSet<Effect>,
    /// Whether that can be undone.
    pub reversibility: Reversibility,
    /// What it touches; none: rules see the tool itself as the resource.
    pub resource: Option<ResourceSpec>,
    /// Top-level arguments that are never shown, stored or hashed in clear; sorted.
    pub secret: Vec<String>,
    /// What its results carry.
    pub yields: BTreeSet<Label>,
    /// Who is to be believed about the values in its results, which are remembered then; none: nobody says.
    pub trust: Option<Trust>,
    /// What its calls use up at most.
    pub cost: Cost,
    /// A call that failed has used up nothing.
    pub fails_without_effect: bool,
    /// Its calls can't be taken back one by one once they began; what compensates for that. None: they can, or nobody said.
    pub unstoppable: Option<String>,
    /// SHA-256 of the tool's own definition, canonical JSON: a changed tool is another tool.
    pub definition: Sha256,
    /// What the arguments may be.
    pub arguments: RecordType,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Self; 9] = [
        Self::Read,
        Self::Write,
        Self::Destroy,
        Self::Send,
        Self::Spend,
        Self::Approve,
        Self::Trigger,
        Self::Administer,
        Self::Publish,
    ];

    /// As packs write it, and as rules name its action group.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destroy => "destroy",
            Self::Send => "send",
            Self::Spend => "spend",
            Self::Approve => "approve",
            Self::Trigger => "trigger",
            Self::Administer => "administer",
            Self::Publish => "publish",
        }
    }
}

impl Reversibility {
    /// Every one of them.
    pub const ALL: [Self; 4] = [
        Self::ReadOnly,
        Self::Reversible,
        Self::ExternallyReversible,
        Self::Irreversible,
    ];

    /// As packs write it, and as rules name its action group.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::Reversible => "reversible",
            Self::ExternallyReversible => "externally_reversible",
            Self::Irreversible => "irreversible",
        }
    }
}

impl Reversibility {
    /// As rules compare it: 0 is `read_only`, 3 `irreversible`.
    pub const fn rank(self) -> u8 {
        self as u8
    }

    /// The one of this rank.
    pub fn ranked(rank: u32) -> Option<Self> {
        usize::try_from(rank)
            .ok()
            .and_then(|rank| Self::ALL.get(rank).copied())
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Reversibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Tool {
    /// What a person's denial covers: the tool, and the value of its resource argument as people saw it. Arguments that
    /// can't be read again give the tool alone, which covers more.
    pub fn denial_class(&self, arguments: &MaskedArguments) -> String {
        let Some(resource) = &self.resource else {
            return self.id.clone();
        };
        let Ok(shown) = Arguments::parse(arguments.0.as_bytes()) else {
            return self.id.clone();
        };
        let mut value = String::new();
        match shown.get(&resource.argument) {
            // 10, 10.0 and 1e1 are one value, and so one class.
            Some(Json::Number(number)) => match number.to_decimal_units() {
                Some(units) => value.push_str(&super::value::decimal_text(units)),
                None => value.push_str(number.as_str()),
            },
            Some(other) => other.write_canonical(&mut value),
            None => value.push_str("null"),
        }
        format!("{} {}={value}", self.id, resource.argument)
    }

    /// What people are told who are asked for a call of it.
    pub fn warning(&self) -> Option<String> {
        let compensates = self.unstoppable.as_ref()?;
        Some(format!(
            "once it has begun, a call of `{}` can't be stopped, even if its task is revoked; what compensates: {compensates}",
            self.id
        ))
    }

    /// The catalog it is in.
    pub(super) fn catalog(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }

    /// The action groups it is in, apart from itself.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.effects
            .iter()
            .map(|effect| effect.as_str())
            .chain([self.reversibility.as_str()])
    }

    /// The type of its resource, as rules see it.
    pub(super) fn resource_type(&self) -> &str {
        self.resource
            .as_ref()
            .map_or("Tool", |resource| &resource.entity_type)
    }

    /// The type of one top-level argument.
    pub(super) fn argument(&self, name: &str) -> Option<&ArgumentType> {
        self.arguments.member(name).map(|member| &member.ty)
    }
}

#[cfg(test)]
mod tests;
