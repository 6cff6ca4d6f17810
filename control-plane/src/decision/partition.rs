//! Day partitions of the record: made ahead, dropped when old.
//!
//! There is no default partition, so that old ones can be detached without a long lock; so the days ahead must be there
//! before they come. Any replica makes them, and making one twice is nothing.
//!
//! **Invariant**: nothing that is written or read waits long for a partition to go: each goes in a transaction of its own that
//! gives up its wait for the lock soon, and is tried again with the next look.

use std::time::Duration;

use time::Date;
use tracing::warn;

use super::store::{partition as store, tally as counts};
use crate::database::{Database, DatabaseError};

/// So many days are ready ahead.
const DAYS_AHEAD: i64 = 14;
/// What is kept in partitions of days.
const TABLES: [&str; 2] = ["decision", "outcome"];

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
    let today = make_ahead(database).await?;
    let Retention::Days(days) = retention else {
        return Ok(0);
    };
    let oldest = today.saturating_sub(time::Duration::days(days.into()));
    forget_counts(database, oldest).await?;
    let mut dropped = 0;
    for table in TABLES {
        for name in before(database, table, oldest).await? {
            match drop_one(database, table, &name).await {
                Ok(()) => dropped += 1,
                Err(error) if error.is_passing() => {
                    warn!(
                        partition = name,
                        error = &error as &dyn std::error::Error,
                        "an old partition is in use; it goes next time"
                    );
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(dropped)
}

/// Returns which day it is where the record is kept.
async fn make_ahead(database: &Database) -> Result<Date, DatabaseError> {
    let tx = database.begin("decision.keep_partitions").await?;
    let today = store::lock(&tx).await?;
    for ahead in 0..=DAYS_AHEAD {
        let day = today + time::Duration::days(ahead);
        for table in TABLES {
            store::create(&tx, table, day).await?;
        }
    }
    tx.commit().await?;
    Ok(today)
}

async fn before(database: &Database, table: &str, oldest: Date) -> Result<Vec<String>, DatabaseError> {
    let tx = database.begin("decision.list_partitions").await?;
    let names = store::before(&tx, table, oldest).await?;
    tx.commit().await?;
    Ok(names)
}

/// What was counted of the record goes with it. Clocks begin in 1970, and dates of Postgres long after ours.
async fn forget_counts(database: &Database, oldest: Date) -> Result<(), DatabaseError> {
    if oldest.year() < 1970 {
        return Ok(());
    }
    let tx = database.begin("decision.forget_counts").await?;
    counts::forget(&tx, oldest).await?;
    tx.commit().await
}

async fn drop_one(database: &Database, table: &str, name: &str) -> Result<(), DatabaseError> {
    let tx = database.begin("decision.drop_partition").await?;
    store::lock_shortly(&tx).await?;
    store::drop(&tx, table, name).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests;
