//! How a released hold ends: by the outcome that comes home, or by the end of whoever could have told.

use checkrein_control_plane::decision::{Batch, Decisions, Journal};
use checkrein_proto::hold::v1::State;
use checkrein_proto::hold::v1::consume_response::Result as Answer;
use checkrein_proto::hold::v1::{ConsumeRequest, Hold};
use checkrein_shared::SystemClock;
use checkrein_shared::decision::{Outcome, OutcomeResult, Record};
use checkrein_shared::id::DecisionId;
use tokio_util::sync::CancellationToken;
use tonic::Code;

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
        spent: checkrein_shared::ledger::Amounts::default(),
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
    let before = decisions.open(&journal, None).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_opening_released_is_unknown_once_its_journal_is_home_without_an_outcome() {
    let scene = Asking::set().await;
    let (silent, told) = (released(&scene, "one", 1).await, released(&scene, "two", 1).await);
    let decisions = decisions(&scene);
    let first = journal(&scene, 1);
    let before = decisions.open(&first, None).await.unwrap();
    let records = vec![done(&told).into()];
    decisions
        .append(&first, &Batch { before, records })
        .await
        .unwrap();
    assert_eq!(
        scene.state(&silent).await,
        State::Consumed,
        "its journal may bring more"
    );

    let now = released(&scene, "three", 2).await;
    decisions.open(&journal(&scene, 2), None).await.unwrap();
    assert_eq!(scene.state(&silent).await, State::Unknown);
    assert_eq!(scene.state(&told).await, State::Done);
    assert_eq!(scene.state(&now).await, State::Consumed);
    let again = scene.consume(scene.consume_request(&silent)).await.unwrap();
    assert!(matches!(again, Answer::Refused(_)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_that_was_replaced_uses_no_approval() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    scene.approve(&hold).await.unwrap();
    let connected = "INSERT INTO enforcer_instance (enforcer, instance_id, incarnation, build)
        SELECT 'edge', replace($1, 'inst_', '')::uuid, 2, 'test'";
    let instance = scene.instance.to_string();
    scene.sql().await.execute(connected, &[&instance]).await.unwrap();
    let fenced = scene.consume(scene.consume_request(&hold)).await.unwrap_err();
    assert_eq!(fenced.code(), Code::FailedPrecondition, "{fenced:?}");
    assert_eq!(scene.state(&hold).await, State::Approved);
    let request = ConsumeRequest {
        incarnation: 2,
        ..scene.consume_request(&hold)
    };
    let answer = scene.consume(request).await.unwrap();
    assert!(matches!(answer, Answer::Consumed(_)), "{answer:?}");
}
