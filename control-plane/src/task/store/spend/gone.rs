//! What is held for whoever was removed, and what is left of budgets that are over, in Postgres.

use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::DURATION_MS_MAX;
use tokio_postgres::Row;

use super::{Reservation, decode};
use crate::database::{DatabaseError, Transaction, parsed, signed};

/// What is under way of an enforcer.
pub(in crate::task) async fn open_of_enforcer(
    tx: &Transaction,
    enforcer: &str,
) -> Result<Vec<Reservation>, DatabaseError> {
    let read = "-- reservation.open_of_enforcer
        SELECT * FROM reservation WHERE enforcer = $1 AND state = 'reserved'";
    let rows = tx
        .query(read, &[&enforcer])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode).collect()
}

/// Enforcers that were removed and for which something is held all the same: it was on its way when they were.
pub(in crate::task) async fn removed_with_open(tx: &Transaction) -> Result<Vec<SpiffeId>, DatabaseError> {
    let read = "-- reservation.removed_with_open
        SELECT spiffe_id FROM removed_identity
        WHERE split_part(spiffe_id, '/', 4) = 'enforcer'
          AND EXISTS (SELECT FROM reservation
                      WHERE state = 'reserved' AND enforcer = split_part(spiffe_id, '/', 5))";
    let rows = tx.query(read, &[]).await.map_err(|source| tx.failed(source))?;
    let decode = |row: &Row| parsed(row, "spiffe_id", "removed_identity");
    rows.iter().map(decode).collect()
}

/// Deletes budgets whose window has been over for as long as a window may last, and in which nothing is held.
pub(in crate::task) async fn delete_over(tx: &Transaction, rows_max: i64) -> Result<u64, DatabaseError> {
    let delete = "-- budget.delete_over
        DELETE FROM budget_use WHERE (key, window_start) IN (
            SELECT key, window_start FROM budget_use
            WHERE window_start > 0 AND reserved = 0 AND unknown = 0
              AND window_start + 2 * $1::bigint < extract(epoch FROM clock_timestamp()) * 1000
            ORDER BY key COLLATE \"C\", window_start LIMIT $2 FOR UPDATE SKIP LOCKED)";
    let deleted = tx.execute(delete, &[&signed(DURATION_MS_MAX), &rows_max]).await;
    deleted.map_err(|source| tx.failed(source))
}

/// Deletes the places of whoever has waited far longer than anybody does.
pub(in crate::task) async fn delete_waits(tx: &Transaction) -> Result<u64, DatabaseError> {
    let delete = "-- budget.delete_waits
        DELETE FROM budget_wait WHERE since + interval '1 minute' < clock_timestamp()";
    let deleted = tx.execute(delete, &[]).await;
    deleted.map_err(|source| tx.failed(source))
}
