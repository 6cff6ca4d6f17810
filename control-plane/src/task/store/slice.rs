//! Slices of budgets in Postgres.
//!
//! **Invariant**: whoever changes a slice has locked its task, and what is held for it is changed under the lock of its budgets.

use std::time::Duration;

use checkrein_shared::grant::Grant;
use checkrein_shared::id::{InstanceId, SliceId, TaskId};
use checkrein_shared::ledger::{Amounts, Meter};
use tokio_postgres::Row;
use uuid::Uuid;

use super::spend::{Line, Reservation, decode};
use crate::database::{DatabaseError, Transaction, inconsistent, signed, unsigned};
use crate::task::spend::Spending;
use crate::task::spend::slice::{Draw, Slice};

/// A slice that nobody has heard the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::task) struct Owner {
    pub(in crate::task) id: SliceId,
    pub(in crate::task) task: TaskId,
    pub(in crate::task) incarnation: u64,
    /// Two stories are told of its journal.
    pub(in crate::task) is_forked: bool,
}

/// The journal whose word counts.
type Journal<'a> = (&'a str, InstanceId, u64);

/// Writes a slice; false if there is one of this name, or was.
pub(in crate::task) async fn insert(
    tx: &Transaction,
    (id, task, counts_calls): (SliceId, TaskId, bool),
    (slice, grants): (&Slice, &[&Grant]),
    spending: &Spending,
) -> Result<bool, DatabaseError> {
    let insert = "-- slice.insert
        INSERT INTO slice (id, task_id, enforcer, instance_id, incarnation, calls, calls_left, counts_calls,
                           grant_ids, grant_parents, meters, amounts, lasts_until)
        VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11, clock_timestamp() + $12::bigint * interval '1 millisecond')
        ON CONFLICT DO NOTHING";
    let grant_ids: Vec<Uuid> = grants.iter().map(|grant| grant.id.uuid()).collect();
    let parents: Vec<Vec<u8>> = grants
        .iter()
        .map(|grant| grant.link.map(|link| link.parent).unwrap_or_default().0.to_vec())
        .collect();
    let (meters, amounts): (Vec<&str>, Vec<i64>) = slice
        .amounts
        .iter()
        .map(|(meter, amount)| (meter.as_str(), signed(amount)))
        .unzip();
    let lasts_ms = u64::try_from(slice.lasts.as_millis()).unwrap_or(u64::MAX);
    let inserted = tx
        .execute(
            insert,
            &[
                &id.uuid(),
                &task.uuid(),
                &spending.enforcer,
                &spending.instance.uuid(),
                &signed(spending.incarnation),
                &signed(slice.calls),
                &counts_calls,
                &grant_ids,
                &parents,
                &meters,
                &amounts,
                &signed(lasts_ms),
            ],
        )
        .await;
    Ok(inserted.map_err(|source| tx.failed(source))? == 1)
}

/// A slice that was given to this journal before and is not closed, as it was.
pub(in crate::task) async fn given(
    tx: &Transaction,
    (enforcer, instance, incarnation): Journal<'_>,
    (id, task): (SliceId, TaskId),
) -> Result<Option<Slice>, DatabaseError> {
    let read = "-- slice.given
        SELECT calls, meters, amounts,
               greatest((extract(epoch FROM lasts_until - clock_timestamp()) * 1000)::bigint, 0) AS lasts_ms
        FROM slice
        WHERE id = $1 AND task_id = $2 AND enforcer = $3 AND instance_id = $4 AND incarnation = $5 AND closed_at IS NULL";
    let row = tx
        .query_opt(
            read,
            &[
                &id.uuid(),
                &task.uuid(),
                &enforcer,
                &instance.uuid(),
                &signed(incarnation),
            ],
        )
        .await;
    let row = row.map_err(|source| tx.failed(source))?;
    let decode = |row: Row| {
        let mut amounts = Amounts::default();
        let meters: Vec<&str> = row.get("meters");
        for (meter, amount) in meters.into_iter().zip(row.get::<_, Vec<i64>>("amounts")) {
            let meter: Meter = meter.parse().map_err(|_| inconsistent("slice", &id))?;
            amounts.set(meter, unsigned(amount));
        }
        Ok(Slice {
            calls: unsigned(row.get("calls")),
            amounts,
            lasts: Duration::from_millis(unsigned(row.get("lasts_ms"))),
        })
    };
    row.map(decode).transpose()
}

/// Charges these calls of a slice to its task and the grants above it, or gives them back.
pub(in crate::task) async fn charge_calls(
    tx: &Transaction,
    id: SliceId,
    calls: i64,
) -> Result<(), DatabaseError> {
    let charge = "-- slice.charge_calls
        WITH charged AS (SELECT * FROM slice WHERE id = $1), of_grants AS (
            UPDATE task_grant SET calls_used = greatest(calls_used + $2, 1)
            FROM charged, unnest(charged.grant_ids, charged.grant_parents) AS above (grant_id, parent_sha256)
            WHERE task_grant.task_id = charged.task_id AND task_grant.grant_id = above.grant_id
              AND task_grant.parent_sha256 = above.parent_sha256
        )
        UPDATE task SET calls_used = least(greatest(calls_used + $2, 0), calls_max)
        FROM charged WHERE task.id = charged.task_id AND charged.counts_calls";
    let charged = tx.execute(charge, &[&id.uuid(), &calls]).await;
    charged.map(drop).map_err(|source| tx.failed(source))
}

/// The budgets of these slices, and of these releases that are under way.
pub(in crate::task) async fn lines(
    tx: &Transaction,
    (enforcer, instance, incarnation): Journal<'_>,
    (slices, uses): (&[Uuid], &[Uuid]),
) -> Result<Vec<Line>, DatabaseError> {
    let read = "-- slice.lines
        SELECT DISTINCT key, window_start, meter FROM reservation
        WHERE use_id = ANY ($1) AND enforcer = $2 AND instance_id = $3 AND incarnation = $4";
    let both: Vec<Uuid> = slices.iter().chain(uses).copied().collect();
    let rows = tx
        .query(read, &[&both, &enforcer, &instance.uuid(), &signed(incarnation)])
        .await
        .map_err(|source| tx.failed(source))?;
    let decode = |row: &Row| {
        let key: String = row.get("key");
        let meter = row.get::<_, &str>("meter").parse();
        Ok(Line {
            meter: meter.map_err(|_| inconsistent("reservation", &key))?,
            window_start: unsigned(row.get("window_start")),
            key,
        })
    };
    rows.iter().map(decode).collect()
}

/// What is still held for these slices of one journal.
pub(in crate::task) async fn reservations(
    tx: &Transaction,
    (enforcer, instance, incarnation): Journal<'_>,
    slices: &[Uuid],
) -> Result<Vec<Reservation>, DatabaseError> {
    let read = "-- slice.reservations
        SELECT reservation.* FROM reservation JOIN slice ON slice.id = reservation.use_id
        WHERE slice.id = ANY ($1) AND slice.enforcer = $2 AND slice.instance_id = $3 AND slice.incarnation = $4
          AND reservation.state = 'reserved'";
    let rows = tx
        .query(
            read,
            &[&slices, &enforcer, &instance.uuid(), &signed(incarnation)],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode).collect()
}

/// Writes what is held for calls that were paid from slices, in tasks that there are.
pub(in crate::task) async fn insert_drawn(
    tx: &Transaction,
    (enforcer, instance, incarnation): Journal<'_>,
    own: &[(&Draw<'_>, Line)],
) -> Result<(), DatabaseError> {
    let insert = "-- slice.insert_drawn
        INSERT INTO reservation (task_id, use_id, key, window_start, meter, amount, tool, enforcer, instance_id, incarnation)
        SELECT task.id, use_id, key, window_start, meter, amount, tool, $8, $9, $10
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[])
             AS row (task_id, use_id, key, window_start, meter, amount, tool)
        JOIN task ON task.id = row.task_id
        ON CONFLICT DO NOTHING";
    let tasks: Vec<Uuid> = own.iter().map(|(draw, _)| draw.task.uuid()).collect();
    let uses: Vec<Uuid> = own.iter().map(|(draw, _)| draw.release).collect();
    let keys: Vec<&str> = own.iter().map(|(_, line)| &*line.key).collect();
    let windows: Vec<i64> = own.iter().map(|(_, line)| signed(line.window_start)).collect();
    let meters: Vec<&str> = own.iter().map(|(_, line)| line.meter.as_str()).collect();
    let amount = |draw: &Draw<'_>, line: &Line| draw.drawn.cost.get(line.meter).unwrap_or_default();
    let amounts: Vec<i64> = own
        .iter()
        .map(|(draw, line)| signed(amount(draw, line)))
        .collect();
    let tools: Vec<String> = own
        .iter()
        .map(|(draw, _)| super::ledger::tool_column(draw.tool))
        .collect();
    let inserted = tx
        .execute(
            insert,
            &[
                &tasks,
                &uses,
                &keys,
                &windows,
                &meters,
                &amounts,
                &tools,
                &enforcer,
                &instance.uuid(),
                &signed(incarnation),
            ],
        )
        .await;
    inserted.map(drop).map_err(|source| tx.failed(source))
}

/// Writes what is left of reservations after calls took their parts.
pub(in crate::task) async fn write_left(tx: &Transaction, left: &[Reservation]) -> Result<(), DatabaseError> {
    let write = "-- slice.write_left
        UPDATE reservation SET amount = held.amount
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[])
             AS held (task_id, use_id, key, window_start, amount)
        WHERE reservation.task_id = held.task_id AND reservation.use_id = held.use_id
          AND reservation.key = held.key AND reservation.window_start = held.window_start";
    let tasks: Vec<Uuid> = left.iter().map(|held| held.task).collect();
    let uses: Vec<Uuid> = left.iter().map(|held| held.use_id).collect();
    let keys: Vec<&str> = left.iter().map(|held| &*held.key).collect();
    let windows: Vec<i64> = left.iter().map(|held| signed(held.line.window_start)).collect();
    let amounts: Vec<i64> = left.iter().map(|held| signed(held.amount)).collect();
    let written = tx
        .execute(write, &[&tasks, &uses, &keys, &windows, &amounts])
        .await;
    written.map(drop).map_err(|source| tx.failed(source))
}

/// Takes calls from a slice; those that it does not have are charged to the task.
pub(in crate::task) async fn draw_calls(
    tx: &Transaction,
    (enforcer, instance, incarnation): Journal<'_>,
    (id, task): (SliceId, TaskId),
    calls: i64,
) -> Result<(), DatabaseError> {
    let draw = "-- slice.draw_calls
        WITH had AS (
            SELECT id, calls_left FROM slice
            WHERE id = $1 AND task_id = $2 AND enforcer = $3 AND instance_id = $4 AND incarnation = $5 AND closed_at IS NULL
            FOR UPDATE
        ), drawn AS (
            UPDATE slice SET calls_left = greatest(had.calls_left - $6, 0) FROM had WHERE slice.id = had.id
        )
        UPDATE task SET calls_used = least(calls_used + beside.calls, calls_max)
        FROM (SELECT greatest($6 - coalesce((SELECT calls_left FROM had), 0), 0) AS calls) AS beside
        WHERE task.id = $2 AND calls_max IS NOT NULL AND beside.calls > 0";
    let drawn = tx
        .execute(
            draw,
            &[
                &id.uuid(),
                &task.uuid(),
                &enforcer,
                &instance.uuid(),
                &signed(incarnation),
                &calls,
            ],
        )
        .await;
    drawn.map(drop).map_err(|source| tx.failed(source))
}

/// Gives back the calls that were not drawn from these slices of one journal.
pub(in crate::task) async fn give_calls_back(
    tx: &Transaction,
    (enforcer, instance, incarnation): Journal<'_>,
    ids: &[Uuid],
) -> Result<(), DatabaseError> {
    let left = "-- slice.calls_left
        UPDATE slice SET calls_left = 0 FROM (
            SELECT id, calls_left FROM slice
            WHERE id = ANY ($1) AND enforcer = $2 AND instance_id = $3 AND incarnation = $4
              AND closed_at IS NULL AND calls_left > 0
            ORDER BY id FOR UPDATE) AS had
        WHERE slice.id = had.id RETURNING slice.id, had.calls_left";
    let rows = tx
        .query(left, &[&ids, &enforcer, &instance.uuid(), &signed(incarnation)])
        .await
        .map_err(|source| tx.failed(source))?;
    for row in rows {
        let calls: i64 = row.get("calls_left");
        charge_calls(tx, SliceId::from_uuid(row.get("id")), -calls).await?;
    }
    Ok(())
}

/// Nothing is drawn from these any more; those that were not made never are.
pub(in crate::task) async fn close(
    tx: &Transaction,
    (enforcer, instance, incarnation): Journal<'_>,
    (ids, tasks): (&[Uuid], &[Uuid]),
) -> Result<(), DatabaseError> {
    let close = "-- slice.close
        INSERT INTO slice (id, task_id, enforcer, instance_id, incarnation, closed_at)
        SELECT DISTINCT ON (id) id, task_id, $3, $4, $5::bigint, clock_timestamp()
        FROM unnest($1::uuid[], $2::uuid[]) AS ended (id, task_id)
        ON CONFLICT (id) DO UPDATE SET closed_at = clock_timestamp()
            WHERE slice.enforcer = excluded.enforcer AND slice.instance_id = excluded.instance_id
              AND slice.incarnation = excluded.incarnation AND slice.closed_at IS NULL";
    let closed = tx
        .execute(
            close,
            &[&ids, &tasks, &enforcer, &instance.uuid(), &signed(incarnation)],
        )
        .await;
    closed.map(drop).map_err(|source| tx.failed(source))
}

/// The slices of earlier openings of a directory that nobody has heard the end of.
pub(in crate::task) async fn open_before(
    tx: &Transaction,
    (enforcer, instance, incarnation): Journal<'_>,
) -> Result<Vec<Owner>, DatabaseError> {
    let read = "-- slice.open_before
        SELECT slice.id, slice.task_id, slice.incarnation, journal.forked_at IS NOT NULL AS is_forked
        FROM slice LEFT JOIN journal_cursor journal USING (enforcer, instance_id, incarnation)
        WHERE enforcer = $1 AND instance_id = $2 AND incarnation < $3 AND closed_at IS NULL ORDER BY slice.id";
    let rows = tx
        .query(read, &[&enforcer, &instance.uuid(), &signed(incarnation)])
        .await
        .map_err(|source| tx.failed(source))?;
    let owner = |row: &Row| Owner {
        id: SliceId::from_uuid(row.get("id")),
        task: TaskId::from_uuid(row.get("task_id")),
        incarnation: unsigned(row.get("incarnation")),
        is_forked: row.get("is_forked"),
    };
    Ok(rows.iter().map(owner).collect())
}

/// Nothing is drawn any more from what earlier openings of a directory held.
pub(in crate::task) async fn close_before(
    tx: &Transaction,
    (enforcer, instance, incarnation): Journal<'_>,
) -> Result<(), DatabaseError> {
    let close = "-- slice.close_before
        UPDATE slice SET closed_at = clock_timestamp()
        WHERE enforcer = $1 AND instance_id = $2 AND incarnation < $3 AND closed_at IS NULL";
    let closed = tx
        .execute(close, &[&enforcer, &instance.uuid(), &signed(incarnation)])
        .await;
    closed.map(drop).map_err(|source| tx.failed(source))
}

/// Nothing is drawn any more from what this enforcer held.
pub(in crate::task) async fn close_of_enforcer(
    tx: &Transaction,
    enforcer: &str,
) -> Result<(), DatabaseError> {
    let close = "-- slice.close_of_enforcer
        UPDATE slice SET closed_at = clock_timestamp() WHERE enforcer = $1 AND closed_at IS NULL";
    let closed = tx.execute(close, &[&enforcer]).await;
    closed.map(drop).map_err(|source| tx.failed(source))
}

/// Deletes what was closed this long ago. What was drawn from it and not settled is each call's own.
pub(in crate::task) async fn delete_closed(tx: &Transaction, kept: Duration) -> Result<u64, DatabaseError> {
    let delete = "-- slice.delete_closed
        DELETE FROM slice
        WHERE closed_at + $1::bigint * interval '1 second' < clock_timestamp()
          AND NOT EXISTS (SELECT FROM reservation WHERE use_id = slice.id AND state IN ('reserved', 'unknown'))";
    let deleted = tx.execute(delete, &[&signed(kept.as_secs())]).await;
    deleted.map_err(|source| tx.failed(source))
}

/// Whether an enforcer holds calls of this task that may come back.
pub(in crate::task) async fn holds_calls(tx: &Transaction, task: TaskId) -> Result<bool, DatabaseError> {
    let look = "-- slice.holds_calls
        SELECT EXISTS (SELECT FROM slice WHERE task_id = $1 AND closed_at IS NULL AND calls_left > 0
                       AND (counts_calls OR cardinality(grant_ids) > 0))";
    let row = tx
        .query_one(look, &[&task.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.get(0))
}
