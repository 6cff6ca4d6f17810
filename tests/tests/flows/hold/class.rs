//! A person's no is for the tool and its resource in the task, under whatever call or amount it waits.

use checkrein_proto::hold::v1::consume_response::Result as Answer;
use checkrein_proto::hold::v1::open_response::Result as Opened;
use checkrein_proto::hold::v1::{OpenRequest, State};
use tonic::Code;

use crate::flows::asking::{Asking, open, until_waiting};

#[tokio::test(flavor = "multi_thread")]
async fn a_no_ends_whatever_else_waits_for_the_same_tool_and_resource_in_the_task() {
    let scene = Asking::set().await;
    let denied = scene.held("one", "US13").await;
    let waits = scene.held("two", "US13").await;
    let approved = scene.held("three", "US13").await;
    let elsewhere = scene.held("four", "GB29").await;
    scene.approve(&approved).await.unwrap();
    scene.deny(&denied).await.unwrap();

    assert_eq!(scene.state(&denied).await, State::Denied);
    assert_eq!(scene.state(&elsewhere).await, State::Open);
    for sibling in [&waits, &approved] {
        let shown = scene.shown(sibling).await;
        assert_eq!(shown.state(), State::Cancelled);
        assert!(shown.denial_reason.contains("not today"), "{shown:?}");
    }
    assert_eq!(
        scene.approve(&waits).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let answer = scene.consume(scene.consume_request(&approved)).await.unwrap();
    assert!(refused(&answer, "denied_before"), "{answer:?}");
    // The same call presented again hears it too.
    let again = scene.edge.holds().open(open(&scene.started, "two", "US13")).await;
    let again = again.unwrap().into_inner().result;
    assert!(
        matches!(&again, Some(Opened::Refused(refusal)) if refusal.cause == "denied_before"),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_not_used_once_its_class_is_denied_however_it_survived() {
    let scene = Asking::set().await;
    let (denied, approved) = (scene.held("one", "US13").await, scene.held("two", "US13").await);
    scene.approve(&approved).await.unwrap();
    let deny = "UPDATE hold SET state = 'denied', denial_reason = 'no' WHERE call_id = 'one'";
    assert_eq!(scene.sql().await.execute(deny, &[]).await.unwrap(), 1);
    assert_eq!(scene.state(&denied).await, State::Denied);
    let answer = scene.consume(scene.consume_request(&approved)).await.unwrap();
    assert!(refused(&answer, "denied_before"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_waits_for_what_is_being_opened_in_the_task_and_ends_that_too() {
    let scene = Asking::set().await;
    let denied = scene.held("one", "US13").await;
    // As an opening does: it shares the task, and has written its row.
    let opening = scene.sql().await;
    opening
        .batch_execute("BEGIN; SELECT FROM task FOR SHARE")
        .await
        .unwrap();
    let copy = "INSERT INTO hold SELECT (json_populate_record(hold, $1::text::json)).* FROM hold WHERE call_id = 'one'";
    let other = scene.instance.to_string().replace("inst_", "");
    let other = format!(r#"{{"id":"{other}","call_id":"two"}}"#);
    assert_eq!(opening.execute(copy, &[&other]).await.unwrap(), 1);
    let (bob, shown) = (scene.world.approver("bob").await.unwrap(), denied.clone());
    let voting = tokio::spawn(async move { bob.vote(&shown, false).await });
    let sql = scene.sql().await;
    until_waiting(&sql, "task.lock").await;
    opening.batch_execute("COMMIT").await.unwrap();
    voting.await.unwrap().unwrap();
    let states = "SELECT state FROM hold WHERE call_id = 'two'";
    let state: String = sql.query_one(states, &[]).await.unwrap().get(0);
    assert_eq!(state, "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_of_any_length_and_spelling_can_be_held() {
    let scene = Asking::set().await;
    let long = OpenRequest {
        denial_class: format!("bank/send_money recipient={}\0", "x".repeat(100_000)),
        ..open(&scene.started, "call", "US13")
    };
    let hold = scene.opened(long.clone()).await;
    scene.deny(&hold).await.unwrap();
    let again = OpenRequest {
        call_id: "other".to_owned(),
        ..long
    };
    let again = scene.edge.holds().open(again).await.unwrap().into_inner().result;
    assert!(
        matches!(&again, Some(Opened::Refused(refusal)) if refusal.cause == "denied_before"),
        "{again:?}"
    );
}

fn refused(answer: &Answer, cause: &str) -> bool {
    matches!(answer, Answer::Refused(refusal) if refusal.cause == cause)
}
