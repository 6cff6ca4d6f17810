//! Holds counted in Postgres: one walk along an index that has all that is asked of them, and no sorting.

use std::collections::BTreeMap;

use time::Date;
use tokio_postgres::Row;

use super::super::numbers::{Counted, Part, SPREAD};
use crate::database::{DatabaseError, Transaction, inconsistent, unsigned};

/// What became of each hold, and the step of the scale on which its answer came.
fn held() -> String {
    format!(
        "SELECT id, (opened_at AT TIME ZONE 'UTC')::date AS day, agent,
            CASE WHEN standing_id IS NOT NULL THEN 'standing' WHEN state = 'open' THEN 'waiting'
                 WHEN state IN ('denied', 'expired', 'cancelled') THEN state ELSE 'approved' END AS became,
            CASE WHEN standing_id IS NULL THEN
                ceil(ln(greatest(extract(epoch FROM answered_at - opened_at)::float8 * 1000, 1)) * {SPREAD})::int
            END AS step
        FROM hold WHERE opened_at >= $1::date::timestamp AT TIME ZONE 'UTC'"
    )
}

/// The day, UTC, by the clock of holds.
pub(in crate::hold) async fn today(tx: &Transaction) -> Result<Date, DatabaseError> {
    let read = "-- hold.today
        SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date";
    let row = tx.query_one(read, &[]).await;
    Ok(row.map_err(|source| tx.failed(source))?.get(0))
}

/// By the day, and by the agent.
pub(in crate::hold) async fn by_part(
    tx: &Transaction,
    since: Date,
) -> Result<BTreeMap<Part, Counted>, DatabaseError> {
    let read = format!(
        "-- hold.numbers
        SELECT day, agent, became, step, count(*) AS holds FROM ({}) held
        GROUP BY GROUPING SETS ((day, became, step), (agent, became, step))",
        held()
    );
    let rows = tx
        .query(&read, &[&since])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut parts: BTreeMap<Part, Counted> = BTreeMap::new();
    for row in &rows {
        add(parts.entry(part(row)?).or_default(), row)?;
    }
    Ok(parts)
}

/// By the group that they waited for.
pub(in crate::hold) async fn by_group(
    tx: &Transaction,
    since: Date,
) -> Result<BTreeMap<String, Counted>, DatabaseError> {
    // A hold that several rules hold for one group counts once with it.
    let read = format!(
        "-- hold.numbers_of_groups
        SELECT group_name, became, step, count(*) AS holds
        FROM ({}) held JOIN hold_requirement AS waited ON hold_id = id
        WHERE NOT EXISTS (SELECT FROM hold_requirement AS other WHERE other.hold_id = waited.hold_id
            AND other.group_name = waited.group_name AND other.rule < waited.rule)
        GROUP BY group_name, became, step",
        held()
    );
    let rows = tx
        .query(&read, &[&since])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut groups: BTreeMap<String, Counted> = BTreeMap::new();
    for row in &rows {
        add(groups.entry(row.get("group_name")).or_default(), row)?;
    }
    Ok(groups)
}

fn part(row: &Row) -> Result<Part, DatabaseError> {
    match (row.get("day"), row.get("agent")) {
        (Some(day), None) => Ok(Part::Day(day)),
        (None, Some(agent)) => Ok(Part::Agent(agent)),
        _ => Err(inconsistent("hold", &"numbers")),
    }
}

fn add(counted: &mut Counted, row: &Row) -> Result<(), DatabaseError> {
    let holds = unsigned(row.get("holds"));
    let numbers = &mut counted.numbers;
    let of = match row.get("became") {
        "approved" => &mut numbers.approved,
        "denied" => &mut numbers.denied,
        "expired" => &mut numbers.expired,
        "cancelled" => &mut numbers.cancelled,
        "waiting" => &mut numbers.waiting,
        "standing" => &mut numbers.standing,
        other => return Err(inconsistent("hold", &other)),
    };
    *of += holds;
    if let Some(step) = row.get::<_, Option<i32>>("step") {
        *counted.answers.entry(step).or_default() += holds;
    }
    Ok(())
}
