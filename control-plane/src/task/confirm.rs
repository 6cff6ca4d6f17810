//! What the primary says before a release, and what the release takes from the budget of its task.
//!
//! **Invariant**: a task makes no more calls than it may, on however many enforcers at once: a call is charged in the
//! transaction that lets it go, once however often it is asked for.

use checkrein_shared::id::{GrantId, TaskId};
use uuid::Uuid;

use super::{Task, TaskError, TaskState, Tasks, store};
use crate::database::{DatabaseError, Transaction};
use crate::fleet;

/// What the primary says of a task and of the newest policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Whether the task holds.
    pub state: TaskState,
    /// The newest generation.
    pub generation: u64,
    /// The newest revocation sequence.
    pub revocation_sequence: u64,
    /// What became of the budget.
    pub charge: Charge,
}

/// What a release does to the budget of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Nothing: it was not to be charged.
    None,
    /// Nothing: the task's calls are not counted.
    Uncounted,
    /// One call is charged to it.
    Charged,
    /// There is no call left.
    Exhausted,
}

/// A release that an enforcer wants confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirm {
    /// In which task.
    pub task: TaskId,
    /// Under which grant.
    pub grant: GrantId,
    /// What the action was judged under.
    pub generation: u64,
    /// The enforcer's name for the release; none: nothing is charged.
    pub release: Option<Uuid>,
}

impl Tasks {
    /// What the primary says now, to an enforcer that may speak for the task's agent. A release that may go ahead is charged
    /// to the budget in the same transaction.
    pub async fn confirm(&self, enforcer: &str, ask: Confirm) -> Result<Confirmation, TaskError> {
        let tx = self.database.begin("task.confirm").await?;
        let (task, mut confirmation) = store::confirm(&tx, ask.task, ask.grant)
            .await?
            .ok_or(TaskError::NotFound(ask.task))?;
        if !fleet::speaks_for(&tx, enforcer, &task.agent).await? {
            let (enforcer, agent) = (enforcer.to_owned(), task.agent);
            return Err(TaskError::OtherAgent { enforcer, agent });
        }
        // What is to be judged again under newer policy is charged when it comes back.
        let may_go = confirmation.state == TaskState::Live && ask.generation >= confirmation.generation;
        if let Some(release) = ask.release.filter(|_| may_go) {
            confirmation.charge = charge(&tx, &task, release).await?;
        }
        if confirmation.charge != Charge::Exhausted {
            tx.commit().await?;
            return Ok(confirmation);
        }
        // Nothing is left behind: the use was written before the call was counted. A task that was closed meanwhile says so.
        if let Some(task) = store::find(&tx, ask.task).await? {
            confirmation.state = task.state;
        }
        Ok(confirmation)
    }
}

/// Locks what a release of this task needs to be charged: the task alone if its calls are counted, so that two releases never
/// wait for each other, and shared with others if not.
pub async fn lock_to_release(tx: &Transaction, id: TaskId) -> Result<Option<Task>, DatabaseError> {
    match store::find(tx, id).await? {
        // The limits of a task never change.
        Some(task) if task.limits.calls.is_some() => store::lock(tx, id).await,
        Some(_) => store::share(tx, id).await,
        None => Ok(None),
    }
}

/// Charges a release to the budget of its task: once, however often it is asked for. After [`Charge::Exhausted`] the
/// transaction must not be committed.
pub async fn charge(tx: &Transaction, task: &Task, release: Uuid) -> Result<Charge, DatabaseError> {
    if task.limits.calls.is_none() {
        return Ok(Charge::Uncounted);
    }
    store::charge(tx, task.id, release).await
}

/// What an agent is told whose budget is used up.
pub fn exhausted(task: &Task) -> String {
    let calls = task.limits.calls.unwrap_or_default();
    format!("the task has made all of the {calls} calls it may make; start another task for more")
}
