//! What happens to beats, on a real Postgres.

use std::time::Duration;

use checkrein_shared::clock::ManualClock;
use checkrein_shared::id::{Generation, InstanceId, SessionId};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Beat, Beats, WAITING_MAX};
use crate::database::Database;
use crate::database::tests::prepared;
use crate::fleet::store::{self, Stream};

/// How long anything may take to come true.
const WAIT_MAX: Duration = Duration::from_secs(30);

fn stream(enforcer: &str) -> Stream {
    let clock = ManualClock::at(1);
    Stream {
        enforcer: enforcer.to_owned(),
        instance: InstanceId::new(&clock),
        incarnation: 1,
        session: SessionId::new(&clock),
        build: "test".to_owned(),
    }
}

/// A stream that has said Hello.
async fn opened(database: &Database, enforcer: &str) -> Stream {
    let tx = database.begin("test.register").await.unwrap();
    let insert = "INSERT INTO enforcer (name, spiffe_id, labels, agents, audience, registered_by)
        VALUES ($1, 'spiffe://acme.example/enforcer/' || $1, '{}', '{}', 'none', 'spiffe://acme.example/operator/olga')";
    tx.execute(insert, &[&enforcer]).await.unwrap();
    let stream = stream(enforcer);
    assert!(store::open_stream(&tx, &stream).await.unwrap());
    tx.commit().await.unwrap();
    stream
}

fn beat(stream: &Stream, journal_pending: u64) -> Beat {
    Beat {
        stream: stream.clone(),
        journal_pending,
        taken_over: CancellationToken::new(),
    }
}

async fn pending(database: &Database, name: &str) -> u64 {
    let tx = database.begin("test.read").await.unwrap();
    let enforcer = store::find(&tx, name, 60_000).await.unwrap().unwrap();
    enforcer.instances[0].journal_pending
}

#[tokio::test]
async fn of_many_beats_of_a_stream_the_last_is_what_people_see() {
    let database = prepared().await;
    let stream = opened(&database, "edge").await;
    let beats = Beats::spawn(database.clone());
    for journal_pending in 1..=100 {
        beats.tell(beat(&stream, journal_pending));
    }
    let seen = async { while pending(&database, "edge").await != 100 {} };
    timeout(WAIT_MAX, seen).await.expect("the last beat is written");
}

#[tokio::test]
async fn a_stream_whose_instance_another_has_taken_over_is_told_and_the_other_is_not() {
    let database = prepared().await;
    let (one, other) = (opened(&database, "one").await, opened(&database, "other").await);
    let successor = Stream {
        incarnation: 2,
        session: SessionId::new(&ManualClock::at(2)),
        ..one.clone()
    };
    let tx = database.begin("test.take_over").await.unwrap();
    assert!(store::open_stream(&tx, &successor).await.unwrap());
    tx.commit().await.unwrap();
    let beats = Beats::spawn(database.clone());
    let (fenced, kept) = (beat(&one, 1), beat(&other, 2));
    beats.tell(kept.clone());
    beats.tell(fenced.clone());
    timeout(WAIT_MAX, fenced.taken_over.cancelled())
        .await
        .expect("the stream that lost its instance hears of it");
    assert_eq!(pending(&database, "other").await, 2);
    assert!(!kept.taken_over.is_cancelled());
}

#[tokio::test]
async fn a_beat_never_waits_for_a_database_that_does_not_answer() {
    let database = prepared().await;
    let stream = opened(&database, "edge").await;
    let tx = database.begin("test.lock").await.unwrap();
    tx.batch_execute("LOCK TABLE enforcer_instance IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let beats = Beats::spawn(database.clone());
    // More than can wait: `tell` is no future, so that this ends at all is the promise.
    for journal_pending in 0..2 * u64::try_from(WAITING_MAX).unwrap() {
        beats.tell(beat(&stream, journal_pending));
    }
}

#[tokio::test]
async fn what_an_enforcer_says_it_runs_counts_as_acked_only_if_it_was_published() {
    use crate::fleet::offer::Offer;
    use checkrein_shared::action::Sha256;

    let database = prepared().await;
    let stream = opened(&database, "edge").await;
    let tx = database.begin("test.publish").await.unwrap();
    let digest = Sha256::of(b"a manifest");
    let insert =
        "INSERT INTO bundle (generation, audience, packs, segments, manifest, manifest_sha256, signature, key_id)
        VALUES (7, 'none', '{}', '{}', '', $1, '', '')";
    tx.execute(insert, &[&&digest.0[..]]).await.unwrap();
    let acked = async || {
        let enforcer = store::find(&tx, "edge", 60_000).await.unwrap().unwrap();
        enforcer.instances[0].generation
    };
    let claimed = |generation, digest| Offer {
        generation: Generation(generation),
        digest,
    };
    for lie in [claimed(8, digest), claimed(7, Sha256::of(b"another"))] {
        store::confirm_running(&tx, &stream, lie).await.unwrap();
        assert_eq!(acked().await, 0);
    }
    store::confirm_running(&tx, &stream, claimed(7, digest))
        .await
        .unwrap();
    assert_eq!(acked().await, 7);
}
