//! Labels that calls brought into tasks which do not carry them, found when the records of the calls come home.
//!
//! A label is written before its data is released, so a record tells of none that is not there; but for one that a person lifted. An enforcer
//! that was cut off and had not heard of that went on under the old grant, and what it let through brings the label again.
//!
//! **Invariant**: a label that a call brought, as its record says, is carried by its task, unless a person lifted it who can have known of
//! the call: it is the one that had brought the label, or was decided before by any clock.

use std::collections::BTreeSet;

use checkrein_shared::grant::CLOCK_SKEW_MS;
use checkrein_shared::id::{DecisionId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::label::Label;

use super::store;
use crate::database::{DatabaseError, Transaction};

/// What a call that was let through brought into its task, as its record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought<'a> {
    /// Into which task.
    pub task: TaskId,
    /// What.
    pub labels: &'a BTreeSet<Label>,
    /// The decision that let it through.
    pub decision: DecisionId,
    /// The tool.
    pub tool: &'a str,
    /// Who called it.
    pub agent: &'a SpiffeId,
    /// When, by the enforcer's clock.
    pub at_ms: u64,
}

/// Writes the labels that tasks should carry by these records, and do not. Whoever asks has locked the tasks.
pub async fn relabel(tx: &Transaction, enforcer: &str, brought: &[Brought<'_>]) -> Result<(), DatabaseError> {
    if brought.is_empty() {
        return Ok(());
    }
    store::relabel::add(tx, enforcer, brought, CLOCK_SKEW_MS).await
}
