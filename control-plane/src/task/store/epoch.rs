//! The epochs of a task in Postgres.

use checkrein_shared::action::Sha256;
use checkrein_shared::grant::DataScope;
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::identity::SpiffeId;
use tokio_postgres::Row;

use super::{StartedTask, decode};
use crate::database::{DatabaseError, Transaction, inconsistent, moment_ms, parsed, unsigned};
use crate::task::Task;
use crate::task::amend::{PastEpoch, Terms};

/// Whether this very request was answered before.
pub(in crate::task) async fn was_amended_under(
    tx: &Transaction,
    caller: &SpiffeId,
    key: &str,
    asked: &Sha256,
) -> Result<bool, DatabaseError> {
    let known: Option<StartedTask> = tx.answer_given_to(caller, key, asked).await?;
    Ok(known.is_some())
}

pub(in crate::task) async fn remember_amend(
    tx: &Transaction,
    caller: &SpiffeId,
    key: &str,
    asked: &Sha256,
    id: TaskId,
) -> Result<(), DatabaseError> {
    let task_id = id.to_string();
    tx.remember_answer_to(caller, key, asked, &StartedTask { task_id })
        .await
}

/// Keeps what a locked task says, before that is changed.
pub(in crate::task) async fn insert(
    tx: &Transaction,
    task: &Task,
    by: &SpiffeId,
    reason: &str,
) -> Result<(), DatabaseError> {
    let insert = "-- epoch.insert
        INSERT INTO task_epoch (task_id, epoch, grant_id, intent, environment, risk, named, data, labels, amended_by, amended_at, reason)
        SELECT id, epoch, grant_id, intent, environment, risk, named, data,
               ARRAY(SELECT label FROM task_label WHERE task_id = $1 ORDER BY label), $2, clock_timestamp(), $3 FROM task WHERE id = $1";
    tx.change_one(insert, &[&task.id.uuid(), &by.as_str(), &reason])
        .await
}

/// Begins the next epoch; none, if the task is over meanwhile.
pub(in crate::task) async fn amend(
    tx: &Transaction,
    id: TaskId,
    grant: GrantId,
    terms: &Terms,
) -> Result<Option<Task>, DatabaseError> {
    let amend = "-- epoch.begin
        UPDATE task SET epoch = epoch + 1, grant_id = $2, amended_at = date_trunc('milliseconds', clock_timestamp()),
                        intent = $3, environment = $4, risk = $5, named = $6, data = $7
        WHERE id = $1 AND state = 'live' AND expires_at > clock_timestamp()
        RETURNING *, false AS expired";
    let data: Option<Vec<&str>> = terms.data.as_ref().map(|data| data.labels().collect());
    let row = tx
        .query_opt(
            amend,
            &[
                &id.uuid(),
                &grant.uuid(),
                &terms.intent,
                &terms.environment,
                &i16::from(terms.risk),
                &terms.named,
                &data,
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(decode).transpose()
}

/// The epochs that are over, in order: no more than a task can have.
pub(in crate::task) async fn past(tx: &Transaction, id: TaskId) -> Result<Vec<PastEpoch>, DatabaseError> {
    let read = "-- epoch.past
        SELECT *, ARRAY(SELECT label FROM task_label_lifted lifted
                        WHERE lifted.task_id = $1 AND lifted.epoch = task_epoch.epoch + 1 ORDER BY label) AS lifted
        FROM task_epoch WHERE task_id = $1 ORDER BY epoch";
    let rows = tx
        .query(read, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode_past).collect()
}

fn decode_past(row: &Row) -> Result<PastEpoch, DatabaseError> {
    let id = TaskId::from_uuid(row.get("task_id"));
    let risk = u8::try_from(row.get::<_, i16>("risk")).map_err(|_| inconsistent("task_epoch", &id))?;
    let data = row.get::<_, Option<Vec<&str>>>("data").map(DataScope::parse);
    let data = data.transpose().map_err(|_| inconsistent("task_epoch", &id))?;
    Ok(PastEpoch {
        epoch: unsigned(row.get("epoch")),
        terms: Terms {
            intent: row.get("intent"),
            environment: row.get("environment"),
            risk,
            named: row.get("named"),
            data,
        },
        labels: row.get("labels"),
        lifted: row.get("lifted"),
        by: parsed(row, "amended_by", "task_epoch")?,
        at_ms: moment_ms(row, "amended_at"),
        reason: row.get("reason"),
    })
}
