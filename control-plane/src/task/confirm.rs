//! What the primary says before a release, and what the release takes from the budget of its task.
//!
//! **Invariant**: a task makes no more calls than it may, on however many enforcers at once: a call is charged, and counted in
//! the task's ledger, in the transaction that lets it go, once however often it is asked for.

use checkrein_shared::decision::Cause;
use checkrein_shared::grant::Chain;
use checkrein_shared::id::{ProofId, SliceId, TaskId};
use checkrein_shared::ledger::{CameFrom, Fingerprint, Ledger, Meter};
use uuid::Uuid;

use super::ledger::{self, Counted};
use super::presented::{Objection, believe, objection, use_proof};
use super::spend::queue::Waiting;
use super::spend::slice::Slice;
use super::spend::{self, Reserved, Spending};
use super::{Task, TaskError, TaskState, Tasks, pedigree, store};
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
    /// What the task had done before the release; none: nothing was confirmed.
    pub ledger: Option<Ledger>,
    /// Where the values came from that were asked about, in their order, by the same ledger.
    pub from: Vec<CameFrom>,
    /// What the enforcer holds from now on, for further calls like this one.
    pub slice: Option<Slice>,
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
    /// What the action was judged under.
    pub generation: u64,
    /// The release; none: nothing is charged or counted.
    pub release: Option<Release>,
    /// Values of the call that rules ask about.
    pub asked: Vec<Fingerprint>,
}

/// A release that is about to go ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The enforcer's name for it, or the hold's.
    pub id: Uuid,
    /// The proof of possession that came with the call.
    pub proof: Option<ProofId>,
    /// What the ledger counts; none: it is not counted there.
    pub counted: Option<Counted>,
    /// What it uses up.
    pub spending: Spending,
    /// A slice that the enforcer would like to hold for further calls like it.
    pub slice: Option<SliceId>,
}

/// What became of a release. Unless it went ahead, the transaction must not be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// It goes ahead.
    Ahead(Box<Ahead>),
    /// There is no call left.
    Exhausted,
    /// Something stands against it.
    Refused(Objection),
    /// Calls under way hold what it takes, in these budgets, and may give it back. In a sentence.
    Busy(Vec<String>, String),
}

/// A release that goes ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    /// What was charged.
    pub charge: Charge,
    /// What the task had done before it.
    pub ledger: Ledger,
    /// What the enforcer holds from now on, for further calls like it.
    pub slice: Option<Slice>,
}

/// What came of asking once.
enum Tried {
    Done(Confirmation),
    /// These budgets are to be waited for; if nothing comes back, this is the answer.
    Busy(Vec<String>, Confirmation),
}

impl Tasks {
    /// What the primary says now, to an enforcer that may speak for the agent of the grant. A release that may go ahead uses
    /// its proof up, is charged to every budget of its chain, and is counted in the ledger, in the same transaction.
    ///
    /// One that takes what calls under way may give back waits for that, in its turn.
    pub async fn confirm(&self, enforcer: &str, ask: &Confirm) -> Result<Confirmation, TaskError> {
        let release = ask.release.as_ref().map(|release| release.id);
        let mut waiting = Waiting::of(&self.database, release.unwrap_or_default());
        loop {
            let (keys, said) = match self.confirm_now(enforcer, ask).await? {
                Tried::Done(confirmation) => {
                    waiting.leave().await?;
                    return Ok(confirmation);
                }
                Tried::Busy(keys, confirmation) => (keys, confirmation),
            };
            if !waiting.turn(&keys).await? {
                return Ok(said);
            }
        }
    }

    async fn confirm_now(&self, enforcer: &str, ask: &Confirm) -> Result<Tried, TaskError> {
        let tx = self.database.begin("task.confirm").await?;
        if ask.release.is_some() {
            // Before anything is read, so that of two releases one sees the other.
            store::lock(&tx, ask.task).await?;
        }
        let (task, mut confirmation) = store::confirm(&tx, ask.task)
            .await?
            .ok_or(TaskError::NotFound(ask.task))?;
        let presented = (enforcer, &*ask.presented);
        let chain = match believe(&tx, &self.authority, presented, &task).await? {
            Ok(chain) => chain,
            Err(objection) => {
                confirmation.objection = Some(objection);
                return Ok(Tried::Done(confirmation));
            }
        };
        // What is to be judged again under newer policy is charged when it comes back.
        let may_go = confirmation.state == TaskState::Live && ask.generation >= confirmation.generation;
        let Some(asked) = ask.release.as_ref().filter(|_| may_go) else {
            return Ok(Tried::Done(confirmation));
        };
        match release(&tx, (&task, &chain), asked).await? {
            Released::Ahead(ahead) => {
                confirmation.charge = ahead.charge;
                confirmation.slice = ahead.slice;
                confirmation.ledger = Some(ahead.ledger);
                confirmation.from = pedigree::known(&tx, task.id, &ask.asked).await?;
                tx.commit().await?;
            }
            Released::Exhausted => {
                confirmation.charge = Charge::Exhausted;
                // A task whose time ran out meanwhile says so.
                if let Some(task) = store::find(&tx, ask.task).await? {
                    confirmation.objection = objection(&tx, &chain, &task).await?;
                    confirmation.state = task.state;
                }
            }
            Released::Refused(objection) => confirmation.objection = Some(objection),
            Released::Busy(keys, said) => {
                confirmation.objection = Some((Cause::Budget, said));
                return Ok(Tried::Busy(keys, confirmation));
            }
        }
        Ok(Tried::Done(confirmation))
    }
}

/// Lets a release of a locked task go: charges it to every budget of its chain, the task's first, counts it in the ledger, and
/// uses its proof up; once, however often it is asked for.
pub async fn release(
    tx: &Transaction,
    (task, chain): (&Task, &Chain),
    release: &Release,
) -> Result<Released, DatabaseError> {
    let tool = release.counted.as_ref().map(|counted| &*counted.tool);
    let named = (release.id, &*release.spending.enforcer);
    let is_new = store::ledger::insert_use(tx, task.id, named, tool).await?;
    if !is_new && store::ledger::was_returned(tx, task.id, release.id).await? {
        let reason = "this release was given back; present the call again".to_owned();
        return Ok(Released::Refused((Cause::Budget, reason)));
    }
    let charge = charge(tx, (task, chain), (release.id, is_new)).await?;
    if charge == Charge::Exhausted {
        // Calls that an enforcer holds and does not make come back.
        if !store::slice::holds_calls(tx, task.id).await? {
            return Ok(Released::Exhausted);
        }
        let keys = vec![spend::key_of_task(task.id, Meter::Calls)];
        let reason =
            "every call that is left is held by an enforcer for calls that it may not make; try again later";
        return Ok(Released::Busy(keys, reason.to_owned()));
    }
    let counted = (release.id, release.counted.as_ref(), is_new);
    let mut ledger = match ledger::count(tx, task.id, counted).await? {
        Ok(ledger) => ledger,
        Err(objection) => return Ok(Released::Refused(objection)),
    };
    if !is_new {
        // What it holds itself was not there before it.
        ledger.spent = ledger.spent.minus(&release.spending.cost);
    }
    if let Some(proof) = release.proof
        && let Some(objection) = use_proof(tx, chain, (proof, release.id)).await?
    {
        return Ok(Released::Refused(objection));
    }
    // Last, so that a budget that many share is locked for no longer than it must be.
    let spending = (release.id, &release.spending, is_new);
    let slice = match spend::reserve(tx, (task, chain), spending, release.slice).await? {
        Reserved::Whole(slice) => slice,
        Reserved::Busy(keys, said) => return Ok(Released::Busy(keys, said)),
        Reserved::Refused(objection) => return Ok(Released::Refused(objection)),
    };
    let charge = if release.spending.cost.is_empty() {
        charge
    } else {
        Charge::Charged
    };
    Ok(Released::Ahead(Box::new(Ahead {
        charge,
        ledger,
        slice,
    })))
}

/// Charges a release that is named for the first time to every budget of its chain.
async fn charge(
    tx: &Transaction,
    (task, chain): (&Task, &Chain),
    (release, is_new): (Uuid, bool),
) -> Result<Charge, DatabaseError> {
    if !chain.is_counted() {
        return Ok(Charge::Uncounted);
    }
    if !is_new {
        return Ok(Charge::Charged);
    }
    if task.limits.calls.is_some() && !store::count_call(tx, task).await? {
        return Ok(Charge::Exhausted);
    }
    // Root to leaf, so that two releases of one task never wait for each other's grants in turns.
    let mut charged = Vec::new();
    for grant in chain.grants().skip(1) {
        let Some(calls) = grant.limits.calls else { continue };
        if !store::delegation::charge_grant(tx, grant, calls).await? {
            return Ok(Charge::Exhausted);
        }
        charged.push(grant);
    }
    if !charged.is_empty() {
        store::delegation::remember_charged(tx, (task.id, release), &charged).await?;
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
