//! Day partitions of the record: there before their day comes, gone when it is past keeping.

use std::collections::BTreeSet;

use checkrein_proto::fleet::v1::ListRequest;
use checkrein_shared::identity::Role;
use checkrein_tests::{World, WorldOptions};

/// The days there are partitions of, relative to today.
async fn days(sql: &tokio_postgres::Client, table: &str) -> BTreeSet<i32> {
    let list = "SELECT to_date(right(relname::text, 8), 'YYYYMMDD') - (now() AT TIME ZONE 'UTC')::date
        FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = $1::text::regclass";
    let rows = sql.query(list, &[&table]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_made_ahead_and_dropped_when_their_day_is_past_keeping() {
    let options = WorldOptions {
        retention: Some("30d".to_owned()),
        ..WorldOptions::default()
    };
    let mut world = World::with(options).await.unwrap();
    let sql = world.sql().await.unwrap();
    for table in ["decision", "outcome"] {
        for ago in [29, 31, 400] {
            let make = format!(
                "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - {ago}; BEGIN
                 EXECUTE format('CREATE TABLE %I PARTITION OF {table} FOR VALUES FROM (%L) TO (%L)',
                     '{table}_' || to_char(day, 'YYYYMMDD'), day, day + 1); END $$"
            );
            sql.batch_execute(&make).await.unwrap();
        }
    }
    // A replica keeps house before it serves.
    let second = world.add_replica().await.unwrap();
    let operator = world.person(Role::Operator, "olga", second).await.unwrap();
    operator.fleet().list(ListRequest::default()).await.unwrap();
    let sampled =
        "SELECT bool_and(attstattarget = 1000) FROM pg_inherits JOIN pg_attribute ON attrelid = inhrelid
        WHERE inhparent = 'decision'::regclass AND attname = 'rules'
          AND inhrelid::regclass::text >= 'decision_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')";
    let sampled = sql.query_one(sampled, &[]).await.unwrap();
    assert_eq!(
        sampled.get::<_, Option<bool>>(0),
        Some(true),
        "rare rules are found by their index"
    );
    for table in ["decision", "outcome"] {
        let days = days(&sql, table).await;
        assert!(days.contains(&-29), "{table}: {days:?}");
        assert!(!days.iter().any(|day| *day < -30), "{table}: {days:?}");
        assert!((0..7).all(|ahead| days.contains(&ahead)), "{table}: {days:?}");
    }
}
