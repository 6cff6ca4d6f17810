//! A task that is amended goes on under a new grant, and under no other.

use checkrein_enforcer::{Answer, Enforcer, Request};
use checkrein_proto::hold::v1::ConsumeRequest;
use checkrein_proto::hold::v1::consume_response::Result as Consuming;
use checkrein_proto::hold::v1::open_response::Result as Opening;
use checkrein_proto::task::v1::{
    AmendRequest, AmendResponse, Charge, ConfirmRequest, Limits, Named, ShowRequest, StartRequest,
    StartResponse, Task,
};
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_tests::{Person, WAIT_MAX, World, fresh_key, payments};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::AGENT;
use crate::flows::asking::{Asking, open, until};

const LOOK: &str = "bank/get_balance";
const PAY: &str = "bank/send_money";
const NAMED: &str = "GB29NWBK60161331926819";

struct Scene {
    world: World,
    enforcers: Vec<Enforcer>,
    operator: Person,
    start: StartRequest,
    started: StartResponse,
}

impl Scene {
    async fn set(names: &[&str], calls: Option<u64>) -> Self {
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
        let start = StartRequest {
            user: "alice".to_owned(),
            agent: AGENT.to_owned(),
            tools: vec!["bank/*".to_owned()],
            named: vec![NAMED.to_owned()],
            intent: "pay the rent".to_owned(),
            environment: "production".to_owned(),
            expires_in_ms: 3_600_000,
            idempotency_key: fresh_key(),
            limits: Some(Limits {
                calls,
                ..Limits::default()
            }),
            ..StartRequest::default()
        };
        let started = operator.tasks().start(start.clone()).await.unwrap().into_inner();
        Self {
            world,
            enforcers,
            operator,
            start,
            started,
        }
    }

    fn task(&self) -> &Task {
        self.started.task.as_ref().unwrap()
    }

    fn to(&self, environment: &str) -> AmendRequest {
        AmendRequest {
            task_id: self.task().task_id.clone(),
            environment: Some(environment.to_owned()),
            reason: "moved".to_owned(),
            idempotency_key: fresh_key(),
            ..AmendRequest::default()
        }
    }

    async fn amend(&self, request: AmendRequest) -> Result<AmendResponse, Status> {
        Ok(self.operator.tasks().amend(request).await?.into_inner())
    }

    async fn show(&self) -> Task {
        let task_id = self.task().task_id.clone();
        let shown = self.operator.tasks().show(ShowRequest { task_id }).await.unwrap();
        shown.into_inner().task.unwrap()
    }

    /// Presents as many reads at once, spread over the fleet.
    async fn look(&self, grant: &str, times: usize) -> Vec<Answer> {
        let calls = self.enforcers.iter().cycle().take(times).map(|enforcer| {
            let (gate, request) = (enforcer.gate(), Request::new(grant, LOOK, b"{}"));
            async move { gate.authorize(request).await.unwrap() }
        });
        calls.collect::<JoinSet<_>>().join_all().await
    }

    async fn pay(&self, grant: &str) -> Answer {
        let arguments = format!("{{\"recipient\":\"{NAMED}\",\"amount\":10}}");
        let request = Request::new(grant, PAY, arguments.as_bytes());
        self.enforcers[0].gate().authorize(request).await.unwrap()
    }
}

fn said(answer: &Answer) -> (Verdict, Cause) {
    (answer.verdict(), answer.decided().cause)
}

fn permitted(answers: &[Answer]) -> u64 {
    let permits = answers
        .iter()
        .filter(|answer| answer.verdict() == Verdict::Permit);
    permits.count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amended_task_goes_on_under_its_new_grant_and_under_the_old_one_nowhere() {
    let scene = Scene::set(&["edge"], None).await;
    let old = &scene.started.grant;
    assert_eq!(said(&scene.pay(old).await), (Verdict::Permit, Cause::Permitted));
    let amended = scene.amend(scene.to("staging")).await.unwrap();
    let hears = scene.enforcers[0].wait_until(|status| status.revocation_sequence == 1, WAIT_MAX);
    hears.await.unwrap();
    for answer in [scene.pay(old).await, scene.look(old, 1).await.remove(0)] {
        assert_eq!(said(&answer), (Verdict::Deny, Cause::TaskAmended));
        assert!(answer.decided().reason.contains("new grant"), "{answer:?}");
    }
    let look = scene.look(&amended.grant, 1).await.remove(0);
    assert_eq!(look.verdict(), Verdict::Permit);
    let pay = scene.pay(&amended.grant).await;
    assert_eq!(
        said(&pay),
        (Verdict::Deny, Cause::Forbidden),
        "payments are off in staging"
    );
    let back = scene.amend(scene.to("production")).await.unwrap();
    let hears = scene.enforcers[0].wait_until(|status| status.revocation_sequence == 2, WAIT_MAX);
    hears.await.unwrap();
    for older in [old, &amended.grant] {
        assert_eq!(
            said(&scene.pay(older).await),
            (Verdict::Deny, Cause::TaskAmended),
            "what an epoch said before is not a grant for saying it again"
        );
    }
    assert_eq!(scene.pay(&back.grant).await.verdict(), Verdict::Permit);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_refuses_an_old_grant_before_any_enforcer_heard_and_charges_nothing() {
    let scene = Scene::set(&["edge"], Some(3)).await;
    let edge = scene.world.person(Role::Enforcer, "edge", 0).await.unwrap();
    let ask = |presented: &str, last: u8| {
        let request = ConfirmRequest {
            task_id: scene.task().task_id.clone(),
            presented: presented.to_owned(),
            generation: 1,
            use_id: format!("0193f1c2-a4b8-7d3e-9f00-a1b2c3d4e5{last:02}"),
            ..ConfirmRequest::default()
        };
        let mut tasks = edge.tasks();
        async move { tasks.confirm(request).await.map(tonic::Response::into_inner) }
    };
    let old = &scene.started.grant;
    assert_eq!(ask(old, 1).await.unwrap().charge(), Charge::Charged);
    let amended = scene.amend(scene.to("staging")).await.unwrap();
    let answer = ask(old, 2).await.unwrap();
    assert_eq!(answer.charge(), Charge::Unspecified);
    assert_eq!(answer.refused_cause, "task_amended");
    assert_eq!(
        scene.show().await.calls_used,
        1,
        "what was used stays used, and no more is"
    );
    let answer = ask(&amended.grant, 3).await.unwrap();
    assert_eq!((answer.charge(), &*answer.refused_cause), (Charge::Charged, ""));
    for nonsense in ["", "a.b.c", &format!("{}~", amended.grant)] {
        let answer = ask(nonsense, 4).await.unwrap();
        assert_eq!(
            (answer.charge(), &*answer.refused_cause),
            (Charge::Unspecified, "invalid_grant")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_calls_while_a_task_is_amended_none_goes_ahead_under_the_old_grant_after_the_answer() {
    let scene = Scene::set(&["one", "two"], Some(60)).await;
    let old = &scene.started.grant;
    let (during, amended) = tokio::join!(scene.look(old, 100), scene.amend(scene.to("staging")));
    let amended = amended.unwrap();
    let after = scene.look(old, 20).await;
    for answer in &after {
        assert_eq!(said(answer), (Verdict::Deny, Cause::TaskAmended));
    }
    for answer in during.iter().filter(|answer| answer.verdict() != Verdict::Permit) {
        let cause = answer.decided().cause;
        assert!([Cause::TaskAmended, Cause::Budget].contains(&cause), "{answer:?}");
    }
    let before = permitted(&during);
    // What an enforcer held and did not use comes back.
    let sql = scene.world.sql().await.unwrap();
    let ended = "SELECT CASE count(*) WHEN 0 THEN 1::bigint ELSE 0 END FROM slice WHERE closed_at IS NULL";
    until(&sql, ended, &[]).await;
    assert_eq!(scene.show().await.calls_used, before);
    let rest = scene.look(&amended.grant, 100).await;
    assert_eq!(before + permitted(&rest), 60, "one budget for all epochs");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amendment_asked_for_again_or_that_changes_nothing_begins_no_epoch() {
    let scene = Scene::set(&[], None).await;
    let request = AmendRequest {
        intent: Some("pay the rent of April".to_owned()),
        risk: Some(50),
        named: Some(Named::default()),
        ..scene.to("staging")
    };
    let once = scene.amend(request.clone()).await.unwrap();
    assert_eq!(scene.amend(request.clone()).await.unwrap(), once);
    let same = AmendRequest {
        idempotency_key: fresh_key(),
        ..request.clone()
    };
    assert_eq!(scene.amend(same).await.unwrap(), once);
    // What it has done is shown beside it.
    let task = Task {
        ledger: None,
        ..scene.show().await
    };
    assert_eq!(task, once.task.unwrap());
    assert_eq!((task.epoch, task.limits.unwrap().risk), (1, 50));
    let [amendment] = &task.amendments[..] else {
        panic!("one amendment, and no more: {task:?}");
    };
    assert_eq!(
        (amendment.epoch, &*amendment.amended_by, &*amendment.reason),
        (1, "spiffe://acme.example/operator/olga", "moved")
    );
    let changes: Vec<[&str; 3]> = amendment
        .changes
        .iter()
        .map(|change| [&*change.what, &*change.from, &*change.to])
        .collect();
    assert_eq!(
        changes,
        [
            ["intent", "pay the rent", "pay the rent of April"],
            ["environment", "production", "staging"],
            ["risk", "0", "50"],
            ["named", NAMED, ""],
        ]
    );
    let other = AmendRequest {
        risk: Some(51),
        ..request
    };
    assert_eq!(
        scene.amend(other).await.unwrap_err().code(),
        Code::InvalidArgument,
        "the key stands for another request"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_again_under_the_key_of_a_task_that_was_amended_gives_the_grant_that_holds() {
    let scene = Scene::set(&[], None).await;
    let amended = scene.amend(scene.to("staging")).await.unwrap();
    let again = scene.operator.tasks().start(scene.start.clone()).await;
    let again = again.unwrap().into_inner();
    assert_eq!(again.grant, amended.grant);
    assert_eq!(again.task.unwrap().environment, "staging");
    let other = StartRequest {
        environment: "staging".to_owned(),
        ..scene.start.clone()
    };
    let refused = scene.operator.tasks().start(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_over_or_unknown_or_told_nothing_is_not_amended() {
    let scene = Scene::set(&[], None).await;
    let refused = async |request| {
        let status = scene.amend(request).await.unwrap_err();
        (status.code(), status.message().to_owned())
    };
    let nothing = AmendRequest {
        environment: None,
        ..scene.to("staging")
    };
    assert_eq!(refused(nothing).await.0, Code::InvalidArgument);
    let risk = AmendRequest {
        risk: Some(101),
        ..scene.to("staging")
    };
    assert_eq!(refused(risk).await.0, Code::InvalidArgument);
    let unknown = AmendRequest {
        task_id: "task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6".to_owned(),
        ..scene.to("staging")
    };
    assert_eq!(refused(unknown).await.0, Code::NotFound);
    scene.operator.end(&scene.task().task_id).await.unwrap();
    let (code, message) = refused(scene.to("staging")).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.contains("is over"), "{message}");
    assert_eq!(scene.show().await.epoch, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_held_or_released_under_a_grant_of_an_epoch_that_is_over() {
    let asking = Asking::set().await;
    let hold = asking.held("call", "US133000000121212121212").await;
    asking.approve(&hold).await.unwrap();
    let amend = AmendRequest {
        task_id: asking.task.task_id.clone(),
        risk: Some(10),
        idempotency_key: fresh_key(),
        ..AmendRequest::default()
    };
    let amended = asking.operator.tasks().amend(amend).await.unwrap().into_inner();
    match asking.consume(asking.consume_request(&hold)).await.unwrap() {
        Consuming::Refused(refusal) => assert_eq!(refusal.cause, "task_amended"),
        other => panic!("{other:?}"),
    }
    let other = open(&asking.started, "other", "US133000000121212121212");
    let other = asking.edge.holds().open(other).await.unwrap().into_inner();
    match other.result.unwrap() {
        Opening::Refused(refusal) => assert_eq!(refusal.cause, "task_amended"),
        held @ Opening::Hold(_) => panic!("{held:?}"),
    }
    // The approval is of the action, which is the same under the new grant.
    let again = ConsumeRequest {
        presented: amended.grant,
        ..asking.consume_request(&hold)
    };
    let consumed = asking.consume(again).await.unwrap();
    assert!(matches!(consumed, Consuming::Consumed(_)), "{consumed:?}");
}
