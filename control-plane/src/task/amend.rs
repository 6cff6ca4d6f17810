//! A task whose terms change while it lives: a new epoch, and a new grant for it.
//!
//! ```text
//! amend --> row, the epoch that is over, revocation of its grants   one transaction; the feed pushes it first
//! ```
//!
//! **Invariant**: no grant of an epoch that is over is believed any more; what a task has used of its budget stays used.

use checkrein_shared::action::Sha256;
use checkrein_shared::grant::{DataScope, Revocation, Revoked, TOKEN_BYTES_MAX};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::identity::SpiffeId;

use super::{Task, TaskError, TaskState, Tasks, revocation, store};
use crate::database::{DatabaseError, Transaction};
use crate::hold;

/// A task can be amended at most so often; what has changed so much is another task.
pub const AMENDMENTS_MAX: u64 = 256;

/// What can be changed of a task while it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What the user wants.
    pub intent: String,
    /// Where it runs.
    pub environment: String,
    /// At least so risky is what is done in it.
    pub risk: u8,
    /// Values the user named.
    pub named: Vec<String>,
    /// Which data it may touch; none: any.
    pub data: Option<DataScope>,
}

/// What shall change. Whatever is not said stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Amend {
    /// What the user wants.
    pub intent: Option<String>,
    /// Where it runs.
    pub environment: Option<String>,
    /// At least so risky is what is done in it.
    pub risk: Option<u8>,
    /// Values the user named, instead of those before.
    pub named: Option<Vec<String>>,
    /// Which data it may touch, instead of those before.
    pub data: Option<DataScope>,
}

/// An epoch that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEpoch {
    /// Which.
    pub epoch: u64,
    /// What the task said in it.
    pub terms: Terms,
    /// The labels that it carried when it ended, sorted.
    pub labels: Vec<String>,
    /// Those of them that were taken from it when the next one began.
    pub lifted: Vec<String>,
    /// Who ended it.
    pub by: SpiffeId,
    /// When.
    pub at_ms: u64,
    /// Why.
    pub reason: String,
}

/// One value that an amendment changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which, by the name of its flag.
    pub what: &'static str,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

impl Tasks {
    /// Changes the terms of a live task, begins a new epoch, and signs the grant for it; amending to what is already so
    /// changes nothing. The grant is made from the row, so that a repeated request gets the same one.
    pub async fn amend(
        &self,
        caller: &SpiffeId,
        (key, asked): (&str, Sha256),
        id: TaskId,
        (amend, reason): (Amend, &str),
    ) -> Result<(Task, Vec<PastEpoch>, String), TaskError> {
        let tx = self.database.begin("task.amend").await?;
        let task = if store::epoch::was_amended_under(&tx, caller, key, &asked).await? {
            store::find(&tx, id).await?.ok_or(TaskError::NotFound(id))?
        } else {
            let task = store::lock(&tx, id).await?.ok_or(TaskError::NotFound(id))?;
            let task = self.amend_locked(&tx, task, caller, amend, reason).await?;
            store::epoch::remember_amend(&tx, caller, key, &asked, id).await?;
            task
        };
        let token = self.sign(&task)?;
        let past = store::epoch::past(&tx, id).await?;
        tx.commit().await?;
        Ok((task, past, token))
    }

    async fn amend_locked(
        &self,
        tx: &Transaction,
        task: Task,
        caller: &SpiffeId,
        amend: Amend,
        reason: &str,
    ) -> Result<Task, TaskError> {
        if task.agent == *caller {
            return Err(TaskError::SelfStarted(task.agent));
        }
        if task.state != TaskState::Live {
            return Err(TaskError::Over(task.id));
        }
        let terms = amend.of(task.terms());
        if terms == task.terms() {
            return Ok(task);
        }
        self.begin_epoch(tx, &task, (caller, reason), &terms).await
    }

    /// Begins the next epoch of a locked task that is live: the grants of those before stop everywhere.
    pub(super) async fn begin_epoch(
        &self,
        tx: &Transaction,
        task: &Task,
        (caller, reason): (&SpiffeId, &str),
        terms: &Terms,
    ) -> Result<Task, TaskError> {
        if task.epoch >= AMENDMENTS_MAX {
            return Err(TaskError::AmendedTooOften(task.id));
        }
        store::epoch::insert(tx, task, caller, reason).await?;
        let grant = GrantId::new(&*self.clock);
        let amended = store::epoch::amend(tx, task.id, grant, terms).await?;
        let amended = amended.ok_or(TaskError::Over(task.id))?;
        hold::amend_waiting(tx, task.id, &amended.environment, &amended.intent).await?;
        hold::end_standing(tx, task.id).await?;
        let before = Revocation {
            what: Revoked::Before {
                task: amended.id,
                epoch: amended.epoch,
            },
            expires_ms: amended.expires_ms,
            cause: "amended".to_owned(),
        };
        revocation::append(tx, &before, None).await?;
        Ok(amended)
    }

    /// The grant of a task as its row says it.
    pub(super) fn sign(&self, task: &Task) -> Result<String, TaskError> {
        let token = task.to_grant().sign(&self.authority.grant)?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TaskError::GrantTooLong(token.len()));
        }
        Ok(token)
    }
}

impl Amend {
    fn of(self, terms: Terms) -> Terms {
        Terms {
            intent: self.intent.unwrap_or(terms.intent),
            environment: self.environment.unwrap_or(terms.environment),
            risk: self.risk.unwrap_or(terms.risk),
            named: self.named.unwrap_or(terms.named),
            data: self.data.or(terms.data),
        }
    }
}

impl PastEpoch {
    /// What is not as it was, with the epoch that says these terms.
    pub fn changes(&self, next: &Terms) -> Vec<Change> {
        let mut changes = self.terms.changes(next);
        if !self.lifted.is_empty() {
            let left = self.labels.iter().filter(|label| !self.lifted.contains(label));
            let left: Vec<&str> = left.map(String::as_str).collect();
            let to = if left.is_empty() {
                "none".to_owned()
            } else {
                left.join(", ")
            };
            changes.push(Change {
                what: "labels",
                from: self.labels.join(", "),
                to,
            });
        }
        changes
    }
}

impl Terms {
    /// What changed from these to others.
    pub fn changes(&self, to: &Self) -> Vec<Change> {
        let change = |what, from: String, to: String| Change { what, from, to };
        let all = [
            change("intent", self.intent.clone(), to.intent.clone()),
            change("environment", self.environment.clone(), to.environment.clone()),
            change("risk", self.risk.to_string(), to.risk.to_string()),
            change("named", self.named.join(", "), to.named.join(", ")),
            change("data", touched(self.data.as_ref()), touched(to.data.as_ref())),
        ];
        all.into_iter()
            .filter(|change| change.from != change.to)
            .collect()
    }
}

impl Task {
    /// What it says now.
    pub fn terms(&self) -> Terms {
        Terms {
            intent: self.intent.clone(),
            environment: self.environment.clone(),
            risk: self.limits.risk,
            named: self.named.clone(),
            data: self.data.clone(),
        }
    }

    /// As it was before it was amended.
    pub(super) async fn before_amendments(self, tx: &Transaction) -> Result<Self, DatabaseError> {
        if self.epoch == 0 {
            return Ok(self);
        }
        let past = store::epoch::past(tx, self.id).await?;
        let Some(first) = past.into_iter().next() else {
            return Ok(self);
        };
        let mut task = self;
        task.intent = first.terms.intent;
        task.environment = first.terms.environment;
        task.limits.risk = first.terms.risk;
        task.named = first.terms.named;
        task.data = first.terms.data;
        Ok(task)
    }
}

/// For people: which data a task may touch.
fn touched(data: Option<&DataScope>) -> String {
    data.map_or_else(|| "any data".to_owned(), ToString::to_string)
}
