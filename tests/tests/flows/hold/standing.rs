//! What must still stand at the moment an approval is used, whoever else is at work in the database.

use checkrein_proto::hold::v1::State;
use checkrein_proto::hold::v1::consume_response::Result as Answer;

use crate::flows::asking::{Asking, until_waiting};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_a_policy_that_is_being_published_and_is_judged_again() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    scene.approve(&hold).await.unwrap();
    // As a push does: the number is raised, and its transaction has not ended.
    let push = scene.sql().await;
    push.batch_execute("BEGIN; UPDATE revision SET value = value + 1 WHERE feed = 'policy'")
        .await
        .unwrap();
    let (edge, request) = (scene.edge.clone(), scene.consume_request(&hold));
    let consuming = tokio::spawn(async move { edge.holds().consume(request).await });
    until_waiting(&scene.sql().await, "revision.share").await;
    push.batch_execute("COMMIT").await.unwrap();
    let answer = consuming.await.unwrap().unwrap().into_inner().result.unwrap();
    assert!(
        matches!(&answer, Answer::Refresh(refresh) if refresh.generation == scene.generation + 1),
        "{answer:?}"
    );
    assert_eq!(scene.state(&hold).await, State::Approved);
}
