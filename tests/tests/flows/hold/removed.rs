//! Whoever was removed since is nobody: neither their yes counts, nor is anything released to them.

use tonic::Code;

use super::*;
use crate::flows::asking::Asking;

const BOB: &str = "spiffe://acme.example/approver/bob";

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_whose_approver_was_removed_before_it_was_used_releases_nothing() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    assert_eq!(bob.vote(&hold, true).await.unwrap().state(), State::Approved);
    scene.operator.remove(BOB).await.unwrap();
    assert_eq!(denied(&scene.collect("call").await), Cause::HoldCancelled);
    assert_ne!(scene.hold(&hold.hold_id).await.state(), State::Consumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_counts_nobody_who_was_removed() {
    let scene = Scene::set_to_close("30m", "30m").await;
    let close = scene.ask("call", CLOSE, br#"{"account":"x"}"#, Duration::ZERO);
    assert_eq!(close.await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    assert_eq!(bob.vote(&hold, true).await.unwrap().state(), State::Open);
    scene.operator.remove(BOB).await.unwrap();
    let carol = scene.world.approver("carol").await.unwrap();
    assert_eq!(carol.vote(&hold, true).await.unwrap().state(), State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_enforcer_uses_no_approval_even_before_its_replica_has_heard_of_it() {
    let scene = Asking::set().await;
    let held = scene.held("one", "US13").await;
    scene.approve(&held).await.unwrap();
    // Only the row: no feed says so, and the caller is let in.
    let remove = "INSERT INTO removed_identity (spiffe_id, removed_by, reason, tasks_revoked)
        SELECT spiffe_id, 'olga', 'gone', 0 FROM enforcer";
    assert_eq!(scene.sql().await.execute(remove, &[]).await.unwrap(), 1);
    let refused = scene.consume(scene.consume_request(&held)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    assert!(refused.message().contains("may not speak for"), "{refused:?}");
}
