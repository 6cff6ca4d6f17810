//! Holds: exact actions waiting for people, and approvals used at most once.
//!
//! ```text
//! open <-- enforcer          vote <-- approver           consume <-- enforcer        sweep <-- every replica's clock tick
//!      \______________________________ one row, locked; Postgres' clock ______________________________/
//! goes to: hold_event, whose feed tells the enforcer that waits
//! ```
//!
//! **Invariant**: every step is one transaction that locks the row, asks the state machine, and compares deadlines with
//! the database's clock. Locks are taken in one order: task, hold, policy, instance, the holds' counter;
//! of several tasks or holds, by id. A journal's cursor comes before the tasks of its records, and those before its holds.

mod api;
mod approver;
mod consume;
mod glass;
mod group;
mod numbers;
mod open;
mod remark;
mod standing;
mod store;
mod sweep;
mod together;
pub(crate) mod told;
mod vote;

use std::collections::VecDeque;
use std::sync::Arc;

use checkrein_shared::SharedClock;
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::hold::{InvalidTransition, REMARKS_MAX, State, Step, TooWide};
use checkrein_shared::id::{DecisionId, HoldId, InstanceId, StandingId, TaskId};
use checkrein_shared::identity::SpiffeId;
use thiserror::Error;

use crate::authority::Authority;
use crate::database::{Database, DatabaseError, FeedName, Transaction};
use crate::task::BelieveError;

pub use approver::Absence;
pub use consume::{Consume, ConsumeAnswer};
pub use glass::BreakGlass;
pub use open::{Open, OpenAnswer};
pub use remark::Say;
pub use standing::{End, Standing, Use};
pub use sweep::sweep;
pub use vote::Vote;

/// A replica remembers this many steps; a stream further behind reconnects and asks for its holds by name.
const RECENT_EVENTS_MAX: usize = 4_096;

/// The verbs of holds.
#[derive(Debug, Clone)]
pub struct Holds {
    database: Database,
    authority: Arc<Authority>,
    clock: SharedClock,
}

/// Why an action may not wait, or an approval not be used: an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For machines; a `Cause` of the decision that follows.
    pub cause: checkrein_shared::decision::Cause,
    /// For people and agents.
    pub reason: String,
}

/// The latest steps of all holds, for the streams of enforcers that wait.
#[derive(Debug, Clone, Default)]
pub struct HoldNews {
    /// Up to which revision.
    pub revision: u64,
    /// In order; the oldest are forgotten.
    pub recent: VecDeque<HoldEvent>,
}

/// One step of one hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldEvent {
    /// Gap-free.
    pub revision: u64,
    /// Which hold.
    pub hold: HoldId,
    /// The name of the enforcer that holds it.
    pub enforcer: String,
    /// Where the step led.
    pub state: State,
    /// The hold's version after it.
    pub version: u64,
    /// What the agent is told.
    pub reason: String,
    /// Of an approved one: until when it may be used.
    pub use_by_ms: Option<u64>,
}

/// Why a verb on holds failed.
#[derive(Debug, Error)]
pub enum HoldError {
    /// No such hold.
    #[error("there is no hold `{0}`")]
    NotFound(HoldId),
    /// A step that does not exist.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
    /// The deadline has passed, by the database's clock.
    #[error("hold `{0}` waited until its deadline and expired; the agent has to ask again")]
    TooLate(HoldId),
    /// The approver saw other bytes than those that are held.
    #[error("what you were shown is not what is held: show hold `{0}` again")]
    OtherBytes(HoldId),
    /// An asker may not answer.
    #[error("`{0}` asked for this action, and may not answer for it")]
    Asker(SpiffeId),
    /// Not in any group that the hold waits for.
    #[error("`{approver}` is in none of the groups this hold waits for: {groups}")]
    NotInGroup {
        /// Who voted.
        approver: SpiffeId,
        /// What it waits for.
        groups: String,
    },
    /// Away, by their own word or an operator's.
    #[error("`{0}` is away, and answers nothing meanwhile: say `checkrein approver back` first")]
    Away(SpiffeId),
    /// Answers for an agent that asked.
    #[error("`{0}` answers for an agent that asked for this action, and the group leaves such people out")]
    Owner(SpiffeId),
    /// Nobody may break the glass for this.
    #[error("nobody may break the glass for hold `{0}`: the pack of its group names no `[break_glass]`")]
    NoGlass(HoldId),
    /// Not in the group that may.
    #[error("`{approver}` is not in the group that may break the glass: {groups}")]
    NotInGlass {
        /// Who tried.
        approver: SpiffeId,
        /// Who may.
        groups: String,
    },
    /// The glass does not bring a task back.
    #[error("task `{0}` is over, and nothing in it happens any more")]
    TaskOver(TaskId),
    /// There is nothing to look at.
    #[error("the glass was not broken for hold `{0}`; `checkrein hold list --broken` says for which it was")]
    NotBroken(HoldId),
    /// What was let happen may still happen.
    #[error("hold `{0}` waits to be released: review it once it is over")]
    NotOver(HoldId),
    /// Somebody has looked at it.
    #[error("`{1}` has reviewed hold `{0}`, and a review stands")]
    Reviewed(HoldId, SpiffeId),
    /// Not somebody else.
    #[error("`{0}` broke the glass or asked for the action: somebody else reviews it")]
    NotIndependent(SpiffeId),
    /// Nothing is asked about what nobody can answer any more.
    #[error("hold `{0}` is {1}: people ask, reply and hand on while it is open")]
    NotOpen(HoldId, State),
    /// Not somebody else.
    #[error("`{0}` is you: hand the hold on to somebody else")]
    ToOneself(SpiffeId),
    /// Nobody who could do anything with it.
    #[error("`{to}` may not answer this hold now: {may}")]
    NotToThem {
        /// Who.
        to: SpiffeId,
        /// Who may, in words.
        may: String,
    },
    /// A reply to nothing.
    #[error("nobody asks anything about hold `{0}` that has no reply")]
    NothingAsked(HoldId),
    /// More than anybody reads.
    #[error("{REMARKS_MAX} things were said of hold `{0}`, and no more are kept: answer it")]
    TooManyRemarks(HoldId),
    /// Only approvers are away.
    #[error("`{0}` is no approver of this installation")]
    NotAnApprover(SpiffeId),
    /// An absence that ends before it begins.
    #[error("the absence would be over already: name a later moment")]
    NoAbsence,
    /// Everybody for themselves.
    #[error("only `{0}` or an operator can say when they are away or back")]
    SomebodyElse(SpiffeId),
    /// No such standing approval.
    #[error("there is no standing approval `{0}`")]
    NoStanding(StandingId),
    /// Terms that an approver may not give.
    #[error(transparent)]
    TooWide(#[from] TooWide),
    /// The action in the request is not the one it says it is.
    #[error("the action does not have the hash it came with")]
    HashMismatch,
    /// Nothing can be said of the grant that was presented.
    #[error(transparent)]
    Believe(#[from] BelieveError),
    /// The enforcer says something of the task that the task does not say.
    #[error("task `{0}` has another agent, user, grant, intent or environment: ask with what its grant says")]
    OtherTask(TaskId),
    /// Another enforcer's hold.
    #[error("hold `{0}` is held by another enforcer")]
    OtherEnforcer(HoldId),
    /// A process that has been replaced.
    #[error(
        "a later opening than {0} of this enforcer's directory has connected: nothing is released from this one"
    )]
    Fenced(u64),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Holds {
    /// The verbs over this database.
    pub const fn new(database: Database, authority: Arc<Authority>, clock: SharedClock) -> Self {
        Self {
            database,
            authority,
            clock,
        }
    }
}

/// Cancels whatever waits in a task that ends.
pub async fn cancel_all(tx: &Transaction, task: TaskId, reason: &str) -> Result<(), DatabaseError> {
    for (id, state) in store::lock_waiting_of_task(tx, task).await? {
        if let Ok(next) = state.after(Step::Cancel) {
            step(tx, id, next, reason).await?;
        }
    }
    standing::end_of_task(tx, task, reason).await
}

/// What approvers are told of an action that was held before its task was amended.
const AMENDED: &str = " (held before the task was amended; it is judged again under what the task says now before it is released)";

/// Shows on whatever waits in a task what the task says now. An approval stays: it is of the action, which is the same.
pub async fn amend_waiting(
    tx: &Transaction,
    task: TaskId,
    environment: &str,
    intent: &str,
) -> Result<(), DatabaseError> {
    // In the order in which everybody locks them.
    if store::lock_waiting_of_task(tx, task).await?.is_empty() {
        return Ok(());
    }
    store::amend_waiting(tx, task, (environment, intent), AMENDED).await
}

/// Ends the standing approvals of a task that is amended, with what they approved: what else was meant to happen was said of
/// the task as it was. To be called with the task locked, after what waits in it was shown what the task says now.
pub async fn end_standing(tx: &Transaction, task: TaskId) -> Result<(), DatabaseError> {
    standing::end_of_task(tx, task, "the task was amended").await
}

/// How an approval that an enforcer used ended, as its journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The released action ended so.
    Made(OutcomeResult),
    /// The enforcer never heard what became of this attempt, in this task, and released nothing.
    NotMade(TaskId, DecisionId),
}

/// Settles used holds with what their enforcer reported; returns those of which nothing was released. A hold that was settled
/// already, such as one given up as unknown, stays as it is, and so does an approval that no such attempt used.
///
/// All of them are locked before the first step, which takes the counter: whoever waited for a hold with the counter in
/// hand would wait for somebody who wants the counter.
pub async fn settle(
    tx: &Transaction,
    enforcer: &str,
    ended: &[(HoldId, Ended)],
) -> Result<Vec<(TaskId, HoldId)>, DatabaseError> {
    let ids: Vec<HoldId> = ended.iter().map(|(id, _)| *id).collect();
    let mut holds = store::lock_of_enforcer(tx, enforcer, &ids).await?;
    let mut not_made = Vec::new();
    for (id, ended) in ended {
        let Some(hold) = holds.get_mut(id) else { continue };
        let (result, said) = match ended {
            Ended::Made(result) => (*result, ""),
            Ended::NotMade(task, attempt) if (hold.task, hold.attempt) == (*task, Some(*attempt)) => {
                (OutcomeResult::Failed, NOT_MADE)
            }
            Ended::NotMade(..) => continue,
        };
        if let Ok(next) = hold.state.after(Step::Settle(result)) {
            step(tx, *id, next, said).await?;
            hold.state = next;
            if let Ended::NotMade(task, _) = ended {
                not_made.push((*task, *id));
            }
        }
    }
    Ok(not_made)
}

const NOT_MADE: &str =
    "its enforcer did not hear that the approval was used, and released nothing; ask again";

/// Gives up what earlier openings of an enforcer's directory released without a word of what came of it. To be called once
/// their journals are home: then no word will come, and nobody tries again by himself.
pub async fn give_up(
    tx: &Transaction,
    enforcer: &str,
    instance: InstanceId,
    incarnation: u64,
) -> Result<(), DatabaseError> {
    for (id, state) in store::lock_released_before(tx, enforcer, instance, incarnation).await? {
        if let Ok(next) = state.after(Step::Settle(OutcomeResult::Unknown)) {
            let said = "released by an enforcer that was started anew and never said what came of it";
            step(tx, id, next, said).await?;
        }
    }
    Ok(())
}

/// Where these holds of one enforcer stand: what a stream needs that lost its place.
pub async fn standing(
    database: &Database,
    enforcer: &str,
    ids: &[HoldId],
) -> Result<Vec<HoldEvent>, DatabaseError> {
    let tx = database.begin("hold.standing").await?;
    let events = store::standing(&tx, enforcer, ids).await?;
    tx.commit().await?;
    Ok(events)
}

/// Loads the steps since `before`.
pub async fn load_news(database: &Database, before: &HoldNews) -> Result<HoldNews, DatabaseError> {
    let tx = database.begin("hold.news").await?;
    let mut news = before.clone();
    for event in store::events_after(&tx, before.revision, RECENT_EVENTS_MAX).await? {
        news.revision = event.revision;
        news.recent.push_back(event);
    }
    tx.commit().await?;
    let excess = news.recent.len().saturating_sub(RECENT_EVENTS_MAX);
    news.recent.drain(..excess);
    Ok(news)
}

/// Deletes the steps that no replica remembers any more: a stream that is further behind asks for its holds by name. Returns
/// how many.
pub async fn forget_events(database: &Database) -> Result<u64, DatabaseError> {
    let tx = database.begin("hold.forget_events").await?;
    let forgotten = store::delete_events(&tx, RECENT_EVENTS_MAX).await?;
    tx.commit().await?;
    Ok(forgotten)
}

/// Writes where a step led, and tells the feed. The row is locked by the caller, who asked the state machine.
async fn step(tx: &Transaction, id: HoldId, next: State, reason: &str) -> Result<(), DatabaseError> {
    store::set_state(tx, id, next).await?;
    announce(tx, id, reason).await
}

/// Appends the hold, as it stands now, to the log of steps.
async fn announce(tx: &Transaction, id: HoldId, reason: &str) -> Result<(), DatabaseError> {
    let revision = tx.raise(FeedName::Hold).await?;
    store::insert_event(tx, revision, id, reason).await
}
