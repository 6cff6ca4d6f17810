//! What the primary says before a release, and what the release takes from the budget of its task.
//!
//! **Invariant**: a task makes no more calls than it may, on however many enforcers at once: a call is charged in the
//! transaction that lets it go, once however often it is asked for.

use checkrein_shared::grant::Chain;
use checkrein_shared::id::{ProofId, TaskId};
use uuid::Uuid;

use super::presented::{Objection, believe, objection, use_proof};
use super::{Task, TaskError, TaskState, Tasks, store};
use crate::database::{DatabaseError, Transaction};

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
    /// Why the release may not go ahead, though its task lives.
    pub objection: Option<Objection>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// In which task.
    pub task: TaskId,
    /// Under which grant, with all it was narrowed from.
    pub presented: String,
    /// The proof of possession that came with the call.
    pub proof: Option<ProofId>,
    /// What the action was judged under.
    pub generation: u64,
    /// The enforcer's name for the release; none: nothing is charged.
    pub release: Option<Uuid>,
}

impl Tasks {
    /// What the primary says now, to an enforcer that may speak for the agent of the grant. A release that may go ahead uses
    /// its proof up and is charged to every budget of its chain in the same transaction.
    pub async fn confirm(&self, enforcer: &str, ask: &Confirm) -> Result<Confirmation, TaskError> {
        let tx = self.database.begin("task.confirm").await?;
        let (task, mut confirmation) = store::confirm(&tx, ask.task)
            .await?
            .ok_or(TaskError::NotFound(ask.task))?;
        let presented = (enforcer, &*ask.presented);
        let chain = match believe(&tx, &self.authority, presented, &task).await? {
            Ok(chain) => chain,
            Err(objection) => {
                confirmation.objection = Some(objection);
                return Ok(confirmation);
            }
        };
        // What is to be judged again under newer policy is charged when it comes back.
        let may_go = confirmation.state == TaskState::Live && ask.generation >= confirmation.generation;
        let Some(release) = ask.release.filter(|_| may_go) else {
            return Ok(confirmation);
        };
        confirmation.charge = charge(&tx, &task, &chain, release).await?;
        if confirmation.charge == Charge::Exhausted {
            // Nothing is left behind. A task that was closed or amended meanwhile says so.
            if let Some(task) = store::find(&tx, ask.task).await? {
                confirmation.objection = objection(&tx, &chain, &task).await?;
                confirmation.state = task.state;
            }
            return Ok(confirmation);
        }
        if let Some(proof) = ask.proof
            && let Some(objection) = use_proof(&tx, &chain, (proof, release)).await?
        {
            // Not committed either: nothing was charged.
            confirmation.charge = Charge::None;
            confirmation.objection = Some(objection);
            return Ok(confirmation);
        }
        tx.commit().await?;
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

/// Charges a release to every budget of its chain, the task's first: once, however often it is asked for. After
/// [`Charge::Exhausted`] the transaction must not be committed.
pub async fn charge(
    tx: &Transaction,
    task: &Task,
    chain: &Chain,
    release: Uuid,
) -> Result<Charge, DatabaseError> {
    if !chain.is_counted() {
        return Ok(Charge::Uncounted);
    }
    if !store::insert_use(tx, task.id, release).await? {
        return Ok(Charge::Charged);
    }
    if task.limits.calls.is_some() && !store::count_call(tx, task).await? {
        return Ok(Charge::Exhausted);
    }
    // Root to leaf, so that two releases of one task never wait for each other's grants in turns.
    for grant in chain.grants().skip(1) {
        if let Some(calls) = grant.limits.calls
            && !store::delegation::charge_grant(tx, grant, calls).await?
        {
            return Ok(Charge::Exhausted);
        }
    }
    Ok(Charge::Charged)
}

/// Whether a release would find a budget of its chain used up: nobody is asked about what can't be done.
pub async fn is_used_up(tx: &Transaction, task: &Task, chain: &Chain) -> Result<bool, DatabaseError> {
    if task.limits.calls.is_some_and(|calls| task.calls_used >= calls) {
        return Ok(true);
    }
    for grant in chain.grants().skip(1) {
        if let Some(calls) = grant.limits.calls
            && store::delegation::calls_used(tx, grant).await? >= calls
        {
            return Ok(true);
        }
    }
    Ok(false)
}
