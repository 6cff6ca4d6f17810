//! A budget of calls is counted in the whole fleet: never one too many.

use std::time::Duration;

use checkrein_enforcer::{Answer, Enforcer, Request};
use checkrein_proto::task::v1::{
    Charge, ConfirmRequest, Limits, ShowRequest, StartRequest, StartResponse, Task,
};
use checkrein_shared::decision::{Cause, OutcomeResult, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_tests::{Person, WAIT_MAX, World, fresh_key, payments};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::at_once::{home, made};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const PAY: &str = "bank/send_money";
/// To an account nobody named: people are asked.
const UNNAMED: &[u8] = br#"{"recipient":"US133000000121212121212","amount":10}"#;

/// A fleet under one policy.
struct Scene {
    world: World,
    enforcers: Vec<Enforcer>,
    operator: Person,
}

impl Scene {
    async fn set(names: &[&str]) -> Self {
        let world = World::start().await.unwrap();
        let generation = Generation(world.push(&payments().unwrap()).await.unwrap());
        let mut enforcers = Vec::new();
        for name in names {
            let enforcer = world.enforcer(name, AGENT).await.unwrap();
            let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
            decides.await.unwrap();
            enforcers.push(enforcer);
        }
        let operator = world.operator().await.unwrap();
        Self {
            world,
            enforcers,
            operator,
        }
    }

    async fn start(&self, limits: Limits) -> Result<StartResponse, Status> {
        let request = StartRequest {
            user: "alice".to_owned(),
            agent: AGENT.to_owned(),
            tools: vec!["bank/*".to_owned()],
            environment: "production".to_owned(),
            expires_in_ms: 3_600_000,
            idempotency_key: fresh_key(),
            limits: Some(limits),
            ..StartRequest::default()
        };
        Ok(self.operator.tasks().start(request).await?.into_inner())
    }

    async fn counted(&self, calls: u64) -> (String, Task) {
        let started = self.start(calls_of(calls)).await.unwrap();
        (started.grant, started.task.unwrap())
    }

    async fn used(&self, task: &Task) -> u64 {
        self.shown(task).await.calls_used
    }

    async fn shown(&self, task: &Task) -> Task {
        let task_id = task.task_id.clone();
        let shown = self.operator.tasks().show(ShowRequest { task_id }).await.unwrap();
        shown.into_inner().task.unwrap()
    }

    /// How many of a hundred reads at once go through, where so many should.
    async fn made(&self, grant: &str, fit: usize) -> usize {
        let look = Request::new(grant, "bank/get_balance", b"{}");
        let settled = async || home(&self.enforcers).await;
        let made = made(&self.enforcers, &look, fit, settled).await;
        settled().await;
        made.len()
    }

    /// Presents as many reads at once, spread over the fleet.
    async fn look(&self, grant: &str, times: usize) -> Vec<Answer> {
        let calls = self.enforcers.iter().cycle().take(times).map(|enforcer| {
            let (gate, request) = (enforcer.gate(), Request::new(grant, "bank/get_balance", b"{}"));
            async move { gate.authorize(request).await.unwrap() }
        });
        calls.collect::<JoinSet<_>>().join_all().await
    }
}

fn calls_of(calls: u64) -> Limits {
    Limits {
        calls: Some(calls),
        ..Limits::default()
    }
}

/// How many were permitted; every other one must have been denied for the budget.
fn permitted(answers: &[Answer]) -> usize {
    let is_permit = |answer: &&Answer| answer.verdict() == Verdict::Permit;
    for denied in answers.iter().filter(|answer| !is_permit(answer)) {
        let said = (denied.verdict(), denied.decided().cause);
        assert_eq!(said, (Verdict::Deny, Cause::Budget), "{denied:?}");
    }
    answers.iter().filter(is_permit).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_calls_at_once_over_three_enforcers_a_budget_of_sixty_lets_sixty_through() {
    let scene = Scene::set(&["one", "two", "three"]).await;
    let (grant, task) = scene.counted(60).await;
    assert_eq!(scene.made(&grant, 60).await, 60);
    assert_eq!(scene.used(&task).await, 60);
    assert_eq!(permitted(&scene.look(&grant, 3).await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_was_charged_is_in_the_ledger_at_once_and_not_twice_when_its_record_is_home() {
    let scene = Scene::set(&["one", "two"]).await;
    let (grant, task) = scene.counted(9).await;
    drop(scene.look(&grant, 5).await);
    assert_eq!(scene.shown(&task).await.ledger.unwrap().calls, 5);
    for enforcer in &scene.enforcers {
        enforcer
            .wait_until(|status| status.journal_pending() == 0, WAIT_MAX)
            .await
            .unwrap();
    }
    let ledger = scene.shown(&task).await.ledger.unwrap();
    assert_eq!((ledger.calls, ledger.used[0].times), (5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_use_grant_lets_one_of_a_hundred_calls_through() {
    let scene = Scene::set(&["one", "two"]).await;
    let (grant, task) = scene.counted(1).await;
    assert_eq!(scene.made(&grant, 1).await, 1);
    assert_eq!(scene.used(&task).await, 1);
    let (other, _) = scene.counted(1).await;
    assert_eq!(
        permitted(&scene.look(&other, 1).await),
        1,
        "another task has its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_confirmed_again_is_charged_once_and_one_under_old_policy_not_at_all() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.counted(2).await;
    let edge = scene.world.person(Role::Enforcer, "edge", 0).await.unwrap();
    let ask = |release: u8, generation: u64| {
        let request = ConfirmRequest {
            task_id: task.task_id.clone(),
            presented: grant.clone(),
            generation,
            use_id: format!("0193f1c2-a4b8-7d3e-9f00-a1b2c3d4e5{release:02}"),
            ..ConfirmRequest::default()
        };
        let mut tasks = edge.tasks();
        async move { tasks.confirm(request).await.unwrap().into_inner().charge() }
    };
    assert_eq!(ask(1, 0).await, Charge::Unspecified);
    assert_eq!(scene.used(&task).await, 0);
    for again in (0..20)
        .map(|_| ask(1, 1))
        .collect::<JoinSet<_>>()
        .join_all()
        .await
    {
        assert_eq!(again, Charge::Charged);
    }
    assert_eq!(scene.used(&task).await, 1);
    assert_eq!(ask(2, 1).await, Charge::Charged);
    assert_eq!(ask(3, 1).await, Charge::Exhausted);
    assert_eq!(ask(1, 1).await, Charge::Charged, "it was");
    assert_eq!(scene.used(&task).await, 2);
    scene.operator.revoke(&task.task_id).await.unwrap();
    assert_eq!(
        ask(2, 1).await,
        Charge::Unspecified,
        "nothing is charged to a task that is over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_action_is_charged_when_it_is_released_and_an_approval_buys_no_further_call() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.counted(1).await;
    let pay = |call: &'static str, wait: Duration| {
        let request = Request::new(&grant, PAY, UNNAMED).call_id(call).wait(wait);
        let gate = scene.enforcers[0].gate();
        async move { gate.authorize(request).await.unwrap() }
    };
    assert_eq!(pay("first", Duration::ZERO).await.verdict(), Verdict::Hold);
    let hold = scene.operator.waiting(&task.task_id).await.unwrap();
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    assert_eq!(scene.used(&task).await, 0, "waiting costs nothing");
    let Answer::Permit(permit) = pay("first", WAIT_MAX).await else {
        panic!("not released")
    };
    permit.complete(OutcomeResult::Done, "").await.unwrap();
    assert_eq!(scene.used(&task).await, 1);
    let second = pay("second", Duration::ZERO).await;
    assert_eq!(
        (second.verdict(), second.decided().cause),
        (Verdict::Deny, Cause::Budget)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_approved_actions_are_one_release_of_a_budget_of_one() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.counted(1).await;
    let call = |name: &'static str, account: &str, wait: Duration| {
        let arguments = format!("{{\"recipient\":\"{account}\",\"amount\":10}}");
        let request = Request::new(&grant, PAY, arguments.as_bytes())
            .call_id(name)
            .wait(wait);
        let gate = scene.enforcers[0].gate();
        async move { gate.authorize(request).await.unwrap() }
    };
    let bob = scene.world.approver("bob").await.unwrap();
    let accounts = [
        ("one", "US133000000121212121212"),
        ("two", "US133000000121212121213"),
    ];
    for (name, account) in accounts {
        let held = call(name, account, Duration::ZERO).await;
        assert_eq!(held.verdict(), Verdict::Hold);
    }
    let request = checkrein_proto::hold::v1::ListRequest {
        task_id: task.task_id.clone(),
        ..Default::default()
    };
    let holds = scene
        .operator
        .holds()
        .list(request)
        .await
        .unwrap()
        .into_inner()
        .holds;
    assert_eq!(holds.len(), 2);
    for hold in &holds {
        bob.vote(hold, true).await.unwrap();
    }
    let released = accounts.map(|(name, account)| call(name, account, WAIT_MAX));
    let answers = released.into_iter().collect::<JoinSet<_>>().join_all().await;
    assert_eq!(permitted(&answers), 1);
    assert_eq!(scene.used(&task).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_plane_a_counted_task_makes_no_call_and_another_goes_on() {
    let mut scene = Scene::set(&["edge"]).await;
    let (counted, _) = scene.counted(60).await;
    let free = scene.start(Limits::default()).await.unwrap().grant;
    scene.world.stop_replica(0).await;
    for (grant, expected) in [
        (&counted, (Verdict::Deny, Cause::ControlPlaneUnreachable)),
        (&free, (Verdict::Permit, Cause::Permitted)),
    ] {
        let answers = scene.look(grant, 1).await;
        assert_eq!((answers[0].verdict(), answers[0].decided().cause), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_can_not_be_are_refused_and_others_are_shown() {
    let scene = Scene::set(&[]).await;
    let good = Limits {
        calls: Some(3),
        risk: 75,
        depth: 2,
    };
    let bad = [
        Limits {
            calls: Some(0),
            ..good
        },
        Limits {
            calls: Some(u64::MAX),
            ..good
        },
        Limits { risk: 101, ..good },
        Limits { risk: 256, ..good },
        Limits { depth: 9, ..good },
        Limits { depth: 256, ..good },
    ];
    for limits in bad {
        let refused = scene.start(limits).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{limits:?}");
        assert!(refused.message().contains("limits"), "{}", refused.message());
    }
    let task = scene.start(good).await.unwrap().task.unwrap();
    assert_eq!((task.limits, task.calls_used), (Some(good), 0));
}
