//! What ends, ends everywhere: while a call is under way, and while nobody can be told.

use checkrein_enforcer::{Answer, Enforcer, Request};
use checkrein_proto::task::v1::StartResponse;
use checkrein_shared::decision::{Cause, OutcomeResult, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_tests::{Cut, Person, WAIT_MAX, World, payments};
use tokio::time::timeout;

const AGENT: &str = "spiffe://acme.example/agent/billing";
const NAMED: &str = "GB29NWBK60161331926819";
/// How old policy may be for what touches data and can be undone, where a pack says so.
const LIGHT_S: u64 = 3;

struct Scene {
    world: World,
    enforcer: Enforcer,
    operator: Person,
    started: StartResponse,
}

impl Scene {
    async fn set() -> Self {
        let world = World::start().await.unwrap();
        let generation = Generation(world.push(&payments().unwrap()).await.unwrap());
        let enforcer = world.enforcer("edge", AGENT).await.unwrap();
        let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
        decides.await.unwrap();
        let operator = world.operator().await.unwrap();
        let started = operator
            .start("alice", AGENT, &["bank/*"], &[NAMED])
            .await
            .unwrap();
        Self {
            world,
            enforcer,
            operator,
            started,
        }
    }

    fn task_id(&self) -> &str {
        &self.started.task.as_ref().unwrap().task_id
    }

    async fn call(&self, tool: &str, arguments: &str) -> Answer {
        let request = Request::new(&self.started.grant, tool, arguments.as_bytes());
        self.enforcer.gate().authorize(request).await.unwrap()
    }

    async fn look(&self) -> Answer {
        self.call("bank/get_balance", "{}").await
    }

    async fn pay(&self) -> Answer {
        let arguments = format!("{{\"recipient\":\"{NAMED}\",\"amount\":10}}");
        self.call("bank/send_money", &arguments).await
    }
}

fn said(answer: &Answer) -> (Verdict, Cause) {
    (answer.verdict(), answer.decided().cause)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_under_way_when_its_task_ends_is_told_so() {
    let scene = Scene::set().await;
    let Answer::Permit(permit) = scene.pay().await else {
        panic!("it is permitted");
    };
    let (stopped, ended) = tokio::join!(
        timeout(WAIT_MAX, permit.stopped()),
        scene.operator.end(scene.task_id())
    );
    ended.unwrap();
    assert_eq!(stopped.expect("it is told").cause, Cause::TaskEnded);
    permit
        .complete(OutcomeResult::Failed, "stopped halfway")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_committed_and_never_pushed_stops_the_full_tier_and_is_pushed_by_the_next_replica() {
    let mut scene = Scene::set().await;
    let second = scene.world.add_replica().await.unwrap();
    let elsewhere = scene.world.person(Role::Operator, "olga", second).await.unwrap();
    // The enforcer knows one replica, and that is gone when the end is committed.
    scene.world.stop_replica(0).await;
    elsewhere.end(scene.task_id()).await.unwrap();
    assert_eq!(
        said(&scene.pay().await),
        (Verdict::Deny, Cause::ControlPlaneUnreachable)
    );
    assert_eq!(
        scene.look().await.verdict(),
        Verdict::Permit,
        "it could not have heard, and its policy is fresh enough for a read"
    );
    scene.world.restart_replica(0).await.unwrap();
    let hears = scene
        .enforcer
        .wait_until(|status| status.revocation_sequence == 1, WAIT_MAX);
    hears.await.unwrap();
    for answer in [scene.pay().await, scene.look().await] {
        assert_eq!(said(&answer), (Verdict::Deny, Cause::TaskEnded));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_that_is_cut_off_refuses_what_it_could_not_hear_of_as_soon_as_its_policy_is_too_old() {
    let world = World::start().await.unwrap();
    let wire = Cut::before(world.address(0)).await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let enforcer = world
        .start_enforcer(&directory, AGENT, &[wire.address])
        .await
        .unwrap();
    let mut pack = payments().unwrap();
    let settings = pack.files.get_mut("checkrein.toml").unwrap();
    settings.extend_from_slice(format!("\n[bounds]\nfull = \"1s\"\nlight = \"{LIGHT_S}s\"\n").as_bytes());
    let generation = Generation(world.push(&pack).await.unwrap());
    let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
    decides.await.unwrap();
    let operator = world.operator().await.unwrap();
    let started = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    let gate = enforcer.gate();
    let look = || gate.authorize(Request::new(&started.grant, "bank/get_balance", b"{}"));
    wire.cut();
    operator
        .end(&started.task.as_ref().unwrap().task_id)
        .await
        .unwrap();
    let answer = look().await.unwrap();
    let age_ms = enforcer.status().policy_age_ms;
    if age_ms <= LIGHT_S * 1_000 {
        assert_eq!(
            answer.verdict(),
            Verdict::Permit,
            "it could not have heard: {answer:?}"
        );
    }
    let too_old = enforcer.wait_until(|status| status.policy_age_ms > LIGHT_S * 1_000, WAIT_MAX);
    too_old.await.unwrap();
    assert_eq!(said(&look().await.unwrap()), (Verdict::Deny, Cause::PolicyStale));
    wire.heal();
    let hears = enforcer.wait_until(|status| status.revocation_sequence == 1, WAIT_MAX);
    hears.await.unwrap();
    assert_eq!(said(&look().await.unwrap()), (Verdict::Deny, Cause::TaskEnded));
}
