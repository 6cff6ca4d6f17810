//! Reading what people are told of.

use checkrein_shared::id::{HoldId, StandingId, TaskId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::told::{Given, Step, Told};
use crate::database::{DatabaseError, Transaction, moment_ms, moment_ms_opt, parsed, signed, unsigned};

pub(in super::super) async fn steps_after(
    tx: &Transaction,
    revision: u64,
    most: i64,
) -> Result<Vec<Step>, DatabaseError> {
    let read = "-- hold.steps_after
        SELECT revision, hold_id, state, version, reason, happened_at FROM hold_event
        WHERE revision > $1 ORDER BY revision LIMIT $2";
    let rows = tx
        .query(read, &[&signed(revision), &most])
        .await
        .map_err(|source| tx.failed(source))?;
    let step = |row: &Row| {
        Ok(Step {
            revision: unsigned(row.get("revision")),
            hold: HoldId::from_uuid(row.get("hold_id")),
            state: parsed(row, "state", "hold_event")?,
            version: unsigned(row.get("version")),
            reason: row.get("reason"),
            happened_ms: moment_ms(row, "happened_at"),
        })
    };
    rows.iter().map(step).collect()
}

pub(in super::super) async fn told(tx: &Transaction, hold: HoldId) -> Result<Option<Told>, DatabaseError> {
    let read = "-- hold.told
        SELECT hold.task_id, tool, agent, user_name, environment, reason, decide_by, standing_id,
               ARRAY(SELECT DISTINCT group_name FROM hold_requirement WHERE hold_id = $1 ORDER BY 1) AS groups,
               ARRAY(SELECT approver FROM hold_vote WHERE hold_id = $1 AND approve ORDER BY voted_at) AS approved_by,
               ARRAY(SELECT approver FROM hold_vote WHERE hold_id = $1 AND NOT approve ORDER BY voted_at) AS denied_by,
               ARRAY(SELECT approver FROM hold_break WHERE hold_id = $1 AND hold.broken_at IS NOT NULL
                     ORDER BY hold_break.broken_at) AS broke_glass,
               given.id AS given_id, given.times AS given_times, given.lasts_until AS given_until
        FROM hold LEFT JOIN standing_approval AS given ON given.hold_id = hold.id
        WHERE hold.id = $1";
    let row = tx
        .query_opt(read, &[&hold.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.map(|row| Told {
        task: TaskId::from_uuid(row.get("task_id")),
        tool: row.get("tool"),
        agent: row.get("agent"),
        user: row.get("user_name"),
        environment: row.get("environment"),
        reason: row.get("reason"),
        groups: row.get("groups"),
        decide_by_ms: moment_ms(&row, "decide_by"),
        approved_by: row.get("approved_by"),
        denied_by: row.get("denied_by"),
        broke_glass: row.get("broke_glass"),
        standing: row
            .get::<_, Option<Uuid>>("standing_id")
            .map(StandingId::from_uuid),
        given: given(&row),
    }))
}

fn given(row: &Row) -> Option<Given> {
    let id: Option<Uuid> = row.get("given_id");
    let times: Option<i32> = row.get("given_times");
    Some(Given {
        standing: StandingId::from_uuid(id?),
        times: u32::try_from(times?).unwrap_or_default(),
        until_ms: moment_ms_opt(row, "given_until")?,
    })
}
