//! Which kinds of data a task may touch: the labels that its tools' results may carry.
//!
//! A grant without a data scope may touch any. With one, a call is covered if every label that its tool yields stands in it;
//! an empty one covers only tools that yield nothing.
//!
//! **Invariant**: fewer labels never cover more; what yields a label that is not named is not covered.

use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

use super::OutOfScope;
use super::limits::{Widened, narrower};
use crate::label::{InvalidLabel, Label};
use crate::text::shown;

/// A data scope may name at most this many labels.
pub const DATA_LABELS_MAX: usize = 64;

/// The labels that a task's data may carry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataScope(BTreeSet<Label>);

/// Something that can't be a data scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidData {
    /// No label.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// One label twice.
    #[error("`{0}` is named twice: name each label once")]
    Twice(Label),
    /// More than is ever needed.
    #[error(
        "a data scope has at most {DATA_LABELS_MAX} labels; leave it out for a task that may touch any data"
    )]
    TooLarge,
}

impl DataScope {
    /// From labels, in any order, each once.
    pub fn parse<S: AsRef<str>>(labels: impl IntoIterator<Item = S>) -> Result<Self, InvalidData> {
        let mut scope = BTreeSet::new();
        for label in labels {
            let label: Label = label.as_ref().parse()?;
            if scope.contains(&label) {
                return Err(InvalidData::Twice(label));
            }
            if scope.len() == DATA_LABELS_MAX {
                return Err(InvalidData::TooLarge);
            }
            scope.insert(label);
        }
        Ok(Self(scope))
    }

    /// The labels it names, sorted.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(Label::as_str)
    }

    /// Whether it covers a tool that yields these labels.
    pub fn admits(&self, tool: &str, yields: &BTreeSet<Label>) -> Result<(), OutOfScope> {
        match yields.iter().find(|label| !self.0.contains(label)) {
            Some(label) => Err(OutOfScope::Data {
                tool: shown(tool),
                label: label.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Whether it covers only what its parent covers; none is the widest.
    pub(super) fn narrows(own: Option<&Self>, parent: Option<&Self>) -> Result<(), Widened> {
        let is_within = match (own, parent) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(parent)) => own.0.is_subset(&parent.0),
        };
        narrower(is_within, Widened::Data)
    }
}

impl fmt::Display for DataScope {
    /// As people read it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no data");
        }
        f.write_str(&self.labels().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests;
