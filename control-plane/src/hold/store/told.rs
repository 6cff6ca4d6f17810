//! Reading what people are told of.

use checkrein_shared::id::{HoldId, StandingId, TaskId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::told::{Given, GlassRequest, Sketch, Step, Told};
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
               ARRAY(SELECT DISTINCT break_glass FROM hold_requirement JOIN approver_group ON name = group_name
                     WHERE hold_id = $1 AND break_glass IS NOT NULL ORDER BY 1) AS glass,
               EXISTS (SELECT FROM hold_break WHERE hold_id = $1) AS is_glass_wanted,
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
        glass: row.get("glass"),
        is_glass_wanted: row.get("is_glass_wanted"),
        standing: row
            .get::<_, Option<Uuid>>("standing_id")
            .map(StandingId::from_uuid),
        given: given(&row),
    }))
}

/// Of these holds, those with a group that may ask others as well.
pub(in super::super) async fn sketches(
    tx: &Transaction,
    holds: &[HoldId],
) -> Result<Vec<Sketch>, DatabaseError> {
    let read = "-- hold.sketches
        SELECT id, opened_at, clock_timestamp() AS moment,
               ARRAY(SELECT DISTINCT group_name FROM hold_requirement WHERE hold_id = hold.id ORDER BY 1) AS groups
        FROM hold
        WHERE id = ANY ($1) AND EXISTS (
            SELECT FROM hold_requirement JOIN approver_group ON name = group_name
            WHERE hold_id = hold.id AND (escalate_to IS NOT NULL OR quiet_asks IS NOT NULL))
        ORDER BY decide_by, id";
    let rows = tx
        .query(read, &[&uuids(holds)])
        .await
        .map_err(|source| tx.failed(source))?;
    let sketch = |row: &Row| Sketch {
        hold: HoldId::from_uuid(row.get("id")),
        groups: row.get("groups"),
        opened_ms: moment_ms(row, "opened_at"),
        now_ms: moment_ms(row, "moment"),
    };
    Ok(rows.iter().map(sketch).collect())
}

/// The first who wants to break the glass for each of these holds.
pub(in super::super) async fn glass_requests(
    tx: &Transaction,
    holds: &[HoldId],
    most: i64,
) -> Result<Vec<GlassRequest>, DatabaseError> {
    let read = "-- hold.glass_requests
        SELECT DISTINCT ON (hold_id) hold_id, approver, reason, broken_at FROM hold_break
        WHERE hold_id = ANY ($1) ORDER BY hold_id, broken_at LIMIT $2";
    let rows = tx
        .query(read, &[&uuids(holds), &most])
        .await
        .map_err(|source| tx.failed(source))?;
    let request = |row: &Row| GlassRequest {
        hold: HoldId::from_uuid(row.get("hold_id")),
        by: row.get("approver"),
        reason: row.get("reason"),
        at_ms: moment_ms(row, "broken_at"),
    };
    Ok(rows.iter().map(request).collect())
}

fn uuids(holds: &[HoldId]) -> Vec<Uuid> {
    holds.iter().map(|hold| hold.uuid()).collect()
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
