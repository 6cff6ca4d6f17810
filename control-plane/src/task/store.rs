//! Tasks in Postgres, whose clock says when they start and end.

pub(super) mod delegation;
pub(super) mod epoch;
pub(super) mod ledger;
pub(super) mod pedigree;
pub(super) mod relabel;
pub(super) mod revocation;
pub(super) mod slice;
pub(super) mod spend;

use std::collections::{BTreeMap, BTreeSet};

use checkrein_shared::grant::{DataScope, Limits, Scope};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::key::VerifyingKey;
use checkrein_shared::ledger::Amounts;
use tokio_postgres::Row;

use super::{Charge, Closing, Confirmation, Start, Task, TaskState};
use crate::database::{
    DatabaseError, FeedName, Transaction, from_ms, inconsistent, moment_ms, moment_ms_opt, parsed, signed,
    unsigned,
};

/// What a list asks for.
pub(super) struct Filter<'a> {
    pub(super) agent: &'a str,
    pub(super) states: &'a [&'static str],
    pub(super) before: Option<(u64, TaskId)>,
    pub(super) rows: i64,
}

pub(super) async fn insert(
    tx: &Transaction,
    id: TaskId,
    grant: GrantId,
    by: &SpiffeId,
    start: &Start,
) -> Result<Task, DatabaseError> {
    let insert = "-- task.insert
        INSERT INTO task (id, grant_id, user_name, agent, scope, named, intent, environment, started_by, started_at, expires_at, state,
                          calls_max, risk, depth, data, holder_key, spend_meters, spend_max)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, now.moment, now.moment + $10::bigint * interval '1 millisecond', 'live',
               $11, $12, $13, $14, $15, $16, $17
        FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS moment) now
        RETURNING *, false AS expired";
    let life_ms = signed(u64::try_from(start.expires_in.as_millis()).unwrap_or(u64::MAX));
    let limits = &start.limits;
    let (meters, amounts): (Vec<&str>, Vec<i64>) = limits
        .spend
        .iter()
        .map(|(meter, amount)| (meter.as_str(), signed(amount)))
        .unzip();
    let holder = start.holder.as_ref().map(|key| &key.as_bytes()[..]);
    let data: Option<Vec<&str>> = start.data.as_ref().map(|data| data.labels().collect());
    let row = tx
        .query_one(
            insert,
            &[
                &id.uuid(),
                &grant.uuid(),
                &start.user,
                &start.agent.as_str(),
                &start.scope.to_json().to_string(),
                &start.named,
                &start.intent,
                &start.environment,
                &by.as_str(),
                &life_ms,
                &limits.calls.map(signed),
                &i16::from(limits.risk),
                &i16::from(limits.depth),
                &data,
                &holder,
                &meters,
                &amounts,
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    decode(&row)
}

pub(super) async fn started_under(
    tx: &Transaction,
    caller: &SpiffeId,
    key: &str,
) -> Result<Option<Task>, DatabaseError> {
    let known: Option<StartedTask> = tx.answer_given(caller, key).await?;
    let Some(known) = known else { return Ok(None) };
    let id = known
        .task_id
        .parse()
        .map_err(|_| inconsistent("idempotency", &known.task_id))?;
    find(tx, id).await
}

pub(super) async fn remember_start(
    tx: &Transaction,
    caller: &SpiffeId,
    key: &str,
    id: TaskId,
) -> Result<(), DatabaseError> {
    tx.remember_answer(
        caller,
        key,
        &StartedTask {
            task_id: id.to_string(),
        },
    )
    .await
}

/// What is remembered of a start: not the grant, which is signed anew from the row.
type StartedTask = checkrein_proto::task::v1::ShowRequest;

pub(super) async fn find(tx: &Transaction, id: TaskId) -> Result<Option<Task>, DatabaseError> {
    let find = "-- task.find
        SELECT *, expires_at <= clock_timestamp() AS expired FROM task WHERE id = $1";
    let row = tx
        .query_opt(find, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(decode).transpose()
}

pub(super) async fn lock(tx: &Transaction, id: TaskId) -> Result<Option<Task>, DatabaseError> {
    let lock = "-- task.lock
        SELECT *, expires_at <= clock_timestamp() AS expired FROM task WHERE id = $1 FOR UPDATE";
    let row = tx
        .query_opt(lock, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(decode).transpose()
}

/// The live tasks of an agent, locked in the order of their ids. One that has expired is ended by its time already.
pub(super) async fn lock_live_of(tx: &Transaction, agent: &SpiffeId) -> Result<Vec<TaskId>, DatabaseError> {
    let lock = "-- task.lock_live_of
        SELECT id FROM task WHERE agent = $1 AND state = 'live' AND expires_at > clock_timestamp()
        ORDER BY id FOR UPDATE";
    let rows = tx
        .query(lock, &[&agent.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(|row| TaskId::from_uuid(row.get("id"))).collect())
}

/// The row is locked first and the clock read afterwards, however long the lock took.
pub(super) async fn share(tx: &Transaction, id: TaskId) -> Result<Option<Task>, DatabaseError> {
    let share = "-- task.share
        WITH task AS MATERIALIZED (SELECT * FROM task WHERE id = $1 FOR SHARE)
        SELECT *, expires_at <= clock_timestamp() AS expired FROM task";
    let row = tx
        .query_opt(share, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(decode).transpose()
}

pub(super) async fn is_live(tx: &Transaction, id: TaskId) -> Result<bool, DatabaseError> {
    let read = "-- task.is_live
        SELECT state = 'live' AND expires_at > clock_timestamp() FROM task WHERE id = $1";
    let row = tx
        .query_opt(read, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.is_some_and(|row| row.get(0)))
}

pub(super) async fn starter(tx: &Transaction, id: TaskId) -> Result<SpiffeId, DatabaseError> {
    let read = "-- task.starter
        SELECT started_by FROM task WHERE id = $1";
    let row = tx
        .query_one(read, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    parsed(&row, "started_by", "task")
}

pub(super) async fn starters(
    tx: &Transaction,
    ids: &BTreeSet<TaskId>,
) -> Result<BTreeMap<TaskId, SpiffeId>, DatabaseError> {
    let read = "-- task.starters
        SELECT id, started_by FROM task WHERE id = ANY ($1)";
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx
        .query(read, &[&ids])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter()
        .map(|row| {
            Ok((
                TaskId::from_uuid(row.get("id")),
                parsed(row, "started_by", "task")?,
            ))
        })
        .collect()
}

pub(super) async fn close(
    tx: &Transaction,
    id: TaskId,
    how: Closing,
    by: &SpiffeId,
    reason: &str,
) -> Result<Task, DatabaseError> {
    let close = "-- task.close
        UPDATE task SET state = $2, closed_at = clock_timestamp(), closed_by = $3, closed_reason = $4
        WHERE id = $1 AND state = 'live'
        RETURNING *, expires_at <= clock_timestamp() AS expired";
    let row = tx
        .query_one(close, &[&id.uuid(), &how.as_str(), &by.as_str(), &reason])
        .await
        .map_err(|source| tx.failed(source))?;
    decode(&row)
}

pub(super) async fn now_ms(tx: &Transaction) -> Result<u64, DatabaseError> {
    let row = tx
        .query_one("SELECT clock_timestamp() AS now", &[])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(moment_ms(&row, "now"))
}

pub(super) async fn confirm(
    tx: &Transaction,
    id: TaskId,
) -> Result<Option<(Task, Confirmation)>, DatabaseError> {
    let read = "-- task.confirm
        SELECT task.*, expires_at <= clock_timestamp() AS expired,
               (SELECT value FROM revision WHERE feed = $2) AS generation,
               (SELECT value FROM revision WHERE feed = $3) AS revocation_sequence
        FROM task WHERE id = $1";
    let feeds = (FeedName::Policy.as_str(), FeedName::Task.as_str());
    let row = tx
        .query_opt(read, &[&id.uuid(), &feeds.0, &feeds.1])
        .await
        .map_err(|source| tx.failed(source))?;
    let confirmation = |row: Row| {
        let task = decode(&row)?;
        let confirmation = Confirmation {
            state: task.state.clone(),
            generation: unsigned(row.get("generation")),
            revocation_sequence: unsigned(row.get("revocation_sequence")),
            charge: Charge::None,
            objection: None,
            ledger: None,
            from: Vec::new(),
            slice: None,
        };
        Ok((task, confirmation))
    };
    row.map(confirmation).transpose()
}

/// Counts one call of a task; false if it may make no more, is over, or was amended since it was read: what was judged under
/// its old grant does not go ahead.
pub(super) async fn count_call(tx: &Transaction, task: &Task) -> Result<bool, DatabaseError> {
    let count = "-- task.count_call
        UPDATE task SET calls_used = calls_used + 1
        WHERE id = $1 AND epoch = $2 AND state = 'live' AND expires_at > clock_timestamp() AND calls_used < calls_max";
    let counted = tx.execute(count, &[&task.id.uuid(), &signed(task.epoch)]).await;
    Ok(counted.map_err(|source| tx.failed(source))? == 1)
}

pub(super) async fn list(tx: &Transaction, filter: Filter<'_>) -> Result<Vec<Task>, DatabaseError> {
    let list = "-- task.list
        SELECT * FROM (
            SELECT *, expires_at <= clock_timestamp() AS expired,
                   CASE WHEN state = 'live' AND expires_at <= clock_timestamp() THEN 'expired' ELSE state END AS effective
            FROM task) task
        WHERE ($1 = '' OR agent = $1) AND (cardinality($2::text[]) = 0 OR effective = ANY ($2))
          AND ($3::timestamptz IS NULL OR (started_at, id) < ($3, $4))
        ORDER BY started_at DESC, id DESC LIMIT $5";
    let before = filter.before.map(|(ms, id)| (from_ms(ms), id.uuid()));
    let (moment, id) = before.unzip();
    let rows = tx
        .query(list, &[&filter.agent, &filter.states, &moment, &id, &filter.rows])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode).collect()
}

fn spend(row: &Row) -> Option<Amounts> {
    let mut spend = Amounts::default();
    let (meters, amounts): (Vec<&str>, Vec<i64>) = (row.get("spend_meters"), row.get("spend_max"));
    for (meter, amount) in meters.into_iter().zip(amounts) {
        spend.set(meter.parse().ok()?, unsigned(amount));
    }
    Some(spend)
}

fn decode(row: &Row) -> Result<Task, DatabaseError> {
    let id = TaskId::from_uuid(row.get("id"));
    let closed = (
        row.get("state"),
        moment_ms_opt(row, "closed_at"),
        row.get("closed_reason"),
        row.get("expired"),
    );
    let state = match closed {
        ("live", None, None, false) => TaskState::Live,
        ("live", None, None, true) => TaskState::Expired,
        ("ended" | "revoked", Some(at_ms), Some(reason), _) => TaskState::Closed {
            how: if closed.0 == "ended" {
                Closing::Ended
            } else {
                Closing::Revoked
            },
            by: parsed(row, "closed_by", "task")?,
            at_ms,
            reason,
        },
        _ => return Err(inconsistent("task", &id)),
    };
    let scope = Scope::parse_json(row.get::<_, &str>("scope").as_bytes());
    let scope = scope.map_err(|_| inconsistent("task", &id))?;
    let limits = Limits {
        calls: row.get::<_, Option<i64>>("calls_max").map(unsigned),
        risk: u8::try_from(row.get::<_, i16>("risk")).map_err(|_| inconsistent("task", &id))?,
        depth: u8::try_from(row.get::<_, i16>("depth")).map_err(|_| inconsistent("task", &id))?,
        spend: spend(row).ok_or_else(|| inconsistent("task", &id))?,
    };
    let holder = row
        .get::<_, Option<&[u8]>>("holder_key")
        .map(VerifyingKey::try_from);
    let data = row.get::<_, Option<Vec<&str>>>("data").map(DataScope::parse);
    let data = data.transpose().map_err(|_| inconsistent("task", &id))?;
    Ok(Task {
        id,
        grant: GrantId::from_uuid(row.get("grant_id")),
        user: row.get("user_name"),
        agent: parsed(row, "agent", "task")?,
        scope,
        limits: limits.checked().map_err(|_| inconsistent("task", &id))?,
        data,
        calls_used: unsigned(row.get("calls_used")),
        ledger_revision: unsigned(row.get("ledger_revision")),
        named: row.get("named"),
        intent: row.get("intent"),
        environment: row.get("environment"),
        holder: holder.transpose().map_err(|_| inconsistent("task", &id))?,
        epoch: unsigned(row.get("epoch")),
        granted_ms: moment_ms_opt(row, "amended_at").unwrap_or_else(|| moment_ms(row, "started_at")),
        started_by: parsed(row, "started_by", "task")?,
        started_ms: moment_ms(row, "started_at"),
        expires_ms: moment_ms(row, "expires_at"),
        state,
    })
}
