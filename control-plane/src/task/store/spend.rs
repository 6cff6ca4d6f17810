//! Budgets, what is held in them, and who waits for them, in Postgres.
//!
//! **Invariant**: whoever changes a budget, or ends what is held in it, has locked its row, and locks several in one order.

mod gone;

use checkrein_shared::id::{InstanceId, TaskId};
use checkrein_shared::ledger::Meter;
use checkrein_shared::policy::{Budget, Per};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::database::{DatabaseError, Transaction, inconsistent, moment_ms, signed, unsigned};
use crate::task::spend::account::{Account, End, Held};
use crate::task::spend::queue::{PLACE_KEPT, WAITERS_MAX};
use crate::task::spend::{Spending, key_of_task};

pub(in crate::task) use gone::{delete_over, delete_waits, open_of_enforcer, removed_with_open};

/// A task shows at most this many of its reservations that nobody knows the end of.
const UNKNOWN_SHOWN_MAX: i64 = 500;

/// One budget in one window. Ordered as they are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::task) struct Line {
    pub(in crate::task) key: String,
    pub(in crate::task) window_start: u64,
    pub(in crate::task) meter: Meter,
}

/// The budgets that the packs in force set, each with its pack, and the time.
pub(in crate::task) async fn of_packs(
    tx: &Transaction,
) -> Result<(Vec<(String, Budget)>, u64), DatabaseError> {
    let read = "-- budget.of_packs
        SELECT * FROM pack_budget ORDER BY pack, name";
    let rows = tx.query(read, &[]).await.map_err(|source| tx.failed(source))?;
    let decode = |row: &Row| {
        let name: String = row.get("name");
        let per = Per::named(row.get("per")).ok_or_else(|| inconsistent("pack_budget", &name))?;
        let meter = row.get::<_, &str>("meter").parse();
        let budget = Budget {
            per,
            meter: meter.map_err(|_| inconsistent("pack_budget", &name))?,
            limit: unsigned(row.get("amount")),
            window_ms: row.get::<_, Option<i64>>("window_ms").map(unsigned),
            tools: row.get("tools"),
            name,
        };
        Ok((row.get("pack"), budget))
    };
    let budgets = rows.iter().map(decode).collect::<Result<_, DatabaseError>>()?;
    Ok((budgets, super::now_ms(tx).await?))
}

/// What is held in one budget for one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::task) struct Reservation {
    pub(in crate::task) task: Uuid,
    pub(in crate::task) use_id: Uuid,
    pub(in crate::task) line: Line,
    pub(in crate::task) key: String,
    pub(in crate::task) meter: Meter,
    pub(in crate::task) amount: u64,
    /// None: not any more.
    pub(in crate::task) held: Option<Held>,
    pub(in crate::task) tool: String,
    pub(in crate::task) enforcer: String,
    pub(in crate::task) reserved_ms: u64,
}

/// Keys and windows as columns.
fn columns(lines: &[Line]) -> (Vec<&str>, Vec<i64>) {
    lines
        .iter()
        .map(|line| (&*line.key, signed(line.window_start)))
        .unzip()
}

/// Locks these budgets, which are sorted, and gives them in their order.
pub(in crate::task) async fn lock(tx: &Transaction, lines: &[Line]) -> Result<Vec<Account>, DatabaseError> {
    let (keys, windows) = columns(lines);
    let make = "-- budget.make
        INSERT INTO budget_use (key, window_start)
        SELECT key, window_start FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS line (key, window_start, place)
        ORDER BY place ON CONFLICT DO NOTHING";
    tx.execute(make, &[&keys, &windows])
        .await
        .map_err(|source| tx.failed(source))?;
    let lock = "-- budget.lock
        SELECT budget_use.* FROM budget_use
        WHERE (key, window_start) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))
        ORDER BY key COLLATE \"C\", window_start FOR UPDATE";
    let rows = tx
        .query(lock, &[&keys, &windows])
        .await
        .map_err(|source| tx.failed(source))?;
    if rows.len() != lines.len() {
        return Err(inconsistent("budget_use", &rows.len()));
    }
    Ok(rows.iter().map(account).collect())
}

fn account(row: &Row) -> Account {
    Account {
        spent: unsigned(row.get("spent")),
        reserved: unsigned(row.get("reserved")),
        unknown: unsigned(row.get("unknown")),
    }
}

/// Writes budgets that are locked.
pub(in crate::task) async fn write(
    tx: &Transaction,
    lines: &[Line],
    accounts: &[Account],
) -> Result<(), DatabaseError> {
    let write = "-- budget.write
        UPDATE budget_use SET spent = line.spent, reserved = line.reserved, unknown = line.unknown
        FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
             AS line (key, window_start, spent, reserved, unknown)
        WHERE budget_use.key = line.key AND budget_use.window_start = line.window_start";
    let (keys, windows) = columns(lines);
    let column = |of: fn(&Account) -> u64| -> Vec<i64> {
        accounts.iter().map(|account| signed(of(account))).collect()
    };
    let (spent, reserved) = (
        column(|account| account.spent),
        column(|account| account.reserved),
    );
    let unknown = column(|account| account.unknown);
    tx.execute(write, &[&keys, &windows, &spent, &reserved, &unknown])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Of these budgets, those that others wait for who came before this release.
pub(in crate::task) async fn waits_ahead(
    tx: &Transaction,
    release: Uuid,
    lines: &[Line],
) -> Result<Vec<String>, DatabaseError> {
    let look = "-- budget.waits_ahead
        SELECT DISTINCT key FROM budget_wait
        WHERE key = ANY ($1) AND use_id <> $2 AND since + $3::bigint * interval '1 millisecond' > clock_timestamp()
          AND place < coalesce((SELECT min(place) FROM budget_wait WHERE use_id = $2), 9223372036854775807)";
    let (keys, _) = columns(lines);
    let kept_ms = signed(u64::try_from(PLACE_KEPT.as_millis()).unwrap_or(u64::MAX));
    let rows = tx
        .query(look, &[&keys, &release, &kept_ms])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(|row| row.get("key")).collect())
}

/// Takes a place in the line before each of these budgets, unless one has it; false if a line is too long.
pub(in crate::task) async fn line_up(
    tx: &Transaction,
    release: Uuid,
    keys: &[String],
) -> Result<bool, DatabaseError> {
    let forget = "-- budget.forget_waiters
        DELETE FROM budget_wait
        WHERE key = ANY ($1) AND since + $2::bigint * interval '1 millisecond' <= clock_timestamp()";
    let kept_ms = signed(u64::try_from(PLACE_KEPT.as_millis()).unwrap_or(u64::MAX));
    tx.execute(forget, &[&keys, &kept_ms])
        .await
        .map_err(|source| tx.failed(source))?;
    let join = "-- budget.line_up
        INSERT INTO budget_wait (key, use_id)
        SELECT key, $2 FROM unnest($1::text[]) AS line (key)
        WHERE NOT EXISTS (SELECT FROM budget_wait WHERE use_id = $2)
          AND NOT EXISTS (SELECT FROM budget_wait WHERE key = ANY ($1) GROUP BY key HAVING count(*) >= $3)";
    let joined = tx
        .execute(join, &[&keys, &release, &WAITERS_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(joined > 0 || is_in_line(tx, release).await?)
}

async fn is_in_line(tx: &Transaction, release: Uuid) -> Result<bool, DatabaseError> {
    let look = "-- budget.is_in_line
        SELECT EXISTS (SELECT FROM budget_wait WHERE use_id = $1)";
    let row = tx
        .query_one(look, &[&release])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.get(0))
}

/// How many are before this release in its lines; at most as many as wait for one budget.
pub(in crate::task) async fn ahead(tx: &Transaction, release: Uuid) -> Result<u32, DatabaseError> {
    let look = "-- budget.ahead
        SELECT count(DISTINCT other.use_id)
        FROM budget_wait own JOIN budget_wait other ON other.key = own.key AND other.place < own.place
        WHERE own.use_id = $1 AND other.use_id <> $1
          AND other.since + $2::bigint * interval '1 millisecond' > clock_timestamp()";
    let kept_ms = signed(u64::try_from(PLACE_KEPT.as_millis()).unwrap_or(u64::MAX));
    let row = tx
        .query_one(look, &[&release, &kept_ms])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX))
}

/// Leaves every line.
pub(in crate::task) async fn leave(tx: &Transaction, release: Uuid) -> Result<(), DatabaseError> {
    let leave = "-- budget.leave
        DELETE FROM budget_wait WHERE use_id = $1";
    let left = tx.execute(leave, &[&release]).await;
    left.map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Writes what is held for a release in these budgets.
pub(in crate::task) async fn insert(
    tx: &Transaction,
    (task, release): (TaskId, Uuid),
    lines: &[Line],
    spending: &Spending,
) -> Result<(), DatabaseError> {
    let insert = "-- reservation.insert
        INSERT INTO reservation (task_id, use_id, key, window_start, meter, amount, tool, enforcer, instance_id, incarnation)
        SELECT $1, $2, key, window_start, meter, amount, $7, $8, $9, $10
        FROM unnest($3::text[], $4::bigint[], $5::text[], $6::bigint[]) AS line (key, window_start, meter, amount)";
    let (keys, windows) = columns(lines);
    let meters: Vec<&str> = lines.iter().map(|line| line.meter.as_str()).collect();
    let amount = |line: &Line| signed(spending.cost.get(line.meter).unwrap_or_default());
    let amounts: Vec<i64> = lines.iter().map(amount).collect();
    tx.execute(
        insert,
        &[
            &task.uuid(),
            &release,
            &keys,
            &windows,
            &meters,
            &amounts,
            &spending.tool,
            &spending.enforcer,
            &spending.instance.uuid(),
            &signed(spending.incarnation),
        ],
    )
    .await
    .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// What was ever held for a release.
pub(in crate::task) async fn of_use(
    tx: &Transaction,
    task: TaskId,
    release: Uuid,
) -> Result<Vec<Reservation>, DatabaseError> {
    let read = "-- reservation.of_use
        SELECT * FROM reservation WHERE task_id = $1 AND use_id = $2";
    let rows = tx
        .query(read, &[&task.uuid(), &release])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode).collect()
}

/// What is under way of these releases of one journal.
pub(in crate::task) async fn open_of(
    tx: &Transaction,
    (enforcer, instance, incarnation): (&str, InstanceId, u64),
    uses: &[Uuid],
) -> Result<Vec<Reservation>, DatabaseError> {
    let read = "-- reservation.open_of
        SELECT * FROM reservation
        WHERE use_id = ANY ($1) AND enforcer = $2 AND instance_id = $3 AND incarnation = $4 AND state = 'reserved'";
    let rows = tx
        .query(read, &[&uses, &enforcer, &instance.uuid(), &signed(incarnation)])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode).collect()
}

/// What is under way of earlier openings of a directory.
pub(in crate::task) async fn open_before(
    tx: &Transaction,
    (enforcer, instance, incarnation): (&str, InstanceId, u64),
) -> Result<Vec<Reservation>, DatabaseError> {
    let read = "-- reservation.open_before
        SELECT * FROM reservation
        WHERE enforcer = $1 AND instance_id = $2 AND incarnation < $3 AND state = 'reserved'";
    let rows = tx
        .query(read, &[&enforcer, &instance.uuid(), &signed(incarnation)])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode).collect()
}

/// Of these, whose budgets are locked, those that are still held.
pub(in crate::task) async fn still_held(
    tx: &Transaction,
    found: &[Reservation],
) -> Result<Vec<Reservation>, DatabaseError> {
    let read = "-- reservation.still_held
        SELECT reservation.* FROM reservation
        JOIN unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[]) AS found (task_id, use_id, key, window_start)
             USING (task_id, use_id, key, window_start)
        WHERE state IN ('reserved', 'unknown')";
    let tasks: Vec<Uuid> = found.iter().map(|found| found.task).collect();
    let uses: Vec<Uuid> = found.iter().map(|found| found.use_id).collect();
    let keys: Vec<&str> = found.iter().map(|found| &*found.key).collect();
    let windows: Vec<i64> = found
        .iter()
        .map(|found| signed(found.line.window_start))
        .collect();
    let rows = tx
        .query(read, &[&tasks, &uses, &keys, &windows])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode).collect()
}

/// Writes how these ended.
pub(in crate::task) async fn end(
    tx: &Transaction,
    ended: &[(Reservation, End)],
) -> Result<(), DatabaseError> {
    let end = "-- reservation.end
        UPDATE reservation SET state = ended.state, actual = ended.actual, closed_at = clock_timestamp(),
               was_unknown = was_unknown OR ended.state = 'unknown'
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::bigint[])
             AS ended (task_id, use_id, key, window_start, state, actual)
        WHERE reservation.task_id = ended.task_id AND reservation.use_id = ended.use_id
          AND reservation.key = ended.key AND reservation.window_start = ended.window_start";
    let tasks: Vec<Uuid> = ended.iter().map(|(of, _)| of.task).collect();
    let uses: Vec<Uuid> = ended.iter().map(|(of, _)| of.use_id).collect();
    let keys: Vec<&str> = ended.iter().map(|(of, _)| &*of.key).collect();
    let windows: Vec<i64> = ended.iter().map(|(of, _)| signed(of.line.window_start)).collect();
    let (states, actual): (Vec<&str>, Vec<Option<i64>>) = ended.iter().map(|(_, end)| words(*end)).unzip();
    tx.execute(end, &[&tasks, &uses, &keys, &windows, &states, &actual])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Writes who settled what was unknown of a release; false if nothing was.
pub(in crate::task) async fn sign(
    tx: &Transaction,
    (task, release): (TaskId, Uuid),
    (by, reason): (&str, &str),
) -> Result<bool, DatabaseError> {
    let sign = "-- reservation.sign
        UPDATE reservation SET settled_by = $3, reason = $4
        WHERE task_id = $1 AND use_id = $2 AND settled_by IS NULL AND state IN ('settled', 'returned') AND was_unknown";
    let signed = tx
        .execute(sign, &[&task.uuid(), &release, &by, &reason])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(signed > 0)
}

fn words(end: End) -> (&'static str, Option<i64>) {
    match end {
        End::Settled(actual) => ("settled", Some(signed(actual))),
        End::Returned => ("returned", Some(0)),
        End::Unknown => ("unknown", None),
    }
}

/// What became of the meters of a task, each that was ever used.
pub(in crate::task) async fn of_task(
    tx: &Transaction,
    id: TaskId,
) -> Result<Vec<(Meter, Account)>, DatabaseError> {
    let read = "-- budget.of_task
        SELECT * FROM budget_use WHERE key = ANY ($1) AND window_start = 0";
    let keys = Meter::ALL.map(|meter| key_of_task(id, meter));
    let rows = tx
        .query(read, &[&&keys[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    let of_meter = |(meter, key): (Meter, &String)| {
        let row = rows.iter().find(|row| row.get::<_, &str>("key") == key)?;
        Some((meter, account(row)))
    };
    Ok(Meter::ALL.into_iter().zip(&keys).filter_map(of_meter).collect())
}

/// What nobody knows the end of in a task, the oldest first.
pub(in crate::task) async fn unknown(
    tx: &Transaction,
    id: TaskId,
) -> Result<Vec<Reservation>, DatabaseError> {
    let read = "-- reservation.unknown
        SELECT * FROM reservation WHERE task_id = $1 AND state = 'unknown' ORDER BY reserved_at, use_id LIMIT $2";
    let rows = tx
        .query(read, &[&id.uuid(), &UNKNOWN_SHOWN_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode).collect()
}

pub(super) fn decode(row: &Row) -> Result<Reservation, DatabaseError> {
    let use_id: Uuid = row.get("use_id");
    let key: String = row.get("key");
    let meter = row.get::<_, &str>("meter").parse();
    let meter = meter.map_err(|_| inconsistent("reservation", &use_id))?;
    Ok(Reservation {
        task: row.get("task_id"),
        use_id,
        line: Line {
            key: key.clone(),
            window_start: unsigned(row.get("window_start")),
            meter,
        },
        key,
        meter,
        amount: unsigned(row.get("amount")),
        held: match row.get("state") {
            "reserved" => Some(Held::Reserved),
            "unknown" => Some(Held::Unknown),
            _ => None,
        },
        tool: row.get("tool"),
        enforcer: row.get("enforcer"),
        reserved_ms: moment_ms(row, "reserved_at"),
    })
}
