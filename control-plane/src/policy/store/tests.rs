//! What is kept of bundles, on a real Postgres.

use checkrein_shared::action::Sha256;

use super::GENERATIONS_KEPT;
use crate::database::tests::prepared;
use crate::database::{Database, FeedName};
use crate::policy::retire;

/// Generations 1 to `newest`, each with a segment of its own and one that all share.
async fn published(database: &Database, newest: i64) {
    let tx = database.begin("test.publish").await.unwrap();
    let shared = Sha256::of(b"shared");
    for generation in 1..=newest {
        tx.raise(FeedName::Policy).await.unwrap();
        let own = Sha256::of(&generation.to_be_bytes());
        for sha256 in [shared, own] {
            let segment = "INSERT INTO segment (sha256, content) VALUES ($1, '') ON CONFLICT DO NOTHING";
            tx.execute(segment, &[&&sha256.0[..]]).await.unwrap();
        }
        let bundle = "INSERT INTO bundle (generation, audience, packs, segments, manifest, manifest_sha256, signature, key_id)
            VALUES ($1, 'all', '{}', $2, '', $3, '', '')";
        let segments = [&shared.0[..], &own.0[..]];
        tx.execute(bundle, &[&generation, &&segments[..], &&own.0[..]])
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

/// An enforcer whose instance acked this generation so many days ago.
async fn acked(database: &Database, name: &str, generation: i64, days_ago: i64) {
    let tx = database.begin("test.ack").await.unwrap();
    let enforcer = "INSERT INTO enforcer (name, spiffe_id, labels, agents, audience, registered_by)
        VALUES ($1, $1, '{}', '{}', 'all', '')";
    tx.execute(enforcer, &[&name]).await.unwrap();
    let instance = "INSERT INTO enforcer_instance (enforcer, instance_id, incarnation, build, acked_generation, last_seen_at)
        VALUES ($1, gen_random_uuid(), 1, '', $2, clock_timestamp() - $3::bigint * interval '1 day')";
    tx.execute(instance, &[&name, &generation, &days_ago])
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn numbers(database: &Database, sql: &str) -> Vec<i64> {
    let tx = database.begin("test.read").await.unwrap();
    let rows = tx.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn old_bundles_go_with_their_segments_but_for_those_that_somebody_runs() {
    let database = prepared().await;
    published(&database, GENERATIONS_KEPT + 5).await;
    acked(&database, "behind", 2, 0).await;
    acked(&database, "gone", 4, 31).await;
    assert_eq!(retire(&database).await.unwrap(), 4, "1, 3, 4 and 5");
    let kept = numbers(&database, "SELECT generation FROM bundle ORDER BY generation").await;
    let expected: Vec<i64> = [2].into_iter().chain(6..=GENERATIONS_KEPT + 5).collect();
    assert_eq!(kept, expected);
    let segments = numbers(&database, "SELECT count(*) FROM segment").await;
    let of_kept = i64::try_from(kept.len()).unwrap();
    assert_eq!(segments, [of_kept + 1], "one each, and the one they share");
    assert_eq!(retire(&database).await.unwrap(), 0);
}

#[tokio::test]
async fn instances_long_silent_are_forgotten_unless_records_of_theirs_never_came_home() {
    let database = prepared().await;
    for (name, days_ago) in [("here", 0), ("gone", 31), ("lost", 31)] {
        acked(&database, name, 1, days_ago).await;
    }
    let tx = database.begin("test.owe").await.unwrap();
    tx.execute(
        "UPDATE enforcer_instance SET journal_pending = 3 WHERE enforcer = 'lost'",
        &[],
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    crate::fleet::retire(&database).await.unwrap();
    let left = numbers(
        &database,
        "SELECT count(*) FROM enforcer_instance WHERE enforcer IN ('here', 'lost')",
    );
    assert_eq!(left.await, [2]);
    let all = numbers(&database, "SELECT count(*) FROM enforcer_instance").await;
    assert_eq!(all, [2]);
}
