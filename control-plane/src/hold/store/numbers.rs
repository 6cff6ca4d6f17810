//! Holds counted in Postgres, by an index that has all that is asked of them.

use std::collections::BTreeMap;

use time::Date;
use tokio_postgres::Row;

use super::super::numbers::{Numbers, Part};
use crate::database::{DatabaseError, Transaction, inconsistent, unsigned};

/// What became of each hold, and how long people took to answer it.
const HELD: &str = "SELECT id, (opened_at AT TIME ZONE 'UTC')::date AS day, agent,
            CASE WHEN standing_id IS NOT NULL THEN 'standing' WHEN state = 'open' THEN 'waiting'
                 WHEN state IN ('denied', 'expired', 'cancelled') THEN state ELSE 'approved' END AS became,
            CASE WHEN standing_id IS NULL THEN extract(epoch FROM answered_at - opened_at)::float8 * 1000 END AS ms
        FROM hold WHERE opened_at >= $1::date::timestamp AT TIME ZONE 'UTC'";
const COUNTS: &str = "count(*) FILTER (WHERE became = 'approved') AS approved,
            count(*) FILTER (WHERE became = 'denied') AS denied,
            count(*) FILTER (WHERE became = 'expired') AS expired,
            count(*) FILTER (WHERE became = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE became = 'waiting') AS waiting,
            count(*) FILTER (WHERE became = 'standing') AS standing,
            percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY ms) AS answered";

/// The day, UTC, by the clock of holds.
pub(in crate::hold) async fn today(tx: &Transaction) -> Result<Date, DatabaseError> {
    let read = "-- hold.today
        SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date";
    let row = tx.query_one(read, &[]).await;
    Ok(row.map_err(|source| tx.failed(source))?.get(0))
}

/// All together, by the day, and by the agent.
pub(in crate::hold) async fn by_part(
    tx: &Transaction,
    since: Date,
) -> Result<BTreeMap<Part, Numbers>, DatabaseError> {
    let read = format!(
        "-- hold.numbers
        SELECT day, agent, {COUNTS} FROM ({HELD}) held GROUP BY GROUPING SETS ((), (day), (agent))"
    );
    let rows = tx
        .query(&read, &[&since])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(|row| Ok((part(row)?, numbers(row)))).collect()
}

/// By the group that they waited for.
pub(in crate::hold) async fn by_group(
    tx: &Transaction,
    since: Date,
) -> Result<Vec<(String, Numbers)>, DatabaseError> {
    let read = format!(
        "-- hold.numbers_of_groups
        SELECT group_name, {COUNTS}
        FROM ({HELD}) held JOIN (SELECT DISTINCT hold_id, group_name FROM hold_requirement) waited ON hold_id = id
        GROUP BY group_name"
    );
    let rows = tx
        .query(&read, &[&since])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows
        .iter()
        .map(|row| (row.get("group_name"), numbers(row)))
        .collect())
}

fn part(row: &Row) -> Result<Part, DatabaseError> {
    match (row.get("day"), row.get("agent")) {
        (None, None) => Ok(Part::Total),
        (Some(day), None) => Ok(Part::Day(day)),
        (None, Some(agent)) => Ok(Part::Agent(agent)),
        (Some(_), Some(_)) => Err(inconsistent("hold", &"numbers")),
    }
}

fn numbers(row: &Row) -> Numbers {
    let count = |column: &str| unsigned(row.get(column));
    let answered: Option<Vec<Option<f64>>> = row.get("answered");
    let answered = |at: usize| {
        let ms = answered.as_ref().and_then(|of| of.get(at).copied().flatten())?;
        u64::try_from(
            std::time::Duration::try_from_secs_f64(ms / 1_000.0)
                .ok()?
                .as_millis(),
        )
        .ok()
    };
    Numbers {
        approved: count("approved"),
        denied: count("denied"),
        expired: count("expired"),
        cancelled: count("cancelled"),
        waiting: count("waiting"),
        standing: count("standing"),
        answer_p50_ms: answered(0),
        answer_p90_ms: answered(1),
        calls: 0,
    }
}
