//! A standing approval dies with whatever it rests on, and what it approved and was not released dies with it.

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::State;
use checkrein_proto::hold::v1::consume_response::Result as Consumed;
use checkrein_proto::task::v1::AmendRequest;
use checkrein_tests::fresh_key;
use tonic::Code;

use super::{asks_people, given, pay, shown, terms};
use crate::flows::asking::Asking;

const BOB: &str = "spiffe://acme.example/approver/bob";

/// In force, and with one hold that it approved and that is not released.
async fn used_once() -> (Asking, wire::Standing, wire::Hold) {
    let scene = Asking::set().await;
    let standing = given(&scene, terms(50, "400")).await;
    let hold = scene.opened(pay(&scene, "second", "1", "")).await;
    assert_eq!(hold.state(), State::Approved);
    (scene, standing, hold)
}

async fn revoke(scene: &Asking, standing: &wire::Standing) -> wire::RevokeStandingResponse {
    let request = wire::RevokeStandingRequest {
        standing_id: standing.standing_id.clone(),
        reason: "not any more".to_owned(),
        idempotency_key: fresh_key(),
    };
    let revoked = scene.operator.holds().revoke_standing(request).await.unwrap();
    revoked.into_inner()
}

async fn refused(scene: &Asking, hold: &wire::Hold) -> wire::Refusal {
    match scene.consume(scene.consume_request(hold)).await.unwrap() {
        Consumed::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

async fn change(scene: &Asking, sql: &str) {
    assert_eq!(scene.sql().await.execute(sql, &[]).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_it_lets_nothing_more_happen_and_withdraws_what_is_not_released() {
    let (scene, standing, hold) = used_once().await;
    let revoked = revoke(&scene, &standing).await;
    assert_eq!(revoked.withdrawn, std::slice::from_ref(&hold.hold_id));
    let ended = revoked.standing.unwrap();
    assert_eq!(
        (ended.state(), &*ended.ended_reason),
        (wire::StandingState::Ended, "not any more")
    );
    assert_eq!(scene.state(&hold).await, State::Withdrawn);
    assert_eq!(refused(&scene, &hold).await.cause, "hold_cancelled");
    // A revocation is no denial: the next one waits for people.
    asks_people(&scene, pay(&scene, "third", "1", "")).await;
    let again = revoke(&scene, &standing).await;
    assert_eq!((again.withdrawn.len(), again.standing.unwrap()), (0, ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_says_why_and_of_what() {
    let (scene, standing, _) = used_once().await;
    let request = wire::RevokeStandingRequest {
        standing_id: standing.standing_id.clone(),
        reason: " ".to_owned(),
        idempotency_key: fresh_key(),
    };
    let refused = scene
        .operator
        .holds()
        .revoke_standing(request.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let unknown = wire::RevokeStandingRequest {
        standing_id: standing.hold_id.replace("hold_", "standing_"),
        reason: "no".to_owned(),
        ..request
    };
    let refused = scene.operator.holds().revoke_standing(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_to_its_class_ends_it_and_what_it_approved() {
    let (scene, standing, hold) = used_once().await;
    let waits = scene.opened(pay(&scene, "more", "450", "")).await;
    scene.deny(&waits).await.unwrap();
    assert_eq!(scene.state(&hold).await, State::Cancelled);
    let ended = shown(&scene, &standing).await;
    assert_eq!(
        (ended.state(), &*ended.ended_by),
        (wire::StandingState::Ended, BOB)
    );
    assert_eq!(refused(&scene, &hold).await.cause, "denied_before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_to_what_it_approved_ends_it_too() {
    let (scene, standing, hold) = used_once().await;
    scene.deny(&hold).await.unwrap();
    assert_eq!(scene.state(&hold).await, State::Withdrawn);
    assert_eq!(shown(&scene, &standing).await.state(), wire::StandingState::Ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_task() {
    let (scene, standing, hold) = used_once().await;
    scene.operator.revoke(&scene.task.task_id).await.unwrap();
    assert_eq!(scene.state(&hold).await, State::Cancelled);
    assert_eq!(shown(&scene, &standing).await.state(), wire::StandingState::Ended);
    assert!(standing.until_unix_ms <= scene.task.expires_unix_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_its_task_is_amended_and_withdraws_what_is_not_released() {
    let (scene, standing, hold) = used_once().await;
    let request = AmendRequest {
        task_id: scene.task.task_id.clone(),
        intent: Some("something else".to_owned()),
        reason: "changed".to_owned(),
        idempotency_key: fresh_key(),
        ..AmendRequest::default()
    };
    let amended = scene.operator.tasks().amend(request).await.unwrap().into_inner();
    assert_eq!(scene.state(&hold).await, State::Withdrawn);
    assert_eq!(shown(&scene, &standing).await.state(), wire::StandingState::Ended);
    let mut next = pay(&scene, "third", "1", "");
    next.presented = amended.grant;
    "something else".clone_into(&mut next.intent);
    asks_people(&scene, next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_one_of_its_people_leaves_the_group_and_does_not_come_back_with_them() {
    let (scene, standing, hold) = used_once().await;
    let members =
        "UPDATE approver_group SET members = array_remove(members, 'spiffe://acme.example/approver/bob')
        WHERE name = 'treasury'";
    change(&scene, members).await;
    assert_eq!(refused(&scene, &hold).await.cause, "hold_cancelled");
    assert_eq!(scene.state(&hold).await, State::Withdrawn);
    asks_people(&scene, pay(&scene, "third", "1", "")).await;
    assert_eq!(shown(&scene, &standing).await.state(), wire::StandingState::Ended);
    let back =
        "UPDATE approver_group SET members = array_append(members, 'spiffe://acme.example/approver/bob')
        WHERE name = 'treasury'";
    change(&scene, back).await;
    asks_people(&scene, pay(&scene, "fourth", "1", "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_one_of_its_people_is_removed_from_the_register() {
    let (scene, standing, hold) = used_once().await;
    scene.operator.remove(BOB).await.unwrap();
    assert_eq!(refused(&scene, &hold).await.cause, "hold_cancelled");
    asks_people(&scene, pay(&scene, "third", "1", "")).await;
    assert_eq!(shown(&scene, &standing).await.state(), wire::StandingState::Ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_time_it_lets_nothing_happen_and_nothing_that_it_approved_is_released() {
    let (scene, standing, hold) = used_once().await;
    change(
        &scene,
        "UPDATE standing_approval SET lasts_until = clock_timestamp() - interval '1 second'",
    )
    .await;
    assert_eq!(
        shown(&scene, &standing).await.state(),
        wire::StandingState::Expired
    );
    asks_people(&scene, pay(&scene, "third", "1", "")).await;
    let said = refused(&scene, &hold).await;
    assert!(said.reason.contains("is over"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_approves_is_not_usable_for_longer_than_it_lasts() {
    let scene = Asking::set().await;
    let short = wire::Terms {
        for_ms: 60_000,
        ..terms(5, "400")
    };
    let standing = given(&scene, short).await;
    // The rule would let an approval be used for ten minutes.
    let hold = scene.opened(pay(&scene, "second", "1", "")).await;
    assert!(hold.use_by_unix_ms <= standing.until_unix_ms, "{hold:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_approved_is_not_released_once_the_rules_demand_something_else() {
    let (scene, _, hold) = used_once().await;
    let mut request = scene.consume_request(&hold);
    // Bob is of this group too, and was never asked for it.
    request.requirements.push(wire::Requirement {
        rule: "another".to_owned(),
        ..request.requirements[0].clone()
    });
    let answer = scene.consume(request).await.unwrap();
    assert!(
        matches!(&answer, Consumed::Refused(refusal) if refusal.cause == "hold_cancelled"),
        "{answer:?}"
    );
    assert_eq!(scene.state(&hold).await, State::Withdrawn);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_more_than_the_approver_saw_the_task_carry_people_are_asked() {
    let (scene, _, hold) = used_once().await;
    let carry = "INSERT INTO task_label (task_id, label, source, decision_id, tool, agent, enforcer)
        SELECT task_id, 'pii', 'call', decision_id, 'crm/look', agent, enforcer FROM hold LIMIT 1";
    change(&scene, carry).await;
    assert_eq!(refused(&scene, &hold).await.cause, "hold_cancelled");
    asks_people(&scene, pay(&scene, "third", "1", "")).await;
}
