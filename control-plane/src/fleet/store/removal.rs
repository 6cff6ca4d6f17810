//! Who was removed, in Postgres. An identity is locked by its name: it may have no row anywhere.

use checkrein_shared::identity::SpiffeId;
use tokio_postgres::Row;

use crate::database::{DatabaseError, Transaction, moment_ms, parsed, signed, unsigned};
use crate::fleet::removal::{Removal, Removed};

/// Locks an identity alone.
pub(in crate::fleet) async fn lock_identity(tx: &Transaction, id: &SpiffeId) -> Result<(), DatabaseError> {
    let lock = "-- removal.lock
        SELECT pg_advisory_xact_lock(hashtextextended('identity ' || $1, 0))";
    hold_lock(tx, lock, id).await
}

/// Locks an identity against being removed; any number may share it.
pub(in crate::fleet) async fn share_identity(tx: &Transaction, id: &SpiffeId) -> Result<(), DatabaseError> {
    let share = "-- removal.share
        SELECT pg_advisory_xact_lock_shared(hashtextextended('identity ' || $1, 0))";
    hold_lock(tx, share, id).await
}

async fn hold_lock(tx: &Transaction, statement: &str, id: &SpiffeId) -> Result<(), DatabaseError> {
    tx.query_one(statement, &[&id.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

pub(in crate::fleet) async fn find_removal(
    tx: &Transaction,
    id: &SpiffeId,
) -> Result<Option<Removal>, DatabaseError> {
    let find = "-- removal.find
        SELECT * FROM removed_identity WHERE spiffe_id = $1";
    let row = tx
        .query_opt(find, &[&id.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(decode).transpose()
}

pub(in crate::fleet) async fn insert_removal(
    tx: &Transaction,
    id: &SpiffeId,
    by: &SpiffeId,
    reason: &str,
    tasks: u64,
) -> Result<Removal, DatabaseError> {
    let insert = "-- removal.insert
        INSERT INTO removed_identity (spiffe_id, removed_by, reason, tasks_revoked) VALUES ($1, $2, $3, $4)
        RETURNING *";
    let row = tx
        .query_one(insert, &[&id.as_str(), &by.as_str(), &reason, &signed(tasks)])
        .await
        .map_err(|source| tx.failed(source))?;
    decode(&row)
}

/// All of them: as many as operators ever typed.
pub(in crate::fleet) async fn removed(tx: &Transaction) -> Result<Removed, DatabaseError> {
    let read = "-- removal.all
        SELECT spiffe_id FROM removed_identity";
    let rows = tx.query(read, &[]).await.map_err(|source| tx.failed(source))?;
    rows.iter()
        .map(|row| parsed(row, "spiffe_id", "removed_identity"))
        .collect()
}

fn decode(row: &Row) -> Result<Removal, DatabaseError> {
    Ok(Removal {
        id: parsed(row, "spiffe_id", "removed_identity")?,
        by: parsed(row, "removed_by", "removed_identity")?,
        at_ms: moment_ms(row, "removed_at"),
        reason: row.get("reason"),
        tasks_revoked: unsigned(row.get("tasks_revoked")),
    })
}

/// One of these that was removed, as it stands at this moment.
pub(in crate::fleet) async fn any_removed(
    tx: &Transaction,
    ids: &[&str],
) -> Result<Option<SpiffeId>, DatabaseError> {
    let read = "-- removal.any
        SELECT spiffe_id FROM removed_identity WHERE spiffe_id = ANY ($1) ORDER BY spiffe_id LIMIT 1";
    let row = tx
        .query_opt(read, &[&ids])
        .await
        .map_err(|source| tx.failed(source))?;
    row.map(|row| parsed(&row, "spiffe_id", "removed_identity"))
        .transpose()
}
