//! Decisions: the record, exactly once in effect.
//!
//! ```text
//! append <-- enforcer's journal     batches in order; the cursor advances by compare-and-set, and only what advanced it
//!                                   is inserted
//! search, show, count <-- people
//! ```
//!
//! **Invariant**: a record is stored once, in the order of its journal, and only if the hash chain before it is the one
//! already stored. A duplicate is acknowledged if it is the same; another history for stored records is an alarm. All
//! journals of one instance are one enforcer's.

mod api;
mod partition;
mod store;
mod tally;

use std::collections::BTreeSet;

use bytes::Bytes;
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::{Chain, Decision, Mode, Outcome, Record, Tier, Verdict};
use checkrein_shared::id::{HoldId, InstanceId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::Reversibility;
use checkrein_shared::wire::InvalidMessage;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::error;
use uuid::Uuid;

use crate::database::{Database, DatabaseError, Transaction};
use crate::hold::{self, Ended};
use crate::task::{self, Brought, Draw, Ending, Home, Recorded};

pub use partition::{Retention, keep_partitions};
use tally::Tally;
pub use tally::{Calls, RuleUse, calls_since, rule_uses};

/// The verbs of decisions.
#[derive(Debug, Clone)]
pub struct Decisions {
    database: Database,
    stop: CancellationToken,
}

/// One incarnation of one enforcer's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// The enforcer's name.
    pub enforcer: String,
    /// From which directory.
    pub instance: InstanceId,
    /// Of which opening.
    pub incarnation: u64,
}

/// How far a journal has come home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// From which directory.
    pub instance: InstanceId,
    /// Of which opening.
    pub incarnation: u64,
    /// Everything before it is stored.
    pub next_sequence: u64,
    /// When it last moved.
    pub advanced_ms: u64,
    /// When another history was shown for what is stored.
    pub forked_ms: Option<u64>,
    /// A later opening of the directory has opened its journal: whatever this one had is home.
    pub is_followed: bool,
}

/// A run of records without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The chain before the first of them.
    pub before: Chain,
    /// Their bytes, in order.
    pub records: Vec<Bytes>,
}

/// A decision with where it came from and what followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDecision {
    /// The record.
    pub decision: Decision,
    /// Its journal.
    pub journal: Journal,
    /// At which place.
    pub sequence: u64,
    /// When it came.
    pub received_ms: u64,
    /// The chain after it.
    pub chain_hash: Sha256,
    /// What happened, if it was reported.
    pub outcome: Option<Outcome>,
    /// Its place in the order it was read in.
    pub position: Position,
}

/// In which order the record is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As it was decided, the newest first: for people, who look for something. What comes home late takes its place among the
    /// rest, on a page that may have been read.
    #[default]
    Newest,
    /// As it was stored, the oldest first: for whoever follows the record, and may miss nothing.
    Stored,
}

/// A place in the record, in one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The millisecond in which it was decided, or the transaction that stored it.
    pub at: i64,
    /// The decision.
    pub id: checkrein_shared::id::DecisionId,
}

/// What a search asks for. Empty text matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// In this task.
    pub task: Option<checkrein_shared::id::TaskId>,
    /// For this agent.
    pub agent: String,
    /// On this tool.
    pub tool: String,
    /// With this verdict.
    pub verdict: String,
    /// Decided by this rule.
    pub rule: String,
    /// By this enforcer.
    pub enforcer: String,
    /// Not before.
    pub since_ms: Option<u64>,
    /// Before.
    pub until_ms: Option<u64>,
    /// Go on after this place.
    pub after: Option<Position>,
    /// In which order.
    pub order: Order,
    /// How many.
    pub rows: i64,
}

/// Why records were not stored.
#[derive(Debug, Error)]
pub enum AppendError {
    /// The instance has journals of another enforcer: the chain names the instance, so it may be one enforcer's only.
    #[error("instance `{0}` is another enforcer's; start this one from a directory of its own")]
    ForeignInstance(InstanceId),
    /// Records are missing before these, or these are not all after what is stored: go on from the cursor.
    #[error("the journal goes on at {}", .0.next_sequence)]
    OutOfPlace(Chain),
    /// Another history for records that are stored.
    #[error("the journal was forked: it shows another history than the one stored before {0}")]
    Forked(u64),
    /// A record that means nothing.
    #[error("record {sequence} can't be read")]
    Record {
        /// Which.
        sequence: u64,
        /// Why.
        #[source]
        source: InvalidMessage,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A record with its place in the chain.
struct Placed {
    record: Record,
    bytes: Bytes,
    after: Chain,
}

impl Decisions {
    /// The verbs over this database. Streams end when `stop` is cancelled.
    pub const fn new(database: Database, stop: CancellationToken) -> Self {
        Self { database, stop }
    }

    /// Where a journal goes on. An enforcer brings the journals of earlier openings home first: what is missing of them when
    /// this one is opened will never come.
    /// Since this opening none of them misses anything; none: that is said of no opening.
    pub async fn open(&self, journal: &Journal, whole_since: Option<u64>) -> Result<Chain, AppendError> {
        let tx = self.database.begin("decision.open").await?;
        if store::is_foreign(&tx, journal).await? {
            error!(
                ?journal,
                "journal refused: its instance has journals of another enforcer"
            );
            return Err(AppendError::ForeignInstance(journal.instance));
        }
        let cursor = store::open_cursor(&tx, journal).await?;
        task::lock_slices_before(&tx, journal.key()).await?;
        hold::give_up(&tx, &journal.enforcer, journal.instance, journal.incarnation).await?;
        task::give_up(&tx, journal.key(), whole_since).await?;
        tx.commit().await?;
        Ok(cursor)
    }

    /// Stores a batch, or finds that it is stored. Returns where the journal goes on.
    pub async fn append(&self, journal: &Journal, batch: &Batch) -> Result<Chain, AppendError> {
        let placed = place(batch)?;
        let after = placed.last().map_or(batch.before, |last| last.after);
        let tx = self.database.begin("decision.append").await?;
        if store::advance_cursor(&tx, journal, batch.before, after).await? {
            store::insert(&tx, journal, &placed).await?;
            // Tasks before holds, and holds before budgets, like everybody.
            let calls: Vec<_> = placed.iter().filter_map(call).collect();
            let mut not_made = not_made(&placed);
            let mut home = home(&placed);
            let brought: Vec<_> = placed.iter().filter_map(brought).collect();
            let tasks = calls.iter().map(|call| call.task).chain(home.tasks());
            let tasks = tasks.chain(brought.iter().map(|call| call.task));
            task::lock_all(&tx, tasks.chain(not_made.iter().map(|(task, _)| *task)).collect()).await?;
            task::count_recorded(&tx, &calls).await?;
            task::relabel(&tx, &journal.enforcer, &brought).await?;
            let unused = settle_holds(&tx, journal, &placed).await?;
            not_made.extend(unused.iter().map(|(task, hold)| (*task, hold.uuid())));
            task::take_back(&tx, &journal.enforcer, &not_made).await?;
            let returned = not_made.iter().map(|(_, release)| (*release, Ending::NotMade));
            home.endings.extend(returned);
            task::take_in(&tx, journal.key(), &home).await?;
            // After all that anybody else may wait for: these rows are everybody's.
            store::tally::add(&tx, journal, &Tally::of(&placed)).await?;
            tx.commit().await?;
            return Ok(after);
        }
        let cursor = store::open_cursor(&tx, journal).await?;
        if cursor.next_sequence < after.next_sequence {
            return if cursor.next_sequence == batch.before.next_sequence {
                self.forked(tx, journal, cursor.next_sequence).await
            } else {
                Err(AppendError::OutOfPlace(cursor))
            };
        }
        // Stored already, unless it is something else.
        match store::stored_hash(&tx, journal, after.next_sequence).await? {
            Some(hash) if hash != after.hash => self.forked(tx, journal, after.next_sequence).await,
            _ => Ok(cursor),
        }
    }

    async fn forked(&self, tx: Transaction, journal: &Journal, at: u64) -> Result<Chain, AppendError> {
        error!(
            ?journal,
            at, "journal forked: another history was presented for stored records"
        );
        store::mark_forked(&tx, journal).await?;
        tx.commit().await?;
        Err(AppendError::Forked(at))
    }
}

/// How far the journals of an enforcer have come home; those that moved last.
pub async fn journals(tx: &Transaction, enforcer: &str) -> Result<Vec<Progress>, DatabaseError> {
    store::journals(tx, enforcer).await
}

/// Decodes and chains a batch. An unreadable record refuses it whole: nothing is lost, the enforcer keeps it.
fn place(batch: &Batch) -> Result<Vec<Placed>, AppendError> {
    let mut chain = batch.before;
    let mut placed = Vec::with_capacity(batch.records.len());
    for bytes in &batch.records {
        let sequence = chain.next_sequence;
        let record = Record::decode(bytes).map_err(|source| AppendError::Record { sequence, source })?;
        chain = chain.extend(bytes);
        placed.push(Placed {
            record,
            bytes: bytes.clone(),
            after: chain,
        });
    }
    Ok(placed)
}

/// The call that a record lets through on its own. A full-tier release was counted when it was confirmed or its approval used.
fn call(placed: &Placed) -> Option<Recorded<'_>> {
    let Record::Decision(decision) = &placed.record else {
        return None;
    };
    let is_let_through = decision.verdict == Verdict::Permit && decision.mode == Mode::Enforce;
    (is_let_through && decision.tier != Tier::Full).then_some(Recorded {
        task: decision.task?,
        release: decision.hold.map_or(decision.id.uuid(), HoldId::uuid),
        tool: &decision.tool,
        // Whoever does not say is counted as the worst there is.
        reversibility: decision.reversibility.unwrap_or(Reversibility::Irreversible),
        at_ms: decision.decided_ms,
    })
}

/// What a record says that a call brought into its task.
fn brought(placed: &Placed) -> Option<Brought<'_>> {
    let Record::Decision(decision) = &placed.record else {
        return None;
    };
    let is_let_through = decision.verdict == Verdict::Permit && decision.mode == Mode::Enforce;
    (is_let_through && !decision.yields.is_empty()).then_some(Brought {
        task: decision.task?,
        labels: &decision.yields,
        decision: decision.id,
        tool: &decision.tool,
        agent: &decision.agent,
        at_ms: decision.decided_ms,
    })
}

/// Outcomes, and denies of what may have used an approval, end the holds they belong to, in the transaction that stores them.
/// Returns the holds of which nothing was released.
async fn settle_holds(
    tx: &Transaction,
    journal: &Journal,
    placed: &[Placed],
) -> Result<Vec<(TaskId, HoldId)>, DatabaseError> {
    let ended = |placed: &Placed| match &placed.record {
        Record::Outcome(outcome) => Some((outcome.hold?, Ended::Made(outcome.result))),
        Record::Decision(decision) if decision.verdict == Verdict::Deny => {
            Some((decision.hold?, Ended::NotMade(decision.task?, decision.release?)))
        }
        Record::Decision(_) | Record::SliceClosed(_) => None,
    };
    let ended: Vec<_> = placed.iter().filter_map(ended).collect();
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    hold::settle(tx, &journal.enforcer, &ended).await
}

/// Releases that were confirmed and did not go ahead.
fn not_made(placed: &[Placed]) -> BTreeSet<(TaskId, Uuid)> {
    let release = |placed: &Placed| match &placed.record {
        Record::Decision(decision) if decision.verdict != Verdict::Permit => {
            Some((decision.task?, decision.release?.uuid()))
        }
        _ => None,
    };
    placed.iter().filter_map(release).collect()
}

/// What these records say of budgets, beside the releases that did not go ahead.
fn home(placed: &[Placed]) -> Home<'_> {
    let mut home = Home::default();
    for placed in placed {
        match &placed.record {
            Record::Outcome(outcome) => {
                let release = outcome.hold.map_or_else(|| outcome.decision.uuid(), HoldId::uuid);
                let ending = Ending::Made(outcome.result, outcome.spent);
                home.endings.push((release, ending));
            }
            Record::Decision(decision) if decision.verdict == Verdict::Permit => {
                home.draws.extend(draw(decision));
            }
            Record::Decision(_) => {}
            Record::SliceClosed(closed) => home.closed.push(*closed),
        }
    }
    home
}

/// What a call that was let through took from a slice.
fn draw(decision: &Decision) -> Option<Draw<'_>> {
    Some(Draw {
        task: decision.task?,
        release: decision.id.uuid(),
        tool: &decision.tool,
        drawn: decision.drawn?,
    })
}

impl Journal {
    /// What names it.
    fn key(&self) -> (&str, InstanceId, u64) {
        (&self.enforcer, self.instance, self.incarnation)
    }

    /// The journal of a caller.
    pub fn of(enforcer: &SpiffeId, instance: InstanceId, incarnation: u64) -> Self {
        Self {
            enforcer: enforcer.name().to_owned(),
            instance,
            incarnation,
        }
    }
}
