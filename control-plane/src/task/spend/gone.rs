//! What is held for enforcers that were removed, and what is left of windows that are over.
//!
//! **Invariant**: of an enforcer that was removed no word will come: what is held for its releases is unknown, until a person settles it.

use checkrein_shared::identity::{Role, SpiffeId};

use super::account::{End, Held};
use super::{Line, close};
use crate::database::{Database, DatabaseError, Transaction};
use crate::task::store;

/// At most so many rows are cleared away at a time; the rest the next time.
const SWEPT_MAX: i64 = 10_000;

/// Gives up what is held for the releases and the slices of somebody who is removed, if that is an enforcer.
pub async fn give_up_removed(tx: &Transaction, removed: &SpiffeId) -> Result<(), DatabaseError> {
    if removed.role() != Some(Role::Enforcer) {
        return Ok(());
    }
    let open = store::spend::open_of_enforcer(tx, removed.name()).await?;
    let mut lines: Vec<Line> = open.iter().map(|reservation| reservation.line.clone()).collect();
    lines.sort();
    lines.dedup();
    // All that is changed from here on, at once.
    store::spend::lock(tx, &lines).await?;
    close(tx, (open, Held::Reserved), |_| End::Unknown).await?;
    store::slice::close_of_enforcer(tx, removed.name()).await
}

/// Gives up what was held for enforcers while they were removed, and clears away what nobody asks for any more: budgets whose windows
/// are long over, and places of whoever crashed while waiting. Returns how many of those.
pub async fn sweep_budgets(database: &Database) -> Result<u64, DatabaseError> {
    let tx = database.begin("task.sweep_removed").await?;
    for removed in store::spend::removed_with_open(&tx).await? {
        give_up_removed(&tx, &removed).await?;
    }
    tx.commit().await?;
    let tx = database.begin("task.sweep_budgets").await?;
    let swept = store::spend::delete_over(&tx, SWEPT_MAX).await? + store::spend::delete_waits(&tx).await?;
    tx.commit().await?;
    Ok(swept)
}
