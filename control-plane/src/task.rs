//! Tasks: authority that begins with a grant and ends for everyone at once.
//!
//! ```text
//! start --> row + signed grant                       the grant is verified offline by any enforcer
//! amend, declassify --> row, epoch, revocation       the grants of the epochs before stop everywhere
//! end, revoke --> row, revocation, holds cancelled   one transaction; the feed pushes it first
//! confirm <-- enforcer, before a full-tier release   from the primary, and counted in the ledger
//! note <-- enforcer, before data is released         labels into the ledger
//! ```
//!
//! **Invariant**: a closed task stays closed; its revocation has a sequence of its own, without a gap.

mod amend;
mod api;
mod confirm;
mod declassify;
mod delegate;
mod ledger;
mod pedigree;
mod presented;
mod relabel;
mod revocation;
mod revoke;
mod spend;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::SharedClock;
use checkrein_shared::grant::{DataScope, Grant, Limits, Revocation, Revoked, Scope, TOKEN_BYTES_MAX};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_shared::key::VerifyingKey;
use checkrein_shared::label::Label;
use thiserror::Error;
use uuid::Uuid;

use crate::authority::Authority;
use crate::database::{Database, DatabaseError, Transaction};
use crate::{fleet, hold};
pub use amend::{AMENDMENTS_MAX, Amend, Change, PastEpoch, Terms};
pub use confirm::{Charge, Confirm, Confirmation, Release, Released, is_used_up, release};
pub use declassify::Declassified;
pub use ledger::{
    Carried, Counted, Note, Recorded, Source, carried, count_recorded, known, lock_all, take_back,
    was_returned,
};
pub use presented::{BelieveError, Objection, believe, forget_proofs};
pub use relabel::{Brought, relabel};
pub use revocation::{RevocationLog, forget_revocations, load_revocations, stopped};
pub use spend::gone::{give_up_removed, sweep_budgets};
pub use spend::settle::Settle;
pub use spend::slice::{Draw, Home, forget_slices, take_in};
pub use spend::{Ending, Spending, give_up, lock_slices_before, queue::Waiting};

/// A task may live at most this long; an agent that needs more starts another.
pub const TASK_LIFE_MAX: Duration = Duration::from_hours(24);

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
    /// Which data it may touch; none: any.
    pub data: Option<DataScope>,
    /// How many calls were charged.
    pub calls_used: u64,
    /// Counts the changes of its ledger.
    pub ledger_revision: u64,
    /// Values the user named.
    pub named: Vec<String>,
    /// What the user wants.
    pub intent: String,
    /// Where it runs.
    pub environment: String,
    /// The key of whoever holds its grant.
    pub holder: Option<VerifyingKey>,
    /// How often it was amended.
    pub epoch: u64,
    /// When the grant of this epoch was given.
    pub granted_ms: u64,
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
    /// Which data it may touch; none: any.
    pub data: Option<DataScope>,
    /// Values the user named.
    pub named: Vec<String>,
    /// What the user wants.
    pub intent: String,
    /// Where it runs.
    pub environment: String,
    /// How long it holds.
    pub expires_in: Duration,
    /// The agent's key.
    pub holder: Option<VerifyingKey>,
}

/// Why a verb on tasks failed.
#[derive(Debug, Error)]
pub enum TaskError {
    /// No such task.
    #[error("there is no task `{0}`")]
    NotFound(TaskId),
    /// The agent may not start or change its own authority.
    #[error("`{0}` can't start or amend a task of its own")]
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
    /// Nothing can be said of what was presented.
    #[error(transparent)]
    Believe(#[from] BelieveError),
    /// Without it, the task has nothing left.
    #[error("that is the grant of task `{0}` itself; `checkrein task revoke {0}` ends the task")]
    OwnGrant(TaskId),
    /// Who has a part in the task would lift what it carries.
    #[error("`{0}` started task `{1}`, is whom it is for, or acts in it: somebody else must declassify it")]
    Involved(SpiffeId, TaskId),
    /// There is nothing to lift.
    #[error("task `{0}` carries no label `{1}`; `checkrein task show {0}` says what it carries")]
    NotCarried(TaskId, Label),
    /// Nothing of it is unknown.
    #[error("nothing that is held for `{0}` is unknown; `checkrein task show` lists what is")]
    NotUnknown(Uuid),
    /// Its authority is gone.
    #[error("task `{0}` is over and can't be amended; start another one")]
    Over(TaskId),
    /// It never comes to rest.
    #[error(
        "task `{0}` was amended {AMENDMENTS_MAX} times, and no task may be more often; start another one"
    )]
    AmendedTooOften(TaskId),
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
            if !task
                .clone()
                .before_amendments(&tx)
                .await?
                .was_started_with(&start)
            {
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
        let token = self.sign(&task)?;
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
            && self.data == start.data
            && self.named == start.named
            && self.intent == start.intent
            && self.environment == start.environment
            && life == start.expires_in
            && self.holder == start.holder
    }

    fn to_grant(&self) -> Grant {
        Grant {
            id: self.grant,
            task: self.id,
            epoch: self.epoch,
            agent: self.agent.clone(),
            user: self.user.clone(),
            scope: self.scope.clone(),
            limits: self.limits,
            data: self.data.clone(),
            named: self.named.clone(),
            intent: self.intent.clone(),
            environment: self.environment.clone(),
            issued_ms: self.granted_ms,
            expires_ms: self.expires_ms,
            holder: self.holder.clone(),
            link: None,
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

/// Revokes every live task of an agent, which the caller keeps from starting more, and whatever went through its hands in the
/// tasks of others. Returns how many there were of its own.
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
    // Tasks of others may have passed something on to it.
    if agent.role() == Some(Role::Agent) {
        revoke::revoke_agent(tx, agent).await?;
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
    let over = Revocation {
        what: Revoked::Task(id),
        expires_ms: closed.expires_ms,
        cause: how.as_str().to_owned(),
    };
    revocation::append(tx, &over, None).await?;
    Ok(closed)
}

/// The task, its row locked against being closed until the transaction ends; any number may share it.
pub async fn share(tx: &Transaction, id: TaskId) -> Result<Option<Task>, DatabaseError> {
    store::share(tx, id).await
}

/// Locks the task alone: nothing is opened, used or closed in it until the transaction ends.
pub async fn lock(tx: &Transaction, id: TaskId) -> Result<Option<Task>, DatabaseError> {
    store::lock(tx, id).await
}

/// Whether the task is live at this moment: to be asked last, because whoever waits for a lock grows older.
pub async fn is_live(tx: &Transaction, id: TaskId) -> Result<bool, DatabaseError> {
    store::is_live(tx, id).await
}

/// Who started a task.
pub async fn starter(tx: &Transaction, id: TaskId) -> Result<SpiffeId, DatabaseError> {
    store::starter(tx, id).await
}

/// Who started each of these.
pub async fn starters(
    tx: &Transaction,
    ids: &BTreeSet<TaskId>,
) -> Result<BTreeMap<TaskId, SpiffeId>, DatabaseError> {
    store::starters(tx, ids).await
}
