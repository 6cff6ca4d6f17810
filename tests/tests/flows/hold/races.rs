//! What may happen to a hold at the worst moment.

mod crashes;

use std::path::Path;
use std::time::Duration;

use checkrein_enforcer::Request;
use checkrein_proto::decision::v1::{self as wire, AuthorizeRequest, AuthorizeResponse};
use checkrein_proto::hold::v1::State;
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_tests::{Binaries, Cut, WAIT_MAX, gate, payments_with};

use super::{AGENT, PAY, Scene, UNNAMED, denied};

#[tokio::test(flavor = "multi_thread")]
async fn two_approvers_at_once_approve_once() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let (bob, carol) = (
        scene.world.approver("bob").await.unwrap(),
        scene.world.approver("carol").await.unwrap(),
    );
    let (one, other) = tokio::join!(bob.vote(&hold, true), carol.vote(&hold, true));
    // Whoever comes second finds it approved, and is told so.
    let (won, lost) = if one.is_ok() { (one, other) } else { (other, one) };
    assert_eq!(won.unwrap().state(), State::Approved);
    let lost = lost.unwrap_err();
    assert_eq!(lost.code(), tonic::Code::FailedPrecondition, "{lost:?}");
    assert_eq!(scene.hold(&hold.hold_id).await.state(), State::Approved);
    assert_eq!(scene.collect("call").await.verdict(), Verdict::Permit);
    assert_eq!(scene.collect("call").await.verdict(), Verdict::Deny);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_and_a_no_at_once_are_a_no() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let (bob, carol) = (
        scene.world.approver("bob").await.unwrap(),
        scene.world.approver("carol").await.unwrap(),
    );
    let (yes, no) = tokio::join!(bob.vote(&hold, true), carol.vote(&hold, false));
    no.unwrap();
    match scene.hold(&hold.hold_id).await.state() {
        // The yes came first, and was taken back.
        State::Withdrawn => assert_eq!(yes.unwrap().state(), State::Approved),
        State::Denied => assert_eq!(yes.unwrap_err().code(), tonic::Code::FailedPrecondition),
        other => panic!("{other:?}"),
    }
    assert_eq!(denied(&scene.collect("call").await), Cause::DeniedByPerson);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_collected_many_times_at_once_is_released_once() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    scene
        .world
        .approver("bob")
        .await
        .unwrap()
        .vote(&hold, true)
        .await
        .unwrap();
    let collecting: Vec<_> = (0..8)
        .map(|_| {
            let (gate, grant) = (scene.enforcer.gate(), scene.grant.clone());
            let request = Request::new(grant, PAY, UNNAMED).call_id("call").wait(WAIT_MAX);
            tokio::spawn(async move { gate.authorize(request).await.unwrap() })
        })
        .collect();
    let mut released = 0;
    for answer in collecting {
        let answer = answer.await.unwrap();
        if answer.verdict() == Verdict::Permit {
            released += 1;
        } else {
            assert_eq!(denied(&answer), Cause::AlreadyReleased, "{answer:?}");
        }
    }
    assert_eq!(released, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_after_an_approval_takes_it_back_unless_it_was_used() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let (bob, carol) = (
        scene.world.approver("bob").await.unwrap(),
        scene.world.approver("carol").await.unwrap(),
    );
    bob.vote(&hold, true).await.unwrap();
    assert_eq!(carol.vote(&hold, false).await.unwrap().state(), State::Withdrawn);
    assert_eq!(denied(&scene.collect("call").await), Cause::DeniedByPerson);

    let task = scene
        .operator
        .start("alice", AGENT, &["bank/*"], &[])
        .await
        .unwrap();
    let request = || {
        Request::new(&task.grant, PAY, UNNAMED)
            .call_id("call")
            .wait(WAIT_MAX)
    };
    let first = Request::new(&task.grant, PAY, UNNAMED).call_id("call");
    let first = scene.enforcer.gate().authorize(first).await.unwrap();
    assert_eq!(first.verdict(), Verdict::Hold);
    let hold = scene
        .operator
        .waiting(&task.task.as_ref().unwrap().task_id)
        .await
        .unwrap();
    bob.vote(&hold, true).await.unwrap();
    assert_eq!(
        scene
            .enforcer
            .gate()
            .authorize(request())
            .await
            .unwrap()
            .verdict(),
        Verdict::Permit
    );
    let too_late = carol.vote(&hold, false).await.unwrap_err();
    assert_eq!(too_late.code(), tonic::Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_forbids_it_meanwhile_wins_over_the_approval() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    scene
        .world
        .approver("bob")
        .await
        .unwrap()
        .vote(&hold, true)
        .await
        .unwrap();
    let freeze = r#"@id("frozen") @reason("payments are frozen") forbid (principal, action in Action::"spend", resource);"#;
    let mut frozen = payments_with(freeze).unwrap();
    frozen.files.remove("tests/pay.yaml");
    let generation = scene.world.push(&frozen).await.unwrap();
    scene
        .enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let answer = scene.collect("call").await;
    assert_eq!(denied(&answer), Cause::Forbidden);
    assert_eq!(answer.decided().rules, ["frozen"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_given_under_an_older_policy_is_used_under_the_newest() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    scene
        .world
        .approver("bob")
        .await
        .unwrap()
        .vote(&hold, true)
        .await
        .unwrap();
    let harmless = r#"@id("harmless") permit (principal, action == Action::"bank/get_balance", resource);"#;
    let generation = scene.world.push(&payments_with(harmless).unwrap()).await.unwrap();
    let answer = scene.collect("call").await;
    assert_eq!(answer.verdict(), Verdict::Permit, "{answer:?}");
    assert_eq!(answer.decided().generation, Generation(generation));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_task_cancels_what_waits_in_it() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("open").await.verdict(), Verdict::Hold);
    let open = scene.waiting().await;
    let (gate, grant) = (scene.enforcer.gate(), scene.grant.clone());
    let request = Request::new(grant, PAY, UNNAMED).call_id("open").wait(WAIT_MAX);
    let waiting = tokio::spawn(async move { gate.authorize(request).await.unwrap() });
    scene.operator.revoke(&scene.task).await.unwrap();
    let answer = waiting.await.unwrap();
    assert!(
        matches!(denied(&answer), Cause::HoldCancelled | Cause::TaskEnded),
        "{answer:?}"
    );
    assert_eq!(scene.hold(&open.hold_id).await.state(), State::Cancelled);
    let bob = scene.world.approver("bob").await.unwrap();
    assert_eq!(
        bob.vote(&open, true).await.unwrap_err().code(),
        tonic::Code::FailedPrecondition
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_in_a_task_that_was_revoked_releases_nothing() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    scene.operator.revoke(&scene.task).await.unwrap();
    let answer = scene.collect("call").await;
    assert!(
        matches!(denied(&answer), Cause::HoldCancelled | Cause::TaskEnded),
        "{answer:?}"
    );
    assert_eq!(scene.hold(&hold.hold_id).await.state(), State::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_and_a_release_at_once_are_one_of_the_two() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    let (answer, revoked) = tokio::join!(scene.collect("call"), scene.operator.revoke(&scene.task));
    revoked.unwrap();
    let state = scene.hold(&hold.hold_id).await.state();
    let expected = match answer.verdict() {
        Verdict::Permit => State::Consumed,
        _ => State::Cancelled,
    };
    assert_eq!(state, expected, "{answer:?}");
    assert_eq!(scene.collect("call").await.verdict(), Verdict::Deny);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_outlives_the_enforcer_that_opened_it() {
    let mut scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let directory = scene.world.path().join("edge");
    scene.enforcer.shutdown().await;
    scene
        .world
        .approver("bob")
        .await
        .unwrap()
        .vote(&hold, true)
        .await
        .unwrap();
    scene.enforcer = scene
        .world
        .start_enforcer(&directory, AGENT, &[scene.world.address(0)])
        .await
        .unwrap();
    scene
        .enforcer
        .wait_until(|status| status.has_masking_key, WAIT_MAX)
        .await
        .unwrap();
    let answer = scene.collect("call").await;
    assert_eq!(answer.verdict(), Verdict::Permit, "{answer:?}");
    assert_eq!(answer.decided().hold.unwrap().to_string(), hold.hold_id);
}

/// Presents the payment to a sidecar.
async fn pay(directory: &Path, grant: &str, wait: Duration) -> AuthorizeResponse {
    let mut gate = gate(&directory.join("gate.sock")).await.unwrap();
    let request = AuthorizeRequest {
        proof: String::new(),
        grant: grant.to_owned(),
        tool: PAY.to_owned(),
        arguments: UNNAMED.into(),
        call_id: "call".to_owned(),
        wait_ms: u64::try_from(wait.as_millis()).unwrap(),
    };
    gate.authorize(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_killed_after_it_used_an_approval_does_not_use_it_again() {
    let scene = Scene::set().await;
    let binaries = Binaries::build().await.unwrap();
    let directory = scene.world.register_sidecar("sidecar", AGENT).await.unwrap();
    let enforcer = binaries.enforcer(&directory).await.unwrap();
    // Until the first policy has come, the answer is a deny.
    let held = async {
        loop {
            let answer = pay(&directory, &scene.grant, Duration::ZERO).await;
            if answer.verdict() == wire::Verdict::Hold {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, held).await.unwrap();
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    let released = pay(&directory, &scene.grant, WAIT_MAX).await;
    assert_eq!(released.verdict(), wire::Verdict::Permit, "{released:?}");
    // It may have been sent, and nobody says so.
    enforcer.kill().await.unwrap();

    let _next = binaries.enforcer(&directory).await.unwrap();
    let again = async {
        loop {
            let answer = pay(&directory, &scene.grant, WAIT_MAX).await;
            assert_eq!(answer.verdict(), wire::Verdict::Deny, "{answer:?}");
            if answer.cause == Cause::AlreadyReleased.as_str() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, again).await.unwrap();
    scene.make_late(&hold.hold_id, "use_by").await;
    scene.until(&hold.hold_id, State::Unknown).await;
    assert_eq!(
        pay(&directory, &scene.grant, WAIT_MAX).await.cause,
        Cause::AlreadyReleased.as_str()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_given_through_another_replica_releases_and_a_dead_one_loses_nothing() {
    let mut scene = Scene::set().await;
    let second = scene.world.add_replica().await.unwrap();
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let bob = scene.world.person(Role::Approver, "bob", second).await.unwrap();
    let (dying, living) = (
        Cut::before(scene.world.address(0)).await.unwrap(),
        Cut::before(scene.world.address(second)).await.unwrap(),
    );
    let directory = scene.world.path().join("edge");
    scene.enforcer.shutdown().await;
    // It can only be connected to the one that is about to die.
    living.cut();
    scene.enforcer = scene
        .world
        .start_enforcer(&directory, AGENT, &[dying.address, living.address])
        .await
        .unwrap();
    living.heal();
    scene
        .enforcer
        .wait_until(|status| status.has_masking_key, WAIT_MAX)
        .await
        .unwrap();
    let (gate, grant) = (scene.enforcer.gate(), scene.grant.clone());
    let request = Request::new(grant, PAY, UNNAMED).call_id("call").wait(WAIT_MAX);
    let waiting = tokio::spawn(async move { gate.authorize(request).await.unwrap() });
    scene
        .enforcer
        .wait_until(|status| status.holds_waiting == 1, WAIT_MAX)
        .await
        .unwrap();
    // No goodbye.
    dying.cut();
    bob.vote(&hold, true).await.unwrap();
    let answer = waiting.await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit, "{answer:?}");
}

/// An answer is lost for certain: the control plane works on it when the wire goes mute, and has it before the wire is cut.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_whose_use_was_never_heard_of_is_used_up_and_releases_nothing() {
    let mut scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    let wire = Cut::before(scene.world.address(0)).await.unwrap();
    let directory = scene.world.path().join("edge");
    scene.enforcer.shutdown().await;
    scene.enforcer = scene
        .world
        .start_enforcer(&directory, AGENT, &[wire.address])
        .await
        .unwrap();
    scene
        .enforcer
        .wait_until(|status| status.has_masking_key, WAIT_MAX)
        .await
        .unwrap();

    let (mut sql, watching) = (scene.world.sql().await.unwrap(), scene.world.sql().await.unwrap());
    let slow = sql.transaction().await.unwrap();
    slow.execute("SELECT id FROM hold FOR UPDATE", &[]).await.unwrap();
    let (gate, grant) = (scene.enforcer.gate(), scene.grant.clone());
    let request = Request::new(grant, PAY, UNNAMED).call_id("call").wait(WAIT_MAX);
    let collecting = tokio::spawn(async move { gate.authorize(request).await.unwrap() });
    let consuming = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '-- hold.lock%'";
    until(async || watching.query_one(consuming, &[]).await.unwrap().get::<_, i64>(0) == 1).await;
    wire.mute();
    slow.rollback().await.unwrap();
    until(async || scene.hold(&hold.hold_id).await.state() == State::Consumed).await;
    wire.cut();
    let answer = collecting.await.unwrap();
    assert_eq!(denied(&answer), Cause::ControlPlaneUnreachable, "{answer:?}");

    scene
        .enforcer
        .wait_until(|status| !status.connected(), WAIT_MAX)
        .await
        .unwrap();
    wire.heal();
    scene
        .enforcer
        .wait_until(checkrein_enforcer::Status::connected, WAIT_MAX)
        .await
        .unwrap();
    assert_eq!(denied(&scene.collect("call").await), Cause::AlreadyReleased);
    // The deny comes home and says that nothing was released: the task has not paid.
    scene.until(&hold.hold_id, State::Failed).await;
    let paid = "SELECT count(*) FROM task_tool";
    assert_eq!(watching.query_one(paid, &[]).await.unwrap().get::<_, i64>(0), 0);
}

/// Looks until it is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, looking).await.unwrap();
}
