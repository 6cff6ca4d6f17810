//! A person says what became of a call whose end nobody knew.
//!
//! **Invariant**: what is unknown comes free only so, once, with who said it and why.

use checkrein_shared::id::TaskId;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::ledger::Amounts;
use uuid::Uuid;

use super::account::{End, Held};
use super::close;
use crate::task::store::spend::Reservation;
use crate::task::{Task, TaskError, Tasks, store};

/// What a person says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// In which task.
    pub task: TaskId,
    /// Of which release.
    pub release: Uuid,
    /// What it used up, as far as that is known; none: it was not made.
    pub spent: Option<Amounts>,
    /// Why they say so.
    pub reason: String,
}

impl Tasks {
    /// Settles what is unknown of a release.
    pub async fn settle_unknown(&self, caller: &SpiffeId, settle: &Settle) -> Result<Task, TaskError> {
        let tx = self.database.begin("task.settle").await?;
        let task = store::find(&tx, settle.task)
            .await?
            .ok_or(TaskError::NotFound(settle.task))?;
        if &task.agent == caller {
            return Err(TaskError::SelfStarted(task.agent));
        }
        let is_unknown = |held: &Reservation| held.held == Some(Held::Unknown);
        let mut held = store::spend::of_use(&tx, task.id, settle.release).await?;
        held.retain(is_unknown);
        let end = |held: &Reservation| match settle.spent {
            Some(spent) => End::Settled(spent.get(held.meter).unwrap_or(held.amount)),
            None => End::Returned,
        };
        close(&tx, (held, Held::Unknown), end).await?;
        let by = (caller.as_str(), settle.reason.as_str());
        // Somebody else may have said it meanwhile.
        if !store::spend::sign(&tx, (task.id, settle.release), by).await? {
            return Err(TaskError::NotUnknown(settle.release));
        }
        tx.commit().await?;
        Ok(task)
    }
}
