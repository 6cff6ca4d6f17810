//! The log of ended authority, as every replica reads it and pushes it to enforcers.
//!
//! **Invariant**: an entry is forgotten only when no grant that it stops can be believed any more; its number stays counted.

use std::collections::BTreeMap;
use std::time::Duration;

use checkrein_shared::grant::{Grant, Revocation, Stopped};
use checkrein_shared::identity::SpiffeId;

use super::store;
use crate::database::{Database, DatabaseError, FeedName, Transaction};

/// A revocation outlives its grants by this much, here as in the enforcers: a clock that is behind for a while believes
/// a grant longer.
pub(super) const REVOCATION_GRACE: Duration = Duration::from_hours(1);

/// What ended before its grants expired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationLog {
    /// How many there have ever been.
    pub sequence: u64,
    /// Those whose grants somebody's clock may still believe, by sequence.
    pub entries: BTreeMap<u64, Revocation>,
}

/// Appends an entry, with a number of its own: it is pushed first, to everyone. `by` says who revoked a grant or a key, and why.
pub(super) async fn append(
    tx: &Transaction,
    revocation: &Revocation,
    by: Option<(&SpiffeId, &str)>,
) -> Result<(), DatabaseError> {
    let sequence = tx.raise(FeedName::Task).await?;
    store::revocation::insert(tx, sequence, revocation, by).await
}

/// Why these grants, of one chain, give nothing any more, if any of them was stopped: from the primary, which knows it before
/// anybody was told. A task that is over is its state's to say.
pub async fn stopped<'a>(
    tx: &Transaction,
    grants: impl IntoIterator<Item = &'a Grant>,
) -> Result<Option<Stopped>, DatabaseError> {
    let grants: Vec<&Grant> = grants.into_iter().collect();
    let entries = store::revocation::about(tx, &grants).await?;
    let stops = |entry: &&Revocation| grants.iter().any(|grant| entry.what.stops(grant));
    let stopping = entries.iter().find(stops);
    Ok(stopping.map(|entry| entry.what.stopped(&entry.cause)))
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
        let page = store::revocation::between(&tx, log.sequence, sequence).await?;
        // Past the last entry that counts there may be numbers of forgotten ones, up to the counter.
        log.sequence = page.last().map_or(sequence, |(last, _)| *last);
        log.entries.extend(page);
    }
    Ok(log)
}

/// Deletes the entries of the log that no grant can outlive any more; their numbers stay counted. Returns how many.
pub async fn forget_revocations(database: &Database) -> Result<u64, DatabaseError> {
    let tx = database.begin("task.forget_revocations").await?;
    let forgotten = store::revocation::delete_old(&tx).await?;
    tx.commit().await?;
    Ok(forgotten)
}

fn believable_until_ms(expires_ms: u64) -> u64 {
    let grace_ms = u64::try_from(REVOCATION_GRACE.as_millis()).unwrap_or(u64::MAX);
    expires_ms.saturating_add(grace_ms)
}
