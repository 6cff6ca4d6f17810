//! Values of tasks in Postgres. Whoever changes them has locked their task first.

use std::collections::HashMap;

use checkrein_shared::id::TaskId;
use checkrein_shared::ledger::{CameFrom, Fingerprint};

use crate::database::{DatabaseError, Transaction, inconsistent};

/// How many are remembered.
pub(in crate::task) async fn count(tx: &Transaction, id: TaskId) -> Result<usize, DatabaseError> {
    let count = "-- pedigree.count
        SELECT count(*) FROM task_value WHERE task_id = $1";
    let row = tx
        .query_one(count, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(usize::MAX))
}

/// Of these, those that are not remembered, each once.
pub(in crate::task) async fn new_among(
    tx: &Transaction,
    id: TaskId,
    values: &[Fingerprint],
) -> Result<Vec<Fingerprint>, DatabaseError> {
    let known = found(tx, id, values).await?;
    let mut new: Vec<_> = values
        .iter()
        .copied()
        .filter(|value| !known.contains_key(value))
        .collect();
    new.sort_unstable();
    new.dedup();
    Ok(new)
}

/// Those that are remembered came from there, too; whether that was news.
pub(in crate::task) async fn mark(
    tx: &Transaction,
    id: TaskId,
    values: &[Fingerprint],
    from: CameFrom,
) -> Result<bool, DatabaseError> {
    let mark = "-- pedigree.mark
        UPDATE task_value SET came_from = came_from | $3
        WHERE task_id = $1 AND fingerprint = ANY ($2) AND came_from & $3 <> $3";
    let marked = tx
        .execute(mark, &[&id.uuid(), &bytes(values), &i16::from(from.bits())])
        .await;
    Ok(marked.map_err(|source| tx.failed(source))? > 0)
}

/// Remembers these, which are new.
pub(in crate::task) async fn insert(
    tx: &Transaction,
    id: TaskId,
    values: &[Fingerprint],
    from: CameFrom,
) -> Result<bool, DatabaseError> {
    let insert = "-- pedigree.insert
        INSERT INTO task_value (task_id, fingerprint, came_from)
        SELECT $1, fingerprint, $3 FROM unnest($2::bytea[]) AS row (fingerprint)";
    let inserted = tx
        .execute(insert, &[&id.uuid(), &bytes(values), &i16::from(from.bits())])
        .await;
    Ok(inserted.map_err(|source| tx.failed(source))? > 0)
}

/// Some of untrusted content is not remembered; whether that was news.
pub(in crate::task) async fn lose(tx: &Transaction, id: TaskId) -> Result<bool, DatabaseError> {
    let lose = "-- pedigree.lose
        UPDATE task SET values_lost = true WHERE id = $1 AND NOT values_lost";
    let lost = tx.execute(lose, &[&id.uuid()]).await;
    Ok(lost.map_err(|source| tx.failed(source))? > 0)
}

/// Where each came from, in their order; from nowhere, if it is not remembered.
pub(in crate::task) async fn find(
    tx: &Transaction,
    id: TaskId,
    values: &[Fingerprint],
) -> Result<Vec<CameFrom>, DatabaseError> {
    let known = found(tx, id, values).await?;
    Ok(values
        .iter()
        .map(|value| known.get(value).copied().unwrap_or_default())
        .collect())
}

async fn found(
    tx: &Transaction,
    id: TaskId,
    values: &[Fingerprint],
) -> Result<HashMap<Fingerprint, CameFrom>, DatabaseError> {
    let find = "-- pedigree.find
        SELECT fingerprint, came_from FROM task_value WHERE task_id = $1 AND fingerprint = ANY ($2)";
    let rows = tx
        .query(find, &[&id.uuid(), &bytes(values)])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter()
        .map(|row| {
            let value = <[u8; 12]>::try_from(row.get::<_, &[u8]>("fingerprint"));
            let bits = u8::try_from(row.get::<_, i16>("came_from"));
            match (value, bits) {
                (Ok(value), Ok(bits)) => Ok((Fingerprint(value), CameFrom::of_bits(bits))),
                _ => Err(inconsistent("task_value", &id)),
            }
        })
        .collect()
}

fn bytes(values: &[Fingerprint]) -> Vec<&[u8]> {
    values.iter().map(|value| &value.0[..]).collect()
}
