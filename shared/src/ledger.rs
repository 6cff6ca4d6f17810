//! The ledger of a task: what has been done in it so far, by every agent of its tree, through every enforcer.
//!
//! The control plane keeps it; an enforcer has a copy, as new as its tier demands. Rules read it as `context.task`.
//!
//! **Invariant**: labels only become more, until a person lifts one and the task begins another epoch; what is highest only rises.

mod meter;
mod pedigree;
mod sensitivity;

use std::collections::{BTreeMap, BTreeSet};

pub use meter::{AMOUNT_MAX, Amounts, InvalidAmount, Meter, parse_pair};
pub use pedigree::{
    ARGUMENT_VALUES_MAX, CameFrom, Fingerprint, Pedigree, RESULT_BYTES_MAX, RESULT_VALUES_MAX, Seen,
    TASK_VALUES_MAX, Trust, Values,
};
pub use sensitivity::Sensitivity;

use crate::label::Label;
use crate::policy::Reversibility;

/// A task carries at most this many labels; what would bring more is denied.
pub const LEDGER_LABELS_MAX: usize = 64;
/// The ledger remembers the use of at most this many tools; what would be one more is denied.
pub const LEDGER_TOOLS_MAX: usize = 1_024;

/// What a task has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Counts its changes.
    pub revision: u64,
    /// The kinds of data that were released in it.
    pub labels: BTreeSet<Label>,
    /// Calls that were let through.
    pub calls: u64,
    /// The tools that were used, by id.
    pub used: BTreeMap<String, Use>,
    /// The highest class among the calls that were let through; none: there was none.
    pub reversibility: Option<Reversibility>,
    /// More stood in untrusted content than was remembered: any value could have.
    pub values_lost: bool,
    /// What its calls used up, and what is held for those under way or of unknown end; absent: nothing.
    pub spent: Amounts,
}

/// How a tool was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// How often.
    pub times: u64,
    /// When last, Unix milliseconds.
    pub last_ms: u64,
}

impl Ledger {
    /// The highest among its labels.
    pub fn sensitivity(&self) -> Sensitivity {
        Sensitivity::of(&self.labels)
    }

    /// Of these, the labels that it does not carry yet.
    pub fn lacks<'a>(&self, labels: impl IntoIterator<Item = &'a Label>) -> BTreeSet<Label> {
        let new = labels.into_iter().filter(|label| !self.labels.contains(*label));
        new.cloned().collect()
    }

    /// Takes in a call that was let through.
    pub fn count(&mut self, tool: &str, reversibility: Reversibility, at_ms: u64) {
        self.calls = self.calls.saturating_add(1);
        self.reversibility = self.reversibility.max(Some(reversibility));
        let used = self.used.entry(tool.to_owned()).or_default();
        used.times = used.times.saturating_add(1);
        used.last_ms = used.last_ms.max(at_ms);
    }
}

#[cfg(test)]
mod tests;
