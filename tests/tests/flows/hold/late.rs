//! Deadlines are compared with the database's clock at the moment that counts, not at the moment somebody began to wait.

use checkrein_proto::hold::v1::{OpenRequest, State};
use tonic::Code;

use crate::flows::asking::{Asking, open, until, until_waiting};

/// Long enough to begin a vote in; shorter than a statement may wait for a lock.
const DECIDE_WITHIN_MS: u64 = 4_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_that_waited_for_the_row_past_the_deadline_does_not_count() {
    let scene = Asking::set().await;
    late(&scene, "SELECT FROM hold FOR UPDATE", "hold.lock").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_that_met_the_deadline_halfway_through_does_not_count() {
    let scene = Asking::set().await;
    late(&scene, "LOCK TABLE approver_group", "hold.group_members").await;
}

/// Lets a vote wait, by what this statement locks, in the statement of that name until the deadline has passed.
async fn late(scene: &Asking, lock: &str, waits_in: &str) {
    let (bob, sql, other) = (
        scene.world.approver("bob").await.unwrap(),
        scene.sql().await,
        scene.sql().await,
    );
    let hold = scene.opened(brief(scene)).await;
    other.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
    let shown = hold.clone();
    let voting = tokio::spawn(async move { bob.vote(&shown, true).await });
    until_waiting(&sql, waits_in).await;
    let passed = "SELECT count(*) FROM hold WHERE decide_by < clock_timestamp()";
    until(&sql, passed, &[]).await;
    other.batch_execute("COMMIT").await.unwrap();

    let refused = voting.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    let shown = scene.shown(&hold).await;
    assert_eq!((shown.state(), shown.votes.len()), (State::Expired, 0));
}

fn brief(scene: &Asking) -> OpenRequest {
    let mut request = open(&scene.started, "call", "US13");
    request.requirements[0].decide_within_ms = DECIDE_WITHIN_MS;
    request
}
