//! The ledger of a task: what it has done, kept here for all of its agents and enforcers.
//!
//! ```text
//! note <-- enforcer, before data is released      labels, each once, with the call that brought it
//! count <-- confirm and consume                   in the transaction that lets the call go
//! count_recorded <-- decisions that come home     what was let through without asking
//! ```
//!
//! **Invariant**: a release is counted once; of two releases in one task that are confirmed at once, one sees the other.

use std::collections::BTreeSet;

use checkrein_shared::decision::Cause;
use checkrein_shared::id::{DecisionId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::label::Label;
use checkrein_shared::ledger::{CameFrom, Fingerprint, LEDGER_LABELS_MAX, LEDGER_TOOLS_MAX, Ledger, Seen};
use checkrein_shared::policy::Reversibility;
use uuid::Uuid;

use super::presented::{Objection, objection, verify};
use super::{Task, TaskError, TaskState, Tasks, pedigree, store};
use crate::database::{DatabaseError, Transaction};

/// The name of a tool has at most this many bytes.
pub(super) const TOOL_BYTES_MAX: usize = 256;

/// Labels that a call brings into a task, or a look at its ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Into which task.
    pub task: TaskId,
    /// Under which grant, with all it was narrowed from.
    pub presented: String,
    /// Which labels; none: the ledger is only read.
    pub labels: BTreeSet<Label>,
    /// The decision that lets the call through; must be there with labels.
    pub decision: Option<DecisionId>,
    /// The tool that is called.
    pub tool: String,
    /// How the labels are known.
    pub source: Source,
    /// Values that the result of the decision's call carried.
    pub seen: Option<Seen>,
    /// Values of a call that is to be judged.
    pub asked: Vec<Fingerprint>,
}

/// What is known of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it has done.
    pub ledger: Ledger,
    /// Where the values came from that were asked about, in their order.
    pub from: Vec<CameFrom>,
}

/// A label that a task carries, with the first call that brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The label.
    pub label: Label,
    /// How it is known.
    pub source: Source,
    /// The decision that let the call through.
    pub decision: DecisionId,
    /// The tool that was called.
    pub tool: String,
    /// Who called it.
    pub agent: SpiffeId,
    /// The name of the enforcer that released it.
    pub enforcer: String,
    /// When it was written.
    pub added_ms: u64,
}

/// How it is known what data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// By the call, which is not made if they can't be noted.
    Call,
    /// By its result, which is there whatever has become of the task.
    Result,
}

/// A release as a ledger counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The tool.
    pub tool: String,
    /// Its class.
    pub reversibility: Reversibility,
}

/// A call that was let through without asking, as its record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded<'a> {
    /// In which task.
    pub task: TaskId,
    /// The name under which it would have been confirmed: what was is counted already.
    pub release: Uuid,
    /// The tool.
    pub tool: &'a str,
    /// Its class.
    pub reversibility: Reversibility,
    /// When, by the enforcer's clock.
    pub at_ms: u64,
}

impl Source {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Result => "result",
        }
    }
}

impl Tasks {
    /// Writes into the ledger what a call brings, and gives it; noting what is noted changes nothing. An enforcer may note for
    /// agents that it may speak for.
    pub async fn note(&self, enforcer: &str, note: &Note) -> Result<Result<Known, Objection>, TaskError> {
        let tx = self.database.begin("task.note").await?;
        let task = if note.labels.is_empty() && note.seen.is_none() {
            store::find(&tx, note.task).await?
        } else {
            store::lock(&tx, note.task).await?
        };
        let task = task.ok_or(TaskError::NotFound(note.task))?;
        let chain = match verify(&tx, &self.authority, (enforcer, &note.presented), &task).await? {
            Ok(chain) => chain,
            Err(objection) => return Ok(Err(objection)),
        };
        if note.source == Source::Call
            && !note.labels.is_empty()
            && let Some(objection) = over(&task).or(objection(&tx, &chain, &task).await?)
        {
            return Ok(Err(objection));
        }
        let ledger = read(&tx, task.id).await?;
        let new = ledger.lacks(&note.labels);
        if !new.is_empty() && ledger.labels.len() + new.len() > LEDGER_LABELS_MAX {
            return Ok(Err(too_many_labels()));
        }
        let mut changed = false;
        if let Some(decision) = note.decision.filter(|_| !new.is_empty()) {
            let agent = chain.leaf().agent.as_str();
            store::ledger::insert_labels(&tx, note, &new, (decision, agent, enforcer)).await?;
            changed = true;
        }
        if let Some(seen) = &note.seen
            && pedigree::remember(&tx, task.id, seen).await?
        {
            store::ledger::raise(&tx, task.id).await?;
            changed = true;
        }
        let ledger = if changed {
            read(&tx, task.id).await?
        } else {
            ledger
        };
        let from = pedigree::known(&tx, task.id, &note.asked).await?;
        if changed {
            tx.commit().await?;
        }
        Ok(whole(ledger).map(|ledger| Known { ledger, from }))
    }
}

/// The ledger of a task, with at most one tool and one label more than it may have.
pub(super) async fn read(tx: &Transaction, id: TaskId) -> Result<Ledger, DatabaseError> {
    Ok(store::ledger::read(tx, id).await?.unwrap_or_default())
}

/// What a task carries, and because of which calls.
pub async fn carried(tx: &Transaction, id: TaskId) -> Result<Vec<Carried>, DatabaseError> {
    store::ledger::labels(tx, id).await
}

/// The ledger of a task, if it holds all that was done.
pub async fn known(tx: &Transaction, id: TaskId) -> Result<Result<Ledger, Objection>, DatabaseError> {
    Ok(whole(read(tx, id).await?))
}

/// Counts a release of a locked task that was just named, or was named before. Returns what the task had done without it.
pub(super) async fn count(
    tx: &Transaction,
    id: TaskId,
    (release, counted, is_new): (Uuid, Option<&Counted>, bool),
) -> Result<Result<Ledger, Objection>, DatabaseError> {
    let ledger = match known(tx, id).await? {
        Ok(ledger) => ledger,
        Err(objection) => return Ok(Err(objection)),
    };
    if !is_new {
        return Ok(Ok(store::ledger::without(tx, id, release, ledger).await?));
    }
    let Some(counted) = counted else {
        return Ok(Ok(ledger));
    };
    if ledger.used.len() == LEDGER_TOOLS_MAX && !ledger.used.contains_key(&counted.tool) {
        return Ok(Err(too_many_tools()));
    }
    store::ledger::count(tx, id, release, counted).await?;
    Ok(Ok(ledger))
}

/// Locks the tasks of records that come home, all at once and in the order of their ids, until the transaction ends: like everybody who
/// locks several.
pub async fn lock_all(tx: &Transaction, tasks: BTreeSet<TaskId>) -> Result<(), DatabaseError> {
    let tasks: Vec<Uuid> = tasks.into_iter().map(TaskId::uuid).collect();
    if tasks.is_empty() {
        return Ok(());
    }
    store::ledger::lock_all(tx, &tasks).await
}

/// Counts calls that were let through without asking, when their records come home; those of tasks that nobody knows count
/// nowhere. Whoever asks has locked the tasks.
pub async fn count_recorded(tx: &Transaction, recorded: &[Recorded<'_>]) -> Result<(), DatabaseError> {
    if recorded.is_empty() {
        return Ok(());
    }
    store::ledger::count_recorded(tx, recorded).await
}

/// Takes out of the ledgers again what an enforcer was let through with and did not let through; what it has not been yet, it
/// never will be. Whoever asks has locked the tasks.
pub async fn take_back(
    tx: &Transaction,
    enforcer: &str,
    releases: &BTreeSet<(TaskId, Uuid)>,
) -> Result<(), DatabaseError> {
    for release in releases {
        store::ledger::take_back(tx, enforcer, *release).await?;
        store::ledger::insert_returned(tx, enforcer, *release).await?;
    }
    Ok(())
}

/// Whether a release of a locked task, or an attempt at one, was given back before it was asked for.
pub async fn was_returned(tx: &Transaction, id: TaskId, release: Uuid) -> Result<bool, DatabaseError> {
    store::ledger::was_returned(tx, id, release).await
}

/// What stands against going on in this task.
fn over(task: &Task) -> Option<Objection> {
    let reason = "the task has ended";
    (task.state != TaskState::Live).then(|| (Cause::TaskEnded, reason.to_owned()))
}

/// A ledger that holds all that was done; not one that forgot a tool, or a label that came back with a record.
fn whole(ledger: Ledger) -> Result<Ledger, Objection> {
    if ledger.labels.len() > LEDGER_LABELS_MAX {
        let (_, reason) = too_many_labels();
        return Err((Cause::LedgerUnknown, reason));
    }
    if ledger.used.len() > LEDGER_TOOLS_MAX {
        return Err(too_many_tools());
    }
    Ok(ledger)
}

fn too_many_tools() -> Objection {
    let reason =
        format!("the task has used {LEDGER_TOOLS_MAX} tools, and no ledger holds more; start another task");
    (Cause::LedgerUnknown, reason)
}

fn too_many_labels() -> Objection {
    let reason = format!("the task would carry more than {LEDGER_LABELS_MAX} labels; start another task");
    (Cause::LabelUnwritten, reason)
}
