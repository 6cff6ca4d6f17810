//! Reading holds, with or without the row's lock.

use std::collections::BTreeMap;

use checkrein_shared::action::Sha256;
use checkrein_shared::hold::{Hold, State, asks};
use checkrein_shared::id::{DecisionId, HoldId, InstanceId, TaskId};
use tokio_postgres::Row;

use super::super::open::OpenCounts;
use super::super::sweep::{OUTCOME_GRACE, SWEEP_ROWS_MAX};
use super::super::{HoldEvent, Open};
use super::whole::{self, SELECT};
use crate::database::{DatabaseError, Transaction, from_ms, moment_ms_opt, parsed, signed, unsigned};

/// A locked hold, and whether the deadline of its state has passed by the database's clock.
pub(in super::super) struct Held {
    pub(in super::super) hold: Hold,
    pub(in super::super) is_late: bool,
}

/// What a list asks for.
pub(in super::super) struct Filter {
    pub(in super::super) states: Vec<&'static str>,
    pub(in super::super) task: Option<TaskId>,
    /// Only with the tool, definition and arguments of this one.
    pub(in super::super) like: Option<HoldId>,
    /// Only those for which the glass was broken; or of those, the ones that nobody has looked at since.
    pub(in super::super) broken: bool,
    pub(in super::super) unreviewed: bool,
    pub(in super::super) after: Option<(u64, HoldId)>,
    pub(in super::super) rows: i64,
}

/// What a list finds.
pub(in super::super) struct Listed {
    pub(in super::super) id: HoldId,
    /// How long what is long of it is.
    pub(in super::super) bytes: usize,
}

pub(in super::super) async fn lock(tx: &Transaction, id: HoldId) -> Result<Option<Held>, DatabaseError> {
    // The row is locked first and the clock read afterwards, however long the lock took.
    let lock = format!(
        "-- hold.lock\nWITH hold AS MATERIALIZED (SELECT * FROM hold WHERE id = $1 FOR UPDATE) {SELECT}"
    );
    let row = tx
        .query_opt(&lock, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    let Some(row) = row else { return Ok(None) };
    let is_late = row.get("is_late");
    let hold = whole::of(tx, Some(row)).await?;
    Ok(hold.map(|hold| Held { hold, is_late }))
}

pub(in super::super) async fn find(tx: &Transaction, id: HoldId) -> Result<Option<Hold>, DatabaseError> {
    let find = format!("-- hold.find\n{SELECT} WHERE hold.id = $1");
    let row = tx
        .query_opt(&find, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    whole::of(tx, row).await
}

pub(in super::super) async fn find_by_key(
    tx: &Transaction,
    task: TaskId,
    call_id: &str,
    action: Sha256,
) -> Result<Option<Hold>, DatabaseError> {
    let find =
        format!("-- hold.find_by_key\n{SELECT} WHERE task_id = $1 AND call_id = $2 AND action_sha256 = $3");
    let row = tx
        .query_opt(&find, &[&task.uuid(), &call_id, &&action.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    whole::of(tx, row).await
}

/// These, in this order.
pub(in super::super) async fn find_all(tx: &Transaction, ids: &[HoldId]) -> Result<Vec<Hold>, DatabaseError> {
    let find = format!(
        "-- hold.find_all\n{SELECT} JOIN unnest($1::uuid[]) WITH ORDINALITY AS wanted (id, place) ON wanted.id = hold.id
        ORDER BY place"
    );
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx
        .query(&find, &[&ids])
        .await
        .map_err(|source| tx.failed(source))?;
    whole::all(tx, &rows).await
}

/// What is on one page, the most urgent first: of each state along an index of its own.
pub(in super::super) async fn list(tx: &Transaction, filter: &Filter) -> Result<Vec<Listed>, DatabaseError> {
    let list = "-- hold.list
        SELECT listed.id, listed.bytes
        FROM (SELECT DISTINCT unnest($1::text[]) AS state) AS asked CROSS JOIN LATERAL (
            SELECT id, decide_by, octet_length(arguments) + octet_length(reason) AS bytes FROM hold
            WHERE hold.state = asked.state AND ($2::uuid IS NULL OR task_id = $2)
              AND ($3::timestamptz IS NULL OR (decide_by, id) > ($3, $4))
              AND ($6::uuid IS NULL OR (tool, definition_sha256, arguments)
                  = (SELECT tool, definition_sha256, arguments FROM hold WHERE id = $6))
              AND (NOT $7 OR broken_at IS NOT NULL)
              AND (NOT $8 OR NOT EXISTS (SELECT FROM hold_review WHERE hold_id = hold.id))
            ORDER BY decide_by, id LIMIT $5) AS listed
        ORDER BY listed.decide_by, listed.id LIMIT $5";
    let (moment, id) = filter.after.map(|(ms, id)| (from_ms(ms), id.uuid())).unzip();
    let task = filter.task.map(TaskId::uuid);
    let like = filter.like.map(HoldId::uuid);
    let rows = tx
        .query(
            list,
            &[
                &filter.states,
                &task,
                &moment,
                &id,
                &filter.rows,
                &like,
                &(filter.broken || filter.unreviewed),
                &filter.unreviewed,
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    let listed = |row: &Row| Listed {
        id: HoldId::from_uuid(row.get("id")),
        bytes: usize::try_from(row.get::<_, i32>("bytes")).unwrap_or(usize::MAX),
    };
    Ok(rows.iter().map(listed).collect())
}

pub(in super::super) async fn task_of(tx: &Transaction, id: HoldId) -> Result<Option<TaskId>, DatabaseError> {
    let read = "-- hold.task_of
        SELECT task_id FROM hold WHERE id = $1";
    let row = tx
        .query_opt(read, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.map(|row| TaskId::from_uuid(row.get(0))))
}

/// A hold that an enforcer's records speak of.
pub(in super::super) struct Spoken {
    pub(in super::super) state: State,
    pub(in super::super) task: TaskId,
    /// The attempt that used it; none: it was not used, or by one without a name.
    pub(in super::super) attempt: Option<DecisionId>,
}

pub(in super::super) async fn lock_of_enforcer(
    tx: &Transaction,
    enforcer: &str,
    ids: &[HoldId],
) -> Result<BTreeMap<HoldId, Spoken>, DatabaseError> {
    let lock = "-- hold.lock_of_enforcer
        SELECT id, state, task_id, consumed_attempt FROM hold WHERE id = ANY ($1) AND enforcer = $2 ORDER BY id FOR UPDATE";
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx
        .query(lock, &[&ids, &enforcer])
        .await
        .map_err(|source| tx.failed(source))?;
    let spoken = |row: &Row| {
        let (id, state) = id_and_state(row)?;
        let spoken = Spoken {
            state,
            task: TaskId::from_uuid(row.get("task_id")),
            attempt: row
                .get::<_, Option<_>>("consumed_attempt")
                .map(DecisionId::from_uuid),
        };
        Ok((id, spoken))
    };
    rows.iter().map(spoken).collect()
}

/// What earlier openings of this directory released, and nothing was heard of.
pub(in super::super) async fn lock_released_before(
    tx: &Transaction,
    enforcer: &str,
    instance: InstanceId,
    incarnation: u64,
) -> Result<Vec<(HoldId, State)>, DatabaseError> {
    let lock = "-- hold.lock_released_before
        SELECT id, state FROM hold
        WHERE state = 'consumed' AND enforcer = $1 AND consumed_instance = $2 AND consumed_incarnation < $3
        ORDER BY id FOR UPDATE";
    let rows = tx
        .query(lock, &[&enforcer, &instance.uuid(), &signed(incarnation)])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(id_and_state).collect()
}

pub(in super::super) async fn lock_waiting_of_task(
    tx: &Transaction,
    task: TaskId,
) -> Result<Vec<(HoldId, State)>, DatabaseError> {
    let lock = "-- hold.lock_waiting_of_task
        SELECT id, state FROM hold WHERE task_id = $1 AND state IN ('open', 'approved') ORDER BY id FOR UPDATE";
    let rows = tx
        .query(lock, &[&task.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(id_and_state).collect()
}

pub(in super::super) async fn lock_late(tx: &Transaction) -> Result<Vec<(HoldId, State)>, DatabaseError> {
    let lock = "-- hold.lock_late
        SELECT id, state FROM hold
        WHERE (state = 'open' AND decide_by <= clock_timestamp())
           OR (state = 'approved' AND use_by <= clock_timestamp())
           OR (state = 'consumed' AND use_by + $1::bigint * interval '1 second' <= clock_timestamp())
        ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED";
    let grace = i64::try_from(OUTCOME_GRACE.as_secs()).unwrap_or(i64::MAX);
    let rows = tx
        .query(lock, &[&grace, &SWEEP_ROWS_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(id_and_state).collect()
}

/// What waits in the class of this hold, and the hold itself however it stands.
pub(in super::super) async fn lock_waiting_of_class(
    tx: &Transaction,
    id: HoldId,
) -> Result<Vec<(HoldId, State)>, DatabaseError> {
    let lock = "-- hold.lock_waiting_of_class
        SELECT id, state FROM hold
        WHERE (task_id, denial_class) = (SELECT task_id, denial_class FROM hold WHERE id = $1)
          AND (state IN ('open', 'approved') OR id = $1)
        ORDER BY id FOR UPDATE";
    let rows = tx
        .query(lock, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(id_and_state).collect()
}

/// What a person said who denied something of this class.
pub(in super::super) async fn denial_of(
    tx: &Transaction,
    task: TaskId,
    class: Sha256,
) -> Result<Option<String>, DatabaseError> {
    let read = "-- hold.denial_of
        SELECT denial_reason FROM hold
        WHERE task_id = $1 AND denial_class = $2 AND state IN ('denied', 'withdrawn') AND denial_reason IS NOT NULL
        LIMIT 1";
    let row = tx
        .query_opt(read, &[&task.uuid(), &&class.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.map(|row| row.get(0)))
}

/// The same of the class that a hold is of.
pub(in super::super) async fn denial_of_class(
    tx: &Transaction,
    id: HoldId,
) -> Result<Option<String>, DatabaseError> {
    let read = "-- hold.denial_of_class
        SELECT other.denial_reason FROM hold JOIN hold AS other USING (task_id, denial_class)
        WHERE hold.id = $1 AND other.state IN ('denied', 'withdrawn') AND other.denial_reason IS NOT NULL LIMIT 1";
    let row = tx
        .query_opt(read, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.map(|row| row.get(0)))
}

pub(in super::super) async fn count_open(tx: &Transaction, open: &Open) -> Result<OpenCounts, DatabaseError> {
    let count = "-- hold.count_open
        SELECT (SELECT count(*) FROM hold WHERE state = 'open' AND task_id = $1) AS of_task,
               (SELECT count(*) FROM hold WHERE state = 'open' AND agent = $2) AS of_agent,
               coalesce((SELECT max(waiting) FROM (
                   SELECT count(DISTINCT hold.id) AS waiting
                   FROM hold_requirement JOIN hold ON hold.id = hold_id
                   WHERE state = 'open' AND group_name = ANY ($3) GROUP BY group_name) groups), 0) AS of_group";
    let groups: Vec<&str> = open
        .requirements
        .iter()
        .map(|requirement| requirement.group.as_str())
        .collect();
    let row = tx
        .query_one(
            count,
            &[&open.action.task.uuid(), &open.action.agent.as_str(), &groups],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    let count = |column: &str| u32::try_from(row.get::<_, i64>(column)).unwrap_or(u32::MAX);
    Ok(OpenCounts {
        task: count("of_task"),
        agent: count("of_agent"),
        group: count("of_group"),
    })
}

pub(in super::super) async fn events_after(
    tx: &Transaction,
    revision: u64,
    most: usize,
) -> Result<Vec<HoldEvent>, DatabaseError> {
    // The newest, if there are more than anybody remembers.
    let read = "-- hold.events_after
        SELECT newest.*, hold.use_by FROM (
            SELECT revision, hold_id, enforcer, state, version, reason FROM hold_event
            WHERE revision > $1 ORDER BY revision DESC LIMIT $2) newest
        JOIN hold ON hold.id = newest.hold_id
        ORDER BY revision";
    let parameters = (
        crate::database::signed(revision),
        i64::try_from(most).unwrap_or(i64::MAX),
    );
    let rows = tx
        .query(read, &[&parameters.0, &parameters.1])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(event).collect()
}

pub(in super::super) async fn standing(
    tx: &Transaction,
    enforcer: &str,
    ids: &[HoldId],
) -> Result<Vec<HoldEvent>, DatabaseError> {
    let read = "-- hold.standing
        SELECT 0::bigint AS revision, id AS hold_id, enforcer, state, version, coalesce(denial_reason, '') AS reason,
               use_by, asked.author AS asked_by, asked.remark AS asked
        FROM hold LEFT JOIN LATERAL (
            SELECT author, remark, kind FROM hold_remark
            WHERE hold_id = hold.id AND kind <> 'handed_on' ORDER BY ordinal DESC LIMIT 1) asked
            ON hold.state = 'open' AND asked.kind = 'question'
        WHERE hold.id = ANY ($1) AND hold.enforcer = $2";
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx
        .query(read, &[&ids, &enforcer])
        .await
        .map_err(|source| tx.failed(source))?;
    let standing = |row: &Row| {
        let question: (Option<&str>, Option<&str>) = (row.get("asked_by"), row.get("asked"));
        let (Some(author), Some(text)) = question else {
            return event(row);
        };
        Ok(HoldEvent {
            reason: asks(author, text),
            ..event(row)?
        })
    };
    rows.iter().map(standing).collect()
}

fn event(row: &Row) -> Result<HoldEvent, DatabaseError> {
    let state = parsed(row, "state", "hold_event")?;
    let use_by_ms = moment_ms_opt(row, "use_by").filter(|_| state == State::Approved);
    Ok(HoldEvent {
        revision: unsigned(row.get("revision")),
        hold: HoldId::from_uuid(row.get("hold_id")),
        enforcer: row.get("enforcer"),
        state,
        version: unsigned(row.get("version")),
        reason: row.get("reason"),
        use_by_ms,
    })
}

fn id_and_state(row: &Row) -> Result<(HoldId, State), DatabaseError> {
    Ok((HoldId::from_uuid(row.get("id")), parsed(row, "state", "hold")?))
}
