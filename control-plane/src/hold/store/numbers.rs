//! Holds in numbers: sums over days of what a trigger counted, and no hold read.

use std::collections::BTreeMap;

use time::Date;
use tokio_postgres::Row;

use super::super::numbers::{Counted, Numbers};
use crate::database::{DatabaseError, Transaction, inconsistent, unsigned};

/// The day, UTC, by the clock of holds.
pub(in crate::hold) async fn today(tx: &Transaction) -> Result<Date, DatabaseError> {
    let read = "-- hold.today
        SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date";
    let row = tx.query_one(read, &[]).await;
    Ok(row.map_err(|source| tx.failed(source))?.get(0))
}

/// All holds, by the day on which they were opened.
pub(in crate::hold) async fn by_day(
    tx: &Transaction,
    since: Date,
) -> Result<BTreeMap<Date, Counted>, DatabaseError> {
    let read = "-- hold.numbers_of_days
        SELECT day, opened, standing, approved, denied, expired, cancelled, coalesce(array_lower(answers, 1), 0) AS first, answers
        FROM hold_count WHERE part = 'all' AND day >= $1";
    let rows = tx
        .query(read, &[&since])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut days: BTreeMap<Date, Counted> = BTreeMap::new();
    for row in &rows {
        let counted = days.entry(row.get("day")).or_default();
        counted.numbers = numbers(row);
        add_answers(counted, row)?;
    }
    Ok(days)
}

/// By agent and by group, all but how long answers took.
pub(in crate::hold) async fn by_name(
    tx: &Transaction,
    since: Date,
) -> Result<(BTreeMap<String, Counted>, BTreeMap<String, Counted>), DatabaseError> {
    let read = "-- hold.numbers_of_names
        SELECT part, name, sum(opened)::bigint AS opened, sum(standing)::bigint AS standing, sum(approved)::bigint AS approved,
               sum(denied)::bigint AS denied, sum(expired)::bigint AS expired, sum(cancelled)::bigint AS cancelled
        FROM hold_count WHERE part = ANY ('{agent,group}') AND day >= $1 GROUP BY part, name";
    let rows = tx
        .query(read, &[&since])
        .await
        .map_err(|source| tx.failed(source))?;
    let (mut agents, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for row in &rows {
        let counted = Counted {
            numbers: numbers(row),
            ..Counted::default()
        };
        match row.get("part") {
            "agent" => agents.insert(row.get("name"), counted),
            _ => groups.insert(row.get("name"), counted),
        };
    }
    Ok((agents, groups))
}

/// How long answers took, of those agents or groups that are told of.
pub(in crate::hold) async fn read_answers(
    tx: &Transaction,
    since: Date,
    part: &str,
    named: &mut [(String, Counted)],
) -> Result<(), DatabaseError> {
    let read = "-- hold.answers
        SELECT name, array_lower(answers, 1) AS first, answers FROM hold_count
        WHERE part = $1 AND day >= $2 AND name = ANY ($3) AND answers <> '{}'";
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    let rows = tx
        .query(read, &[&part, &since, &names])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut named: BTreeMap<&str, &mut Counted> = named
        .iter_mut()
        .map(|(name, counted)| (name.as_str(), counted))
        .collect();
    for row in &rows {
        if let Some(counted) = named.get_mut(row.get::<_, &str>("name")) {
            add_answers(counted, row)?;
        }
    }
    Ok(())
}

fn numbers(row: &Row) -> Numbers {
    let count = |column: &str| unsigned(row.get(column));
    let (approved, denied) = (count("approved"), count("denied"));
    let (expired, cancelled) = (count("expired"), count("cancelled"));
    let standing = count("standing");
    let over = approved + denied + expired + cancelled + standing;
    Numbers {
        approved,
        denied,
        expired,
        cancelled,
        standing,
        waiting: count("opened").saturating_sub(over),
        ..Numbers::default()
    }
}

/// The array begins at the first step on which there was an answer.
fn add_answers(counted: &mut Counted, row: &Row) -> Result<(), DatabaseError> {
    let first =
        usize::try_from(row.get::<_, i32>("first")).map_err(|_| inconsistent("hold_count", &"answers"))?;
    let answers: Vec<Option<i32>> = row.get("answers");
    let answers = answers
        .into_iter()
        .map(|holds| u64::try_from(holds.unwrap_or_default()).unwrap_or_default());
    counted.answers.extend(first, answers);
    Ok(())
}
