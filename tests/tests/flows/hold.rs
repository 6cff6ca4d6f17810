//! Holds: approved bytes are executed bytes, at most once, never late, never by the asker.

mod again;
mod amended;
mod bounds;
mod class;
mod definition;
pub(crate) mod groups;
mod late;
mod listed;
mod numbers;
mod page;
mod races;
mod register;
mod remarks;
mod removed;
mod settle;
mod standing;
mod together;
mod typed;

use std::time::Duration;

use checkrein_enforcer::{Answer, Enforcer, Request};
use checkrein_proto::hold::v1::{Hold, ShowRequest, State};
use checkrein_shared::decision::{Cause, OutcomeResult, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::policy::PackSource;
use checkrein_tests::{Person, WAIT_MAX, World, payments};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const PAY: &str = "bank/send_money";
const CLOSE: &str = "bank/close_account";
/// To an account nobody named.
const UNNAMED: &[u8] = br#"{"recipient":"US133000000121212121212","amount":10,"memo":"a surprise"}"#;

/// A world in which an action can be held.
struct Scene {
    world: World,
    enforcer: Enforcer,
    operator: Person,
    grant: String,
    task: String,
}

impl Scene {
    async fn set() -> Self {
        Self::set_with(&payments().unwrap()).await
    }

    /// The same with closing an account held for two people within these times.
    async fn set_to_close(decide_within: &str, use_within: &str) -> Self {
        let mut pack = payments().unwrap();
        let rules = pack.files.get_mut("rules.cedar").unwrap();
        let text = String::from_utf8(rules.clone()).unwrap();
        let within = format!("@decide_within(\"{decide_within}\")\n@use_within(\"{use_within}\")");
        let changed = text.replace("@decide_within(\"2s\")\n@use_within(\"2s\")", &within);
        assert_ne!(changed, text);
        *rules = changed.into_bytes();
        Self::set_with(&pack).await
    }

    async fn set_with(pack: &PackSource) -> Self {
        let world = World::start().await.unwrap();
        let enforcer = world.enforcer("edge", AGENT).await.unwrap();
        let generation = world.push(pack).await.unwrap();
        enforcer
            .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
            .await
            .unwrap();
        let operator = world.operator().await.unwrap();
        let task = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
        Self {
            world,
            enforcer,
            operator,
            grant: task.grant,
            task: task.task.unwrap().task_id,
        }
    }

    /// Presents a call, and waits for people if asked to.
    async fn ask(&self, call_id: &str, tool: &str, arguments: &[u8], wait: Duration) -> Answer {
        let request = Request::new(&self.grant, tool, arguments)
            .call_id(call_id)
            .wait(wait);
        self.enforcer.gate().authorize(request).await.unwrap()
    }

    async fn pay(&self, call_id: &str) -> Answer {
        self.ask(call_id, PAY, UNNAMED, Duration::ZERO).await
    }

    /// Presents the call again and waits for it to be released.
    async fn collect(&self, call_id: &str) -> Answer {
        self.ask(call_id, PAY, UNNAMED, WAIT_MAX).await
    }

    async fn waiting(&self) -> Hold {
        self.operator.waiting(&self.task).await.unwrap()
    }

    async fn hold(&self, id: &str) -> Hold {
        let shown = self
            .operator
            .holds()
            .show(ShowRequest {
                hold_id: id.to_owned(),
            })
            .await
            .unwrap();
        shown.into_inner().hold.unwrap()
    }

    /// Sets a deadline of a hold (`decide_by`, `use_by`) back into the past, by the clock that counts.
    async fn make_late(&self, id: &str, deadline: &str) {
        let late = format!(
            "UPDATE hold SET {deadline} = clock_timestamp() - interval '1 hour'
             WHERE 'hold_' || replace(id::text, '-', '') = $1"
        );
        let sql = self.world.sql().await.unwrap();
        assert_eq!(sql.execute(&late, &[&id]).await.unwrap(), 1);
    }

    /// Waits until a hold stands there.
    async fn until(&self, id: &str, state: State) -> Hold {
        let looking = async {
            loop {
                let hold = self.hold(id).await;
                if hold.state() == state {
                    return hold;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, looking)
            .await
            .unwrap_or_else(|_| panic!("never {state:?}"))
    }
}

fn denied(answer: &Answer) -> Cause {
    assert_eq!(answer.verdict(), Verdict::Deny, "{answer:?}");
    answer.decided().cause
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_action_is_released_once_and_its_outcome_ends_the_hold() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let action = hold.action.clone().unwrap();
    let shown = String::from_utf8(action.arguments.to_vec()).unwrap();
    assert!(
        shown.contains("US133000000121212121212") && !shown.contains("surprise"),
        "{shown}"
    );
    let bob = scene.world.approver("bob").await.unwrap();
    assert_eq!(bob.vote(&hold, true).await.unwrap().state(), State::Approved);
    let Answer::Permit(permit) = scene.collect("call").await else {
        panic!("not released")
    };
    assert_eq!(permit.decided().cause, Cause::Approved);
    permit.complete(OutcomeResult::Done, "").await.unwrap();
    let settled = scene.until(&hold.hold_id, State::Done).await;
    assert_eq!(settled.votes.len(), 1);
    // The same call again is not another release.
    assert_eq!(scene.collect("call").await.verdict(), Verdict::Deny);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_waits_is_released_as_soon_as_a_person_approves() {
    let scene = Scene::set().await;
    let (gate, grant) = (scene.enforcer.gate(), scene.grant.clone());
    let waiting = tokio::spawn(async move {
        gate.authorize(Request::new(grant, PAY, UNNAMED).call_id("call").wait(WAIT_MAX))
            .await
            .unwrap()
    });
    let hold = scene.waiting().await;
    scene
        .world
        .approver("bob")
        .await
        .unwrap()
        .vote(&hold, true)
        .await
        .unwrap();
    assert_eq!(waiting.await.unwrap().verdict(), Verdict::Permit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_terminal_for_its_class_in_the_task_and_the_agent_hears_why() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    scene
        .world
        .approver("bob")
        .await
        .unwrap()
        .vote(&hold, false)
        .await
        .unwrap();
    let answer = scene.collect("call").await;
    assert_eq!(denied(&answer), Cause::DeniedByPerson);
    assert!(answer.decided().reason.contains("not today"), "{answer:?}");
    // Another call, another amount, the same account.
    let again = br#"{"recipient":"US133000000121212121212","amount":11}"#;
    assert_eq!(
        denied(&scene.ask("other", PAY, again, Duration::ZERO).await),
        Cause::DeniedBefore
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_asked_may_approve_whatever_group_they_are_in() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    // Olga started the task, alice is its user; both are in the group. Mallory is not.
    for name in ["olga", "alice", "mallory"] {
        let refused = scene
            .world
            .approver(name)
            .await
            .unwrap()
            .vote(&hold, true)
            .await
            .unwrap_err();
        assert_eq!(
            refused.code(),
            tonic::Code::PermissionDenied,
            "{name}: {refused:?}"
        );
    }
    assert_eq!(scene.hold(&hold.hold_id).await.state(), State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_for_other_bytes_than_those_held_does_not_count() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let mut hold = scene.waiting().await;
    let action = hold.action.as_mut().unwrap();
    action.arguments = br#"{"amount":1,"recipient":"US133000000121212121212"}"#.to_vec().into();
    let refused = scene
        .world
        .approver("bob")
        .await
        .unwrap()
        .vote(&hold, true)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert_eq!(scene.hold(&hold.hold_id).await.state(), State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_arguments_are_another_action_and_leave_the_approval_alone() {
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
    let more = br#"{"recipient":"US133000000121212121212","amount":499,"memo":"a surprise"}"#;
    let answer = scene.ask("call", PAY, more, Duration::ZERO).await;
    assert_eq!(answer.verdict(), Verdict::Hold, "{answer:?}");
    assert_ne!(answer.decided().hold.unwrap().to_string(), hold.hold_id);
    assert_eq!(scene.hold(&hold.hold_id).await.state(), State::Approved);
    assert_eq!(scene.collect("call").await.verdict(), Verdict::Permit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_of_two_takes_two_people_and_one_who_votes_twice_is_one() {
    let scene = Scene::set_to_close("30m", "30m").await;
    assert_eq!(
        scene
            .ask("call", CLOSE, br#"{"account":"x"}"#, Duration::ZERO)
            .await
            .verdict(),
        Verdict::Hold
    );
    let hold = scene.waiting().await;
    let (bob, carol) = (
        scene.world.approver("bob").await.unwrap(),
        scene.world.approver("carol").await.unwrap(),
    );
    assert_eq!(bob.vote(&hold, true).await.unwrap().state(), State::Open);
    assert_eq!(bob.vote(&hold, true).await.unwrap().state(), State::Open);
    let approved = carol.vote(&hold, true).await.unwrap();
    assert_eq!((approved.state(), approved.votes.len()), (State::Approved, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_in_time_expires_and_a_late_vote_does_not_count() {
    let scene = Scene::set_to_close("1s", "30m").await;
    let answer = scene.ask("call", CLOSE, br#"{"account":"x"}"#, WAIT_MAX).await;
    assert_eq!(denied(&answer), Cause::HoldExpired);
    let id = answer.decided().hold.unwrap().to_string();
    let hold = scene.until(&id, State::Expired).await;
    let refused = scene
        .world
        .approver("bob")
        .await
        .unwrap()
        .vote(&hold, true)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_after_the_deadline_does_not_count_before_anyone_has_swept() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    scene.make_late(&hold.hold_id, "decide_by").await;
    let refused = bob.vote(&hold, true).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused:?}");
    assert_eq!(scene.hold(&hold.hold_id).await.state(), State::Expired);
    assert_eq!(denied(&scene.collect("call").await), Cause::HoldExpired);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_past_its_deadline_releases_nothing_before_anyone_has_swept() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    scene.make_late(&hold.hold_id, "use_by").await;
    assert_eq!(denied(&scene.collect("call").await), Cause::HoldLapsed);
    assert_eq!(scene.hold(&hold.hold_id).await.state(), State::Lapsed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_is_not_used_in_time_lapses() {
    let scene = Scene::set_to_close("30m", "1s").await;
    assert_eq!(
        scene
            .ask("call", CLOSE, br#"{"account":"x"}"#, Duration::ZERO)
            .await
            .verdict(),
        Verdict::Hold
    );
    let hold = scene.waiting().await;
    for name in ["bob", "carol"] {
        scene
            .world
            .approver(name)
            .await
            .unwrap()
            .vote(&hold, true)
            .await
            .unwrap();
    }
    scene.until(&hold.hold_id, State::Lapsed).await;
    let answer = scene.ask("call", CLOSE, br#"{"account":"x"}"#, WAIT_MAX).await;
    assert_eq!(denied(&answer), Cause::HoldLapsed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sixth_open_hold_of_a_task_and_the_twenty_first_of_an_agent_are_denied() {
    let scene = Scene::set().await;
    let account = |n: usize| format!(r#"{{"recipient":"ACCOUNT{n}","amount":1}}"#).into_bytes();
    for n in 0..5 {
        let answer = scene
            .ask(&format!("call-{n}"), PAY, &account(n), Duration::ZERO)
            .await;
        assert_eq!(answer.verdict(), Verdict::Hold);
    }
    assert_eq!(
        denied(&scene.ask("call-5", PAY, &account(5), Duration::ZERO).await),
        Cause::HoldsExhausted
    );
    for _ in 0..3 {
        let task = scene
            .operator
            .start("alice", AGENT, &["bank/*"], &[])
            .await
            .unwrap();
        for n in 0..5 {
            let request = Request::new(&task.grant, PAY, &account(n)).call_id(format!("call-{n}"));
            assert_eq!(
                scene.enforcer.gate().authorize(request).await.unwrap().verdict(),
                Verdict::Hold
            );
        }
    }
    let task = scene
        .operator
        .start("alice", AGENT, &["bank/*"], &[])
        .await
        .unwrap();
    let request = Request::new(&task.grant, PAY, &account(99)).call_id("last");
    assert_eq!(
        denied(&scene.enforcer.gate().authorize(request).await.unwrap()),
        Cause::HoldsExhausted
    );
}
