//! How a released hold ends: by the outcome that comes home, or by the end of whoever could have told.

use checkrein_control_plane::decision::{Batch, Decisions, Journal};
use checkrein_proto::hold::v1::State;
use checkrein_proto::hold::v1::consume_response::Result as Answer;
use checkrein_proto::hold::v1::{ConsumeRequest, Hold};
use checkrein_shared::SystemClock;
use checkrein_shared::decision::{Outcome, OutcomeResult, Record};
use checkrein_shared::id::DecisionId;
use tokio_util::sync::CancellationToken;

use crate::flows::asking::{Asking, until_waiting};

async fn released(scene: &Asking, call_id: &str, incarnation: u64) -> Hold {
    let hold = scene.held(call_id, call_id).await;
    scene.approve(&hold).await.unwrap();
    let request = ConsumeRequest {
        incarnation,
        ..scene.consume_request(&hold)
    };
    let answer = scene.consume(request).await.unwrap();
    assert!(matches!(answer, Answer::Consumed(_)), "{answer:?}");
    hold
}

fn journal(scene: &Asking, incarnation: u64) -> Journal {
    Journal {
        enforcer: "edge".to_owned(),
        instance: scene.instance,
        incarnation,
    }
}

fn done(hold: &Hold) -> Vec<u8> {
    let outcome = Outcome {
        decision: DecisionId::new(&SystemClock),
        completed_ms: 1,
        result: OutcomeResult::Done,
        detail: String::new(),
        hold: Some(hold.hold_id.parse().unwrap()),
        task: None,
    };
    Record::Outcome(outcome).encode()
}

fn decisions(scene: &Asking) -> Decisions {
    Decisions::new(scene.world.database().unwrap(), CancellationToken::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_all_its_holds_before_it_keeps_anybody_from_the_counter() {
    let scene = Asking::set().await;
    let (one, two) = (released(&scene, "one", 1).await, released(&scene, "two", 1).await);
    let decisions = decisions(&scene);
    let journal = journal(&scene, 1);
    let before = decisions.open(&journal).await.unwrap();
    // As a sweep does: it has one of the holds, and will want the counter.
    let sweep = scene.sql().await;
    sweep
        .batch_execute("BEGIN; SELECT FROM hold WHERE call_id = 'two' FOR UPDATE")
        .await
        .unwrap();
    let batch = Batch {
        before,
        records: vec![done(&one).into(), done(&two).into()],
    };
    let appending = tokio::spawn(async move { decisions.append(&journal, &batch).await });
    until_waiting(&scene.sql().await, "hold.lock").await;
    sweep
        .batch_execute("UPDATE revision SET value = value WHERE feed = 'hold'; COMMIT")
        .await
        .unwrap();
    appending.await.unwrap().unwrap();
    for hold in [&one, &two] {
        assert_eq!(scene.state(hold).await, State::Done);
    }
}
