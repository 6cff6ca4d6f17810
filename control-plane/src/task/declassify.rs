//! Taking labels from a task: a person answers for it, and the task goes on under another grant.
//!
//! ```text
//! declassify --> labels lifted, row, epoch, revocation   one transaction; the feed pushes it first
//! ```
//!
//! **Invariant**: nobody lifts a label from a task that they started, that is for them, or that they act in; what was lifted is
//! kept with who did it and why.

use std::collections::BTreeSet;

use checkrein_shared::action::Sha256;
use checkrein_shared::hold::Askers;
use checkrein_shared::id::TaskId;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::label::Label;

use super::{Carried, PastEpoch, Task, TaskError, TaskState, Tasks, ledger, store};
use crate::database::Transaction;

/// A task from which labels were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declassified {
    /// As it stands.
    pub task: Task,
    /// The epochs that are over.
    pub past: Vec<PastEpoch>,
    /// Its grant from now on.
    pub grant: String,
    /// What was taken.
    pub lifted: Vec<Carried>,
}

impl Tasks {
    /// Takes labels from a live task and begins a new epoch. A repeated request gets the same answer, while no other epoch has
    /// begun.
    pub async fn declassify(
        &self,
        caller: &SpiffeId,
        (key, asked): (&str, Sha256),
        id: TaskId,
        (labels, reason): (&BTreeSet<Label>, &str),
    ) -> Result<Declassified, TaskError> {
        let tx = self.database.begin("task.declassify").await?;
        let task = if store::epoch::was_amended_under(&tx, caller, key, &asked).await? {
            store::find(&tx, id).await?.ok_or(TaskError::NotFound(id))?
        } else {
            let task = store::lock(&tx, id).await?.ok_or(TaskError::NotFound(id))?;
            let task = self.lift(&tx, task, (caller, reason), labels).await?;
            store::epoch::remember_amend(&tx, caller, key, &asked, id).await?;
            task
        };
        let grant = self.sign(&task)?;
        let past = store::epoch::past(&tx, id).await?;
        let lifted = store::ledger::lifted(&tx, (id, task.epoch)).await?;
        tx.commit().await?;
        Ok(Declassified {
            task,
            past,
            grant,
            lifted,
        })
    }

    async fn lift(
        &self,
        tx: &Transaction,
        task: Task,
        (caller, reason): (&SpiffeId, &str),
        labels: &BTreeSet<Label>,
    ) -> Result<Task, TaskError> {
        if is_involved(&task, caller) {
            return Err(TaskError::Involved(caller.clone(), task.id));
        }
        if task.state != TaskState::Live {
            return Err(TaskError::Over(task.id));
        }
        let ledger = ledger::read(tx, task.id).await?;
        if let Some(missing) = ledger.lacks(labels).pop_first() {
            return Err(TaskError::NotCarried(task.id, missing));
        }
        let terms = task.terms();
        let amended = self.begin_epoch(tx, &task, (caller, reason), &terms).await?;
        store::ledger::lift(tx, (task.id, amended.epoch), labels, (caller, reason)).await?;
        // The row was changed once more.
        store::find(tx, task.id)
            .await?
            .ok_or(TaskError::NotFound(task.id))
    }
}

/// Whether somebody has a part in the task: who asks for data is not who says that it is harmless. Agents have no such verb at
/// all.
fn is_involved(task: &Task, person: &SpiffeId) -> bool {
    let askers = Askers {
        agent: &task.agent,
        delegated_by: &[],
        started_by: &task.started_by,
        user: &task.user,
    };
    askers.include(person)
}
