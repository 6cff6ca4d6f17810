//! What waits for people while its task is amended is judged under what the task says then, or not released.

use std::time::Duration;

use checkrein_enforcer::{Answer, Request};
use checkrein_proto::hold::v1::State;
use checkrein_proto::task::v1::AmendRequest;
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_tests::{WAIT_MAX, fresh_key};

use super::{PAY, Scene, UNNAMED, denied};

impl Scene {
    /// Amends the task; gives the new grant.
    async fn amend(&self, change: impl FnOnce(&mut AmendRequest)) -> String {
        let mut request = AmendRequest {
            task_id: self.task.clone(),
            idempotency_key: fresh_key(),
            ..AmendRequest::default()
        };
        change(&mut request);
        self.operator
            .tasks()
            .amend(request)
            .await
            .unwrap()
            .into_inner()
            .grant
    }

    /// Presents the call that waits, under another grant.
    async fn collect_under(&self, grant: &str) -> Answer {
        let request = Request::new(grant, PAY, UNNAMED).call_id("call").wait(WAIT_MAX);
        self.enforcer.gate().authorize(request).await.unwrap()
    }

    async fn approve(&self) -> String {
        let hold = self.waiting().await;
        let bob = self.world.approver("bob").await.unwrap();
        bob.vote(&hold, true).await.unwrap();
        hold.hold_id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_given_before_a_harmless_amendment_is_used_under_the_new_grant_once() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.approve().await;
    let grant = scene
        .amend(|request| request.intent = Some("pay the rent".to_owned()))
        .await;
    assert_eq!(
        denied(&scene.collect("call").await),
        Cause::TaskAmended,
        "not under the old one"
    );
    let shown = scene.hold(&hold).await;
    assert_eq!((shown.state(), &*shown.intent), (State::Approved, "pay the rent"));
    assert!(shown.reason.contains("judged again"), "{}", shown.reason);
    let answer = scene.collect_under(&grant).await;
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Permit, Cause::Approved)
    );
    assert_eq!(denied(&scene.collect_under(&grant).await), Cause::AlreadyReleased);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_action_is_denied_once_its_task_runs_where_a_rule_forbids_it() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.approve().await;
    let grant = scene
        .amend(|request| request.environment = Some("staging".to_owned()))
        .await;
    assert_eq!(
        denied(&scene.collect_under(&grant).await),
        Cause::Forbidden,
        "payments are off in staging, whoever said yes"
    );
    assert_eq!(denied(&scene.collect("call").await), Cause::TaskAmended);
    assert_eq!(
        scene.hold(&hold).await.state(),
        State::Approved,
        "the approval was not used"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_hears_at_once_that_its_task_was_amended_and_its_hold_goes_on_waiting() {
    let scene = Scene::set().await;
    let request = Request::new(&scene.grant, PAY, UNNAMED)
        .call_id("call")
        .wait(Duration::from_mins(5));
    let gate = scene.enforcer.gate();
    let calling = tokio::spawn(async move { gate.authorize(request).await.unwrap() });
    scene.waiting().await;
    let grant = scene.amend(|request| request.risk = Some(50)).await;
    let answer = tokio::time::timeout(WAIT_MAX, calling).await.unwrap().unwrap();
    assert_eq!(denied(&answer), Cause::TaskAmended);
    assert!(answer.decided().reason.contains("new grant"), "{answer:?}");
    let hold = scene.approve().await;
    assert_eq!(scene.hold(&hold).await.state(), State::Approved);
    assert_eq!(scene.collect_under(&grant).await.verdict(), Verdict::Permit);
}
