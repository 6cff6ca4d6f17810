//! Tasks: authority that begins with a grant and ends for everyone at once.
//!
//! ```text
//! start --> row + signed grant                       the grant is verified offline by any enforcer
//! end, revoke --> row, revocation, holds cancelled   one transaction; the feed pushes it first
//! confirm <-- enforcer, before a full-tier release   from the primary
//! ```
//!
//! **Invariant**: a closed task stays closed; its revocation has a sequence of its own, without a gap.

mod api;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::SharedClock;
use checkrein_shared::grant::{Grant, Limits, Scope, TOKEN_BYTES_MAX};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::identity::SpiffeId;
use thiserror::Error;
use uuid::Uuid;

use crate::authority::Authority;
use crate::database::{Database, DatabaseError, FeedName, Transaction};
use crate::{fleet, hold};

/// A task may live at most this long; an agent that needs more starts another.
pub const TASK_LIFE_MAX: Duration = Duration::from_hours(24);

/// A revocation outlives its task's grants by this much, here as in the enforcers: a clock that is behind for a while believes
/// a grant longer.
const REVOCATION_GRACE: Duration = Duration::from_hours(1);

/// The verbs of tasks.
#[derive(Debug, Clone)]
pub struct Tasks {
    database: Database,
    authority: Arc<Authority>,
    clock: SharedClock,
}

/// A task, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The token that carries it.
    pub grant: GrantId,
    /// The human it is for.
    pub user: String,
    /// The agent that may act.
    pub agent: SpiffeId,
    /// What it may use.
    pub scope: Scope,
    /// How much of it.
    pub limits: Limits,
    /// How many calls were charged.
    pub calls_used: u64,
    /// Values the user named.
    pub named: Vec<String>,
    /// What the user wants.
    pub intent: String,
    /// Where it runs.
    pub environment: String,
    /// Who started it.
    pub started_by: SpiffeId,
    /// When.
    pub started_ms: u64,
    /// When it ends by itself.
    pub expires_ms: u64,
    /// Whether it still holds.
    pub state: TaskState,
}

/// Whether a task's authority holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// It does.
    Live,
    /// Its time is over.
    Expired,
    /// Somebody closed it.
    Closed {
        /// How.
        how: Closing,
        /// Who.
        by: SpiffeId,
        /// When.
        at_ms: u64,
        /// Why.
        reason: String,
    },
}

/// How a task is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closing {
    /// It was finished.
    Ended,
    /// It should not have gone on.
    Revoked,
}

/// What a task is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The human it is for.
    pub user: String,
    /// The agent that may act.
    pub agent: SpiffeId,
    /// What it may use.
    pub scope: Scope,
    /// How much of it.
    pub limits: Limits,
    /// Values the user named.
    pub named: Vec<String>,
    /// What the user wants.
    pub intent: String,
    /// Where it runs.
    pub environment: String,
    /// How long it holds.
    pub expires_in: Duration,
}

/// The tasks whose authority ended before their grants expired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationLog {
    /// How many there have ever been.
    pub sequence: u64,
    /// Those whose grants somebody's clock may still believe, by sequence.
    pub entries: BTreeMap<u64, RevokedTask>,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedTask {
    /// Whose grants stop.
    pub task: TaskId,
    /// When they would have expired.
    pub expires_ms: u64,
    /// `ended` or `revoked`.
    pub cause: String,
}

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

/// Why a verb on tasks failed.
#[derive(Debug, Error)]
pub enum TaskError {
    /// No such task.
    #[error("there is no task `{0}`")]
    NotFound(TaskId),
    /// The agent may not start or end its own authority.
    #[error("`{0}` can't start a task for itself")]
    SelfStarted(SpiffeId),
    /// The key stands for another request.
    #[error("idempotency key `{key}` started `{task}` with other values; use a new key for another task")]
    KeyReused {
        /// Which.
        key: String,
        /// What it started.
        task: TaskId,
    },
    /// The agent is let in nowhere.
    #[error(
        "agent `{0}` was removed; `checkrein fleet remove` can't be undone, so the task needs another agent"
    )]
    AgentRemoved(SpiffeId),
    /// The enforcer has no business in the task.
    #[error("enforcer `{enforcer}` may not speak for `{agent}`; `checkrein fleet add --agent` says for whom")]
    OtherAgent {
        /// Who asked.
        enforcer: String,
        /// Whose task it is.
        agent: SpiffeId,
    },
    /// The grant would be refused wherever it is shown.
    #[error(
        "the grant would have {0} bytes, and at most {TOKEN_BYTES_MAX} are read; name fewer or shorter values"
    )]
    GrantTooLong(usize),
    /// The grant can't be made.
    #[error("the grant can't be signed")]
    Unsigned(#[from] serde_json::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Tasks {
    /// The verbs over this database.
    pub const fn new(database: Database, authority: Arc<Authority>, clock: SharedClock) -> Self {
        Self {
            database,
            authority,
            clock,
        }
    }

    /// Starts a task and signs its grant. The grant is made from the row, so that a repeated request gets the same one and
    /// no token is ever stored.
    pub async fn start(
        &self,
        caller: &SpiffeId,
        key: &str,
        start: Start,
    ) -> Result<(Task, String), TaskError> {
        if &start.agent == caller {
            return Err(TaskError::SelfStarted(start.agent));
        }
        let tx = self.database.begin("task.start").await?;
        if fleet::is_removed(&tx, &start.agent).await? {
            return Err(TaskError::AgentRemoved(start.agent));
        }
        let task = if let Some(task) = store::started_under(&tx, caller, key).await? {
            if !task.was_started_with(&start) {
                let (key, task) = (key.to_owned(), task.id);
                return Err(TaskError::KeyReused { key, task });
            }
            task
        } else {
            let (id, grant) = (TaskId::new(&*self.clock), GrantId::new(&*self.clock));
            let task = store::insert(&tx, id, grant, caller, &start).await?;
            store::remember_start(&tx, caller, key, id).await?;
            task
        };
        let token = task.to_grant().sign(&self.authority.grant)?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TaskError::GrantTooLong(token.len()));
        }
        tx.commit().await?;
        Ok((task, token))
    }

    /// Closes a task: its grants stop everywhere, and what waits in it is cancelled. Closing a closed task changes nothing.
    pub async fn close(
        &self,
        caller: &SpiffeId,
        id: TaskId,
        how: Closing,
        reason: &str,
    ) -> Result<Task, TaskError> {
        let tx = self.database.begin("task.close").await?;
        let task = store::lock(&tx, id).await?.ok_or(TaskError::NotFound(id))?;
        if matches!(task.state, TaskState::Closed { .. }) {
            return Ok(task);
        }
        let closed = close_locked(&tx, id, how, caller, reason).await?;
        tx.commit().await?;
        Ok(closed)
    }

    /// What the primary says now, to an enforcer that may speak for the task's agent. A release that may go ahead is charged
    /// to the budget in the same transaction.
    pub async fn confirm(&self, enforcer: &str, ask: Confirm) -> Result<Confirmation, TaskError> {
        let tx = self.database.begin("task.confirm").await?;
        let (agent, mut confirmation) = store::confirm(&tx, ask.task, ask.grant)
            .await?
            .ok_or(TaskError::NotFound(ask.task))?;
        if !fleet::speaks_for(&tx, enforcer, &agent).await? {
            let enforcer = enforcer.to_owned();
            return Err(TaskError::OtherAgent { enforcer, agent });
        }
        // What is to be judged again under newer policy is charged when it comes back.
        let may_go = confirmation.state == TaskState::Live && ask.generation >= confirmation.generation;
        if let Some(release) = ask.release.filter(|_| may_go) {
            confirmation.charge = charge(&tx, ask.task, release).await?;
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

    async fn read(&self) -> Result<Transaction, DatabaseError> {
        self.database.begin("task.read").await
    }
}

impl Task {
    /// The row says all that was asked for, so that no digest of the request has to be kept beside it.
    fn was_started_with(&self, start: &Start) -> bool {
        let life = Duration::from_millis(self.expires_ms.saturating_sub(self.started_ms));
        self.user == start.user
            && self.agent == start.agent
            && self.scope == start.scope
            && self.limits == start.limits
            && self.named == start.named
            && self.intent == start.intent
            && self.environment == start.environment
            && life == start.expires_in
    }

    fn to_grant(&self) -> Grant {
        Grant {
            id: self.grant,
            task: self.id,
            agent: self.agent.clone(),
            user: self.user.clone(),
            scope: self.scope.clone(),
            limits: self.limits,
            named: self.named.clone(),
            intent: self.intent.clone(),
            environment: self.environment.clone(),
            issued_ms: self.started_ms,
            expires_ms: self.expires_ms,
        }
    }
}

impl Closing {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Revoked => "revoked",
        }
    }
}

/// Revokes every live task of an agent, which the caller keeps from starting more. Returns how many there were.
pub async fn revoke_all_of(
    tx: &Transaction,
    agent: &SpiffeId,
    by: &SpiffeId,
    reason: &str,
) -> Result<u64, DatabaseError> {
    let live = store::lock_live_of(tx, agent).await?;
    for id in &live {
        close_locked(tx, *id, Closing::Revoked, by, reason).await?;
    }
    Ok(live.len() as u64)
}

/// Closes a live task whose row is locked.
async fn close_locked(
    tx: &Transaction,
    id: TaskId,
    how: Closing,
    by: &SpiffeId,
    reason: &str,
) -> Result<Task, DatabaseError> {
    let closed = store::close(tx, id, how, by, reason).await?;
    hold::cancel_all(tx, id, &format!("the task was {}", how.as_str())).await?;
    let sequence = tx.raise(FeedName::Task).await?;
    store::insert_revocation(tx, sequence, &closed, how).await?;
    Ok(closed)
}

/// Loads what was added to the log since `before`, and forgets what no grant can outlive any more.
pub async fn load_revocations(
    database: &Database,
    before: &RevocationLog,
) -> Result<RevocationLog, DatabaseError> {
    let tx = database.begin("task.revocations").await?;
    // Revisions commit in order: whatever the counter counts is there, or was forgotten.
    let sequence = tx.revision(FeedName::Task).await?;
    let mut log = before.clone();
    let now_ms = store::now_ms(&tx).await?;
    log.entries
        .retain(|_, entry| believable_until_ms(entry.expires_ms) > now_ms);
    while log.sequence < sequence {
        let page = store::revocations_between(&tx, log.sequence, sequence).await?;
        // Past the last entry that counts there may be numbers of forgotten ones, up to the counter.
        log.sequence = page.last().map_or(sequence, |(last, _)| *last);
        log.entries.extend(page);
    }
    Ok(log)
}

/// Deletes the entries of the log that no grant can outlive any more; their numbers stay counted. Returns how many.
pub async fn forget_revocations(database: &Database) -> Result<u64, DatabaseError> {
    let tx = database.begin("task.forget_revocations").await?;
    let forgotten = store::delete_revocations(&tx).await?;
    tx.commit().await?;
    Ok(forgotten)
}

fn believable_until_ms(expires_ms: u64) -> u64 {
    let grace_ms = u64::try_from(REVOCATION_GRACE.as_millis()).unwrap_or(u64::MAX);
    expires_ms.saturating_add(grace_ms)
}

/// The task, its row locked against being closed until the transaction ends; any number may share it.
pub async fn share(tx: &Transaction, id: TaskId) -> Result<Option<Task>, DatabaseError> {
    store::share(tx, id).await
}

/// Locks the task alone: nothing is opened, used or closed in it until the transaction ends.
pub async fn lock(tx: &Transaction, id: TaskId) -> Result<Option<Task>, DatabaseError> {
    store::lock(tx, id).await
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
pub async fn charge(tx: &Transaction, id: TaskId, release: Uuid) -> Result<Charge, DatabaseError> {
    store::charge(tx, id, release).await
}

/// What an agent is told whose budget is used up.
pub fn exhausted(task: &Task) -> String {
    let calls = task.limits.calls.unwrap_or_default();
    format!("the task has made all of the {calls} calls it may make; start another task for more")
}

/// Whether the task is live at this moment: to be asked last, because whoever waits for a lock grows older.
pub async fn is_live(tx: &Transaction, id: TaskId) -> Result<bool, DatabaseError> {
    store::is_live(tx, id).await
}

/// Who started a task.
pub async fn starter(tx: &Transaction, id: TaskId) -> Result<SpiffeId, DatabaseError> {
    store::starter(tx, id).await
}
