//! Where the values of a task came from: fingerprints of what results carried, by who is to be believed about it.
//!
//! **Invariant**: what was too much to remember of untrusted content is said to be; what was too much of a system of record is not
//! vouched for.

use checkrein_shared::id::TaskId;
use checkrein_shared::ledger::{CameFrom, Fingerprint, Seen, TASK_VALUES_MAX, Trust};

use super::store;
use crate::database::{DatabaseError, Transaction};

/// Remembers values of a task whose row is locked; whether anything has changed.
pub(super) async fn remember(tx: &Transaction, id: TaskId, seen: &Seen) -> Result<bool, DatabaseError> {
    let is_untrusted = seen.trust == Trust::Untrusted;
    let came_from = CameFrom {
        trusted: !is_untrusted,
        untrusted: is_untrusted,
    };
    let known = store::pedigree::count(tx, id).await?;
    let room = TASK_VALUES_MAX.saturating_sub(known);
    let mut new = store::pedigree::new_among(tx, id, &seen.values).await?;
    let is_lost = is_untrusted && (seen.lost || new.len() > room);
    new.truncate(room);
    // Those that are known may have come from elsewhere, too.
    let mut changed = store::pedigree::mark(tx, id, &seen.values, came_from).await?;
    changed |= store::pedigree::insert(tx, id, &new, came_from).await?;
    if is_lost {
        changed |= store::pedigree::lose(tx, id).await?;
    }
    Ok(changed)
}

/// Where each of these came from.
pub(super) async fn known(
    tx: &Transaction,
    id: TaskId,
    asked: &[Fingerprint],
) -> Result<Vec<CameFrom>, DatabaseError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    store::pedigree::find(tx, id, asked).await
}
