//! Standing approvals in Postgres. Their task is locked by whoever calls, or shared with the counter of holds locked.

use std::collections::{BTreeMap, BTreeSet};

use checkrein_shared::action::Number;
use checkrein_shared::hold::{Bounds, Elector, State, Terms, Vote, Why};
use checkrein_shared::id::{HoldId, StandingId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::label::Label;
use tokio_postgres::Row;

use super::super::Open;
use super::super::standing::{CANDIDATES_MAX, End, Standing, USES_MAX, Use};
use crate::database::{
    DatabaseError, Transaction, from_ms, inconsistent, moment_ms, moment_ms_opt, parsed, signed, unsigned,
};
use crate::task::Task;

const SELECT: &str =
    "SELECT standing.*, lasts_until <= clock_timestamp() AS is_over FROM standing_approval AS standing";

/// What a list asks for.
pub(in super::super) struct StandingFilter {
    pub(in super::super) task: Option<TaskId>,
    pub(in super::super) all: bool,
    pub(in super::super) after: Option<(u64, StandingId)>,
    pub(in super::super) rows: i64,
}

/// Arrays as they stand in a row.
struct Columns {
    at_most_names: Vec<String>,
    at_most: Vec<String>,
    any_value: Vec<String>,
    labels: Vec<String>,
}

/// Comes into force now, and ends with its task at the latest.
pub(in super::super) async fn insert(
    tx: &Transaction,
    id: StandingId,
    (hold, task): (HoldId, &Task),
    (terms, approvers): (&Terms, &[SpiffeId]),
) -> Result<(), DatabaseError> {
    let insert = "-- standing.insert
        INSERT INTO standing_approval (id, hold_id, task_id, epoch, at_most_names, at_most, any_value, labels, approvers, times,
            given_at, lasts_until)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now.moment,
               least(now.moment + $11::bigint * interval '1 millisecond', $12)
        FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS moment) now";
    let columns = Columns::of(terms);
    let approvers: Vec<&str> = approvers.iter().map(SpiffeId::as_str).collect();
    tx.change_one(
        insert,
        &[
            &id.uuid(),
            &hold.uuid(),
            &task.id.uuid(),
            &signed(task.epoch),
            &columns.at_most_names,
            &columns.at_most,
            &columns.any_value,
            &columns.labels,
            &approvers,
            &i32::try_from(terms.times).unwrap_or(i32::MAX),
            &signed(terms.for_ms),
            &from_ms(task.expires_ms),
        ],
    )
    .await
}

/// Writes down what else a vote lets happen.
pub(in super::super) async fn record_terms(
    tx: &Transaction,
    (hold, approver): (HoldId, &SpiffeId),
    terms: Option<&Terms>,
) -> Result<(), DatabaseError> {
    let record = "-- standing.record_terms
        UPDATE hold_vote SET for_ms = $3, times = $4, at_most_names = $5, at_most = $6, any_value = $7, labels = $8
        WHERE hold_id = $1 AND approver = $2";
    let columns = terms.map(Columns::of);
    let of = |column: fn(&Columns) -> &Vec<String>| columns.as_ref().map(column);
    tx.change_one(
        record,
        &[
            &hold.uuid(),
            &approver.as_str(),
            &terms.map(|terms| signed(terms.for_ms)),
            &terms.map(|terms| i32::try_from(terms.times).unwrap_or(i32::MAX)),
            &of(|columns| &columns.at_most_names),
            &of(|columns| &columns.at_most),
            &of(|columns| &columns.any_value),
            &of(|columns| &columns.labels),
        ],
    )
    .await
}

pub(in super::super) async fn find(
    tx: &Transaction,
    id: StandingId,
) -> Result<Option<Standing>, DatabaseError> {
    let find = format!("-- standing.find\n{SELECT} WHERE id = $1");
    let row = tx
        .query_opt(&find, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(standing).transpose()
}

/// What came into force with the approval of a hold.
pub(in super::super) async fn given_with(
    tx: &Transaction,
    hold: HoldId,
) -> Result<Option<Standing>, DatabaseError> {
    let find = format!("-- standing.given_with\n{SELECT} WHERE hold_id = $1");
    let row = tx
        .query_opt(&find, &[&hold.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(standing).transpose()
}

/// Those in force in the task whose action is by the same agents, with the same tool, on the same resource.
pub(in super::super) async fn candidates(
    tx: &Transaction,
    task: &Task,
    open: &Open,
) -> Result<Vec<Standing>, DatabaseError> {
    let read = format!(
        "-- standing.candidates
        {SELECT} JOIN hold ON hold.id = standing.hold_id
        WHERE standing.task_id = $1 AND standing.ended_at IS NULL AND standing.epoch = $2 AND standing.used < standing.times
          AND standing.lasts_until > clock_timestamp()
          AND hold.agent = $3 AND hold.delegated_by = $4 AND hold.user_name = $5
          AND hold.tool = $6 AND hold.definition_sha256 = $7 AND hold.denial_class = $8
        ORDER BY standing.given_at DESC, standing.id DESC LIMIT $9"
    );
    let action = &open.action;
    let delegated_by: Vec<&str> = action.delegated_by.iter().map(SpiffeId::as_str).collect();
    let rows = tx
        .query(
            &read,
            &[
                &task.id.uuid(),
                &signed(task.epoch),
                &action.agent.as_str(),
                &delegated_by,
                &action.user,
                &action.tool,
                &&action.definition.0[..],
                &&open.denial_class.0[..],
                &CANDIDATES_MAX,
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(standing).collect()
}

/// Counts one use; false if it has ended, or was used as often as it may be.
pub(in super::super) async fn charge(tx: &Transaction, id: StandingId) -> Result<bool, DatabaseError> {
    let charge = "-- standing.charge
        UPDATE standing_approval SET used = used + 1
        WHERE id = $1 AND ended_at IS NULL AND used < times AND lasts_until > clock_timestamp()";
    let changed = tx
        .execute(charge, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(changed == 1)
}

/// Approves a hold that was just opened, with the word of those who gave the standing approval. What it approves is not used
/// after its own time.
pub(in super::super) async fn approve_by(
    tx: &Transaction,
    hold: HoldId,
    approved: State,
    by: &Standing,
) -> Result<(), DatabaseError> {
    let approve = "-- standing.approve_by
        UPDATE hold SET state = $2, version = version + 1, standing_id = $3,
            use_by = least(clock_timestamp() + use_within_ms * interval '1 millisecond', $4)
        WHERE id = $1 AND state = 'open'";
    tx.change_one(
        approve,
        &[
            &hold.uuid(),
            &approved.as_str(),
            &by.id.uuid(),
            &from_ms(by.until_ms),
        ],
    )
    .await?;
    let vote = "-- standing.vote
        INSERT INTO hold_vote (hold_id, approver, approve, reason, voted_at, standing_id)
        SELECT $1, approver, true, '', clock_timestamp(), $2 FROM unnest($3::text[]) AS approver";
    let approvers: Vec<&str> = by.approvers.iter().map(SpiffeId::as_str).collect();
    tx.execute(vote, &[&hold.uuid(), &by.id.uuid(), &approvers])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Ends one that has not been ended.
pub(in super::super) async fn end(
    tx: &Transaction,
    id: StandingId,
    by: Option<&SpiffeId>,
    reason: &str,
) -> Result<(), DatabaseError> {
    let end = "-- standing.end
        UPDATE standing_approval SET ended_at = clock_timestamp(), ended_by = $2, ended_reason = $3
        WHERE id = $1 AND ended_at IS NULL";
    tx.change_one(end, &[&id.uuid(), &by.map(SpiffeId::as_str), &reason])
        .await
}

/// Ends all of a task. Returns which.
pub(in super::super) async fn end_of_task(
    tx: &Transaction,
    task: TaskId,
    reason: &str,
) -> Result<Vec<StandingId>, DatabaseError> {
    let end = "-- standing.end_of_task
        UPDATE standing_approval SET ended_at = clock_timestamp(), ended_reason = $2
        WHERE task_id = $1 AND ended_at IS NULL RETURNING id";
    let rows = tx
        .query(end, &[&task.uuid(), &reason])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(|row| StandingId::from_uuid(row.get(0))).collect())
}

/// Ends all that are of the task and the class of this hold.
pub(in super::super) async fn end_of_class(
    tx: &Transaction,
    hold: HoldId,
    by: &SpiffeId,
    reason: &str,
) -> Result<(), DatabaseError> {
    let end = "-- standing.end_of_class
        UPDATE standing_approval AS standing SET ended_at = clock_timestamp(), ended_by = $2, ended_reason = $3
        FROM hold AS given, hold AS denied
        WHERE given.id = standing.hold_id AND denied.id = $1 AND standing.ended_at IS NULL
          AND (given.task_id, given.denial_class) = (denied.task_id, denied.denial_class)";
    tx.execute(end, &[&hold.uuid(), &by.as_str(), &reason])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// What these have approved and is not released, in the one order of holds.
pub(in super::super) async fn lock_unused(
    tx: &Transaction,
    ids: &[StandingId],
) -> Result<Vec<(HoldId, State)>, DatabaseError> {
    let lock = "-- standing.lock_unused
        SELECT id, state FROM hold WHERE standing_id = ANY ($1) AND state = 'approved' ORDER BY id FOR UPDATE";
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx
        .query(lock, &[&ids])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter()
        .map(|row| Ok((HoldId::from_uuid(row.get("id")), parsed(row, "state", "hold")?)))
        .collect()
}

/// The ids of one page.
pub(in super::super) async fn list(
    tx: &Transaction,
    filter: &StandingFilter,
) -> Result<Vec<StandingId>, DatabaseError> {
    let list = "-- standing.list
        SELECT id FROM standing_approval
        WHERE ($1::uuid IS NULL OR task_id = $1)
          AND ($2 OR (ended_at IS NULL AND used < times AND lasts_until > clock_timestamp()))
          AND ($3::timestamptz IS NULL OR (given_at, id) < ($3, $4))
        ORDER BY given_at DESC, id DESC LIMIT $5";
    let (moment, id) = filter.after.map(|(ms, id)| (from_ms(ms), id.uuid())).unzip();
    let task = filter.task.map(TaskId::uuid);
    let rows = tx
        .query(list, &[&task, &filter.all, &moment, &id, &filter.rows])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(|row| StandingId::from_uuid(row.get(0))).collect())
}

/// The latest holds that it approved.
pub(in super::super) async fn uses(tx: &Transaction, id: StandingId) -> Result<Vec<Use>, DatabaseError> {
    let read = "-- standing.uses
        SELECT id, state, opened_at FROM hold WHERE standing_id = $1 ORDER BY opened_at DESC, id DESC LIMIT $2";
    let rows = tx
        .query(read, &[&id.uuid(), &USES_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let decode = |row: &Row| {
        Ok(Use {
            hold: HoldId::from_uuid(row.get("id")),
            state: parsed(row, "state", "hold")?,
            opened_ms: moment_ms(row, "opened_at"),
        })
    };
    rows.iter().map(decode).collect()
}

/// A person's word, with what else they let happen.
pub(super) fn vote(row: &Row) -> Result<Vote, DatabaseError> {
    let terms = match row.get::<_, Option<i64>>("for_ms") {
        Some(for_ms) => Some(Terms {
            for_ms: unsigned(for_ms),
            times: u32::try_from(row.get::<_, i32>("times")).unwrap_or_default(),
            bounds: bounds(row)?,
            labels: labels(row)?,
        }),
        None => None,
    };
    Ok(Vote {
        approver: parsed(row, "approver", "hold_vote")?,
        approve: row.get("approve"),
        reason: row.get("reason"),
        voted_ms: moment_ms(row, "voted_at"),
        terms,
        standing: row
            .get::<_, Option<uuid::Uuid>>("standing_id")
            .map(StandingId::from_uuid),
        capacity: capacity(row)?,
    })
}

fn capacity(row: &Row) -> Result<Option<Elector>, DatabaseError> {
    let Some(group) = row.get::<_, Option<String>>("as_group") else {
        return Ok(None);
    };
    let why: Option<&str> = row.get("as_why");
    let broken = || inconsistent("hold_vote", &group);
    Ok(Some(Elector {
        person: parsed(row, "approver", "hold_vote")?,
        seat: parsed(row, "as_seat", "hold_vote")?,
        since_ms: moment_ms(row, "as_since"),
        why: why.map(|why| Why::named(why).ok_or_else(broken)).transpose()?,
        group,
    }))
}

fn standing(row: &Row) -> Result<Standing, DatabaseError> {
    let id = StandingId::from_uuid(row.get("id"));
    let broken = || inconsistent("standing_approval", &id);
    let approvers: Vec<&str> = row.get("approvers");
    let ended = (
        moment_ms_opt(row, "ended_at"),
        row.get::<_, Option<String>>("ended_reason"),
    );
    let count = |column: &str| u32::try_from(row.get::<_, i32>(column)).unwrap_or_default();
    Ok(Standing {
        id,
        hold: HoldId::from_uuid(row.get("hold_id")),
        task: TaskId::from_uuid(row.get("task_id")),
        epoch: unsigned(row.get("epoch")),
        bounds: bounds(row)?,
        labels: labels(row)?,
        approvers: approvers
            .iter()
            .map(|approver| approver.parse().map_err(|_| broken()))
            .collect::<Result<_, _>>()?,
        times: count("times"),
        used: count("used"),
        given_ms: moment_ms(row, "given_at"),
        until_ms: moment_ms(row, "lasts_until"),
        is_over: row.get("is_over"),
        ended: match ended {
            (Some(at_ms), Some(reason)) => Some(End {
                at_ms,
                by: row
                    .get::<_, Option<&str>>("ended_by")
                    .map(|by| by.parse().map_err(|_| broken()))
                    .transpose()?,
                reason,
            }),
            (None, None) => None,
            _ => return Err(broken()),
        },
    })
}

fn bounds(row: &Row) -> Result<Bounds, DatabaseError> {
    let names: Vec<String> = row.get("at_most_names");
    let most: Vec<&str> = row.get("at_most");
    let any: Vec<String> = row.get("any_value");
    let mut at_most = BTreeMap::new();
    for (name, most) in names.into_iter().zip(most) {
        let most = Number::parse(most).ok_or_else(|| inconsistent("standing_approval", &most))?;
        at_most.insert(name, most);
    }
    Ok(Bounds {
        at_most,
        any: any.into_iter().collect(),
    })
}

fn labels(row: &Row) -> Result<BTreeSet<Label>, DatabaseError> {
    let labels: Vec<&str> = row.get("labels");
    let parsed = labels.iter().map(|label| label.parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|_| inconsistent("standing_approval", &labels.join(", ")))
}

impl Columns {
    fn of(terms: &Terms) -> Self {
        Self {
            at_most_names: terms.bounds.at_most.keys().cloned().collect(),
            at_most: terms
                .bounds
                .at_most
                .values()
                .map(|most| most.as_str().to_owned())
                .collect(),
            any_value: terms.bounds.any.iter().cloned().collect(),
            labels: terms.labels.iter().map(ToString::to_string).collect(),
        }
    }
}
