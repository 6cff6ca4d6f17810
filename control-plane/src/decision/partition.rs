//! Day partitions of the record: made ahead, dropped when old.
//!
//! There is no default partition, so that old ones can be detached without a long lock; so the days ahead must be there
//! before they come. Any replica makes them, and making one twice is nothing.

use std::time::Duration;

use time::{Date, OffsetDateTime};

use crate::database::{Database, DatabaseError, Transaction};

/// So many days are ready ahead.
const DAYS_AHEAD: i64 = 14;

/// How long the record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// For ever.
    Forever,
    /// This long, in whole days.
    Days(u32),
}

impl From<Option<Duration>> for Retention {
    fn from(keep: Option<Duration>) -> Self {
        keep.map_or(Self::Forever, |keep| {
            Self::Days(u32::try_from(keep.as_secs().div_ceil(24 * 60 * 60)).unwrap_or(u32::MAX))
        })
    }
}

/// Makes the partitions of today and the days ahead, and drops those past their retention. Returns how many were dropped.
pub async fn keep_partitions(database: &Database, retention: Retention) -> Result<usize, DatabaseError> {
    let tx = database.begin("decision.keep_partitions").await?;
    // One replica at a time: creating a partition twice at once fails on the catalog.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('decision.keep_partitions', 0)), now()";
    let row = tx
        .query_one(lock, &[])
        .await
        .map_err(|source| tx.failed(source))?;
    let today = row
        .get::<_, OffsetDateTime>(1)
        .to_offset(time::UtcOffset::UTC)
        .date();
    for ahead in 0..=DAYS_AHEAD {
        let day = today + time::Duration::days(ahead);
        create(&tx, "decision", day).await?;
        create(&tx, "outcome", day).await?;
    }
    let mut dropped = 0;
    if let Retention::Days(days) = retention {
        let oldest = today - time::Duration::days(i64::from(days));
        for table in ["decision", "outcome"] {
            dropped += drop_before(&tx, table, oldest).await?;
        }
    }
    tx.commit().await?;
    Ok(dropped)
}

async fn create(tx: &Transaction, table: &str, day: Date) -> Result<(), DatabaseError> {
    let next = day + time::Duration::days(1);
    let name = partition_name(table, day);
    let create = format!(
        "-- decision.create_partition
        CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{day}') TO ('{next}')"
    );
    tx.batch_execute(&create)
        .await
        .map_err(|source| tx.failed(source))
}

async fn drop_before(tx: &Transaction, table: &str, oldest: Date) -> Result<usize, DatabaseError> {
    let list = "-- decision.list_partitions
        SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = $1::text::regclass AND relname::text < $2";
    let bound = partition_name(table, oldest);
    let rows = tx
        .query(list, &[&table, &bound])
        .await
        .map_err(|source| tx.failed(source))?;
    for row in &rows {
        let name: String = row.get(0);
        let drop = format!("-- decision.drop_partition\nDROP TABLE {name}");
        tx.batch_execute(&drop)
            .await
            .map_err(|source| tx.failed(source))?;
    }
    Ok(rows.len())
}

/// Names sort as their days do.
fn partition_name(table: &str, day: Date) -> String {
    format!(
        "{table}_{:04}{:02}{:02}",
        day.year(),
        u8::from(day.month()),
        day.day()
    )
}
