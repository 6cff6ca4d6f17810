//! Which days there are, on a real Postgres.

use super::{DAYS_AHEAD, Retention, keep_partitions};
use crate::database::Database;
use crate::database::tests::prepared;

async fn partitions(database: &Database) -> Vec<String> {
    let tx = database.begin("test.read").await.unwrap();
    let list = "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent IN ('decision'::regclass, 'outcome'::regclass) ORDER BY relname";
    let rows = tx.query(list, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A day long ago, and yesterday.
async fn make_old(database: &Database) {
    let tx = database.begin("test.make").await.unwrap();
    tx.batch_execute(
        "CREATE TABLE decision_20200101 PARTITION OF decision FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')",
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

fn count(days: i64) -> usize {
    usize::try_from(2 * (days + 1)).unwrap()
}

#[tokio::test]
async fn the_days_ahead_are_there_and_those_past_retention_go() {
    let database = prepared().await;
    make_old(&database).await;
    assert_eq!(keep_partitions(&database, Retention::Forever).await.unwrap(), 0);
    assert_eq!(partitions(&database).await.len(), count(DAYS_AHEAD) + 1);
    assert_eq!(keep_partitions(&database, Retention::Days(30)).await.unwrap(), 1);
    assert_eq!(partitions(&database).await.len(), count(DAYS_AHEAD));
    let without_end = keep_partitions(&database, Retention::Days(u32::MAX)).await;
    assert_eq!(without_end.unwrap(), 0, "longer than there are dates");
}

#[tokio::test]
async fn an_old_partition_that_is_being_read_stays_and_keeps_nobody_from_the_days_ahead() {
    let database = prepared().await;
    make_old(&database).await;
    let reader = database.begin("test.reader").await.unwrap();
    reader
        .query("SELECT * FROM decision_20200101", &[])
        .await
        .unwrap();
    assert_eq!(keep_partitions(&database, Retention::Days(30)).await.unwrap(), 0);
    assert_eq!(partitions(&database).await.len(), count(DAYS_AHEAD) + 1);
    reader.commit().await.unwrap();
    assert_eq!(keep_partitions(&database, Retention::Days(30)).await.unwrap(), 1);
}
