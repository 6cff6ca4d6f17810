//! A task that is passed on is less of the same task for somebody else, and over with it.

mod held;
mod online;
mod returned;

use checkrein_enforcer::{Enforcer, Request, Status};
use checkrein_proto::fleet::v1::AddAgentRequest;
use checkrein_proto::task::v1::{Charge, ConfirmRequest, Limits, StartRequest, State, Task};
use checkrein_shared::SystemClock;
use checkrein_shared::action::Arguments;
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::grant::{Link, Narrowing, OwnGrant, Scope, Signer};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_shared::key::SigningKey;
use checkrein_tests::{Person, WAIT_MAX, World, fresh_key, payments};

use super::AGENT;
use super::at_once::{home, made};

const CHILD: &str = "spiffe://acme.example/agent/search";
const LOOK: &str = "bank/get_balance";
const PAY: &str = "bank/send_money";
const NAMED: &str = "GB29NWBK60161331926819";

/// Two enforcers that speak for the child, one for the parent, and a task whose grant names the parent's key.
struct Scene {
    world: World,
    operator: Person,
    parent: Enforcer,
    children: Vec<Enforcer>,
    key: SigningKey,
    grant: String,
    task: Task,
    generation: Generation,
}

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

impl Scene {
    async fn set(calls: Option<u64>) -> Self {
        let world = World::start().await.unwrap();
        let generation = Generation(world.push(&payments().unwrap()).await.unwrap());
        let operator = world.operator().await.unwrap();
        let team = AddAgentRequest {
            spiffe_id: CHILD.to_owned(),
            owner: "olga".to_owned(),
            teams: vec!["billing".to_owned()],
            idempotency_key: fresh_key(),
        };
        operator.fleet().add_agent(team).await.unwrap();
        let mut enforcers = Vec::new();
        for (name, agent) in [("parent", AGENT), ("one", CHILD), ("two", CHILD)] {
            let enforcer = world.enforcer(name, agent).await.unwrap();
            let decides = |status: &Status| status.decides_by(generation) && status.roster_revision == 1;
            let decides = enforcer.wait_until(decides, WAIT_MAX);
            decides.await.unwrap();
            enforcers.push(enforcer);
        }
        let key = key();
        let start = StartRequest {
            user: "alice".to_owned(),
            agent: AGENT.to_owned(),
            tools: vec!["bank/*".to_owned()],
            named: vec![NAMED.to_owned()],
            environment: "production".to_owned(),
            expires_in_ms: 3_600_000,
            idempotency_key: fresh_key(),
            limits: Some(Limits {
                calls,
                depth: 2,
                ..Limits::default()
            }),
            holder_key: key.verifying().to_base64(),
            ..StartRequest::default()
        };
        let started = operator.tasks().start(start).await.unwrap().into_inner();
        let parent = enforcers.remove(0);
        Self {
            world,
            operator,
            parent,
            children: enforcers,
            key,
            grant: started.grant,
            task: started.task.unwrap(),
            generation,
        }
    }

    /// A grant for the child with a key of its own.
    fn pass_on(&self, tools: &[&str], calls: Option<u64>) -> (String, SigningKey) {
        let key = key();
        let narrowing = Narrowing {
            scope: Some(Scope::parse(tools.iter().map(ToString::to_string)).unwrap()),
            calls,
            holder: Some(key.verifying()),
            ..Narrowing::to(CHILD.parse().unwrap())
        };
        let own = OwnGrant::read(&self.grant).unwrap();
        (own.pass_on(narrowing, &self.key, &SystemClock).unwrap(), key)
    }

    async fn end(&self) {
        self.operator.end(&self.task.task_id).await.unwrap();
    }
}

fn pay(grant: &str, key: &SigningKey) -> Request {
    let arguments =
        Arguments::parse(format!("{{\"recipient\":\"{NAMED}\",\"amount\":10}}").as_bytes()).unwrap();
    let own = OwnGrant::read(grant).unwrap();
    let proof = own.prove(PAY, &arguments, key, &SystemClock).unwrap();
    Request::typed(grant, PAY, arguments).proof(proof)
}

async fn ask(enforcer: &Enforcer, request: Request) -> (Verdict, Cause) {
    let answer = enforcer.gate().authorize(request).await.unwrap();
    (answer.verdict(), answer.decided().cause)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_does_what_it_was_given_until_the_task_ends_for_everybody() {
    let scene = Scene::set(None).await;
    let (child, child_key) = scene.pass_on(&[LOOK, PAY], None);
    let (reader, reader_key) = scene.pass_on(&[LOOK], None);
    let look = |grant: &str| Request::new(grant, LOOK, b"{}");
    let [one, two] = &scene.children[..] else {
        panic!("two")
    };
    assert_eq!(ask(one, look(&child)).await, (Verdict::Permit, Cause::Permitted));
    assert_eq!(
        ask(two, pay(&child, &child_key)).await,
        (Verdict::Permit, Cause::Permitted)
    );
    assert_eq!(
        ask(one, pay(&reader, &reader_key)).await,
        (Verdict::Deny, Cause::OutOfScope)
    );
    assert_eq!(
        ask(&scene.parent, pay(&scene.grant, &scene.key)).await,
        (Verdict::Permit, Cause::Permitted)
    );
    scene.end().await;
    // The primary knows at once, whatever the enforcers have heard.
    for (enforcer, request) in [
        (&scene.parent, pay(&scene.grant, &scene.key)),
        (one, pay(&child, &child_key)),
    ] {
        assert_eq!(ask(enforcer, request).await, (Verdict::Deny, Cause::TaskEnded));
    }
    for enforcer in &scene.children {
        let hears = enforcer.wait_until(|status| status.revocation_sequence == 1, WAIT_MAX);
        hears.await.unwrap();
        assert_eq!(
            ask(enforcer, look(&child)).await,
            (Verdict::Deny, Cause::TaskEnded)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_good_once_in_the_whole_fleet() {
    let scene = Scene::set(None).await;
    let (child, child_key) = scene.pass_on(&[PAY], None);
    let [one, two] = &scene.children[..] else {
        panic!("two")
    };
    let proved = pay(&child, &child_key);
    assert_eq!(
        ask(one, proved.clone()).await,
        (Verdict::Permit, Cause::Permitted)
    );
    assert_eq!(ask(two, proved).await, (Verdict::Deny, Cause::InvalidProof));
    let without = Request::new(
        &*child,
        PAY,
        format!("{{\"recipient\":\"{NAMED}\",\"amount\":10}}").as_bytes(),
    );
    assert_eq!(ask(one, without).await, (Verdict::Deny, Cause::InvalidProof));
    // Asked at the same moment on both, it goes through on one.
    let proved = pay(&child, &child_key);
    let both = tokio::join!(ask(one, proved.clone()), ask(two, proved));
    let permits = [both.0, both.1]
        .iter()
        .filter(|said| said.0 == Verdict::Permit)
        .count();
    assert_eq!(permits, 1, "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_budget_of_a_chain_is_ever_exceeded_however_many_ask_at_once() {
    for (root, own, at_most) in [
        (Some(60), Some(20), 20),
        (Some(15), Some(15), 15),
        (None, Some(7), 7),
    ] {
        let scene = Scene::set(root).await;
        let (child, _) = scene.pass_on(&[LOOK], own);
        let look = Request::new(&*child, LOOK, b"{}");
        let settled = async || home(&scene.children).await;
        let made = made(&scene.children, &look, at_most, settled).await;
        assert_eq!(made.len(), at_most, "{root:?} {own:?}");
        let one_more = ask(&scene.children[0], look).await;
        assert_eq!(one_more, (Verdict::Deny, Cause::Budget), "{root:?} {own:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_believes_no_chain_that_is_not_of_this_task_this_agent_and_this_moment() {
    let scene = Scene::set(None).await;
    let (child, _) = scene.pass_on(&[LOOK], None);
    let edge = scene.world.person(Role::Enforcer, "one", 0).await.unwrap();
    let other = scene
        .operator
        .start("alice", CHILD, &["bank/*"], &[])
        .await
        .unwrap();
    let ask = |presented: &str, last: u8| {
        let request = ConfirmRequest {
            task_id: scene.task.task_id.clone(),
            generation: 1,
            use_id: format!("0193f1c2-a4b8-7d3e-9f00-a1b2c3d4e5{last:02}"),
            presented: presented.to_owned(),
            ..ConfirmRequest::default()
        };
        let mut tasks = edge.tasks();
        async move { tasks.confirm(request).await.map(tonic::Response::into_inner) }
    };
    assert_eq!(ask(&child, 1).await.unwrap().refused_cause, "");
    let (_, alone) = child.split_once('~').unwrap();
    for (what, presented) in [
        ("another task", &*other.grant),
        ("without its parent", alone),
        ("nothing", ""),
    ] {
        assert_eq!(
            ask(presented, 2).await.unwrap().refused_cause,
            "invalid_grant",
            "{what}"
        );
    }
    // The parent's grant is not for an agent that this enforcer speaks for.
    let foreign = ask(&scene.grant, 3).await.unwrap_err();
    assert_eq!(foreign.code(), tonic::Code::PermissionDenied);
    scene.operator.remove(AGENT).await.unwrap();
    let after = ask(&child, 4).await.unwrap();
    assert_eq!(
        (after.refused_cause.as_str(), after.state()),
        ("grant_revoked", State::Revoked)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_removed_takes_down_what_went_through_its_hands_in_the_tasks_of_others() {
    let scene = Scene::set(None).await;
    let (child, child_key) = scene.pass_on(&[LOOK], None);
    let back = Narrowing {
        holder: Some(key().verifying()),
        ..Narrowing::to(AGENT.parse().unwrap())
    };
    // The parent's work, given back to it by the child.
    let own = OwnGrant::read(&child).unwrap();
    let returned = own.pass_on(back, &child_key, &SystemClock).unwrap();
    let look = || Request::new(&*returned, LOOK, b"{}");
    assert_eq!(
        ask(&scene.parent, look()).await,
        (Verdict::Permit, Cause::Permitted)
    );
    scene.operator.remove(CHILD).await.unwrap();
    let hears = scene
        .parent
        .wait_until(|status| status.revocation_sequence == 1, WAIT_MAX);
    hears.await.unwrap();
    assert_eq!(
        ask(&scene.parent, look()).await,
        (Verdict::Deny, Cause::GrantRevoked)
    );
    let direct = Request::new(&*scene.grant, LOOK, b"{}");
    assert_eq!(
        ask(&scene.parent, direct).await,
        (Verdict::Permit, Cause::Permitted)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_says_who_passed_the_grant_on() {
    let scene = Scene::set(None).await;
    let (child, _) = scene.pass_on(&[LOOK], None);
    let one = &scene.children[0];
    let answer = one
        .gate()
        .authorize(Request::new(&*child, LOOK, b"{}"))
        .await
        .unwrap();
    let id = answer.decided().id.to_string();
    one.wait_until(|status| status.journal_acked >= 1, WAIT_MAX)
        .await
        .unwrap();
    let request = checkrein_proto::decision::v1::ShowRequest { decision_id: id };
    let shown = scene
        .operator
        .decisions()
        .show(request)
        .await
        .unwrap()
        .into_inner();
    let decision = shown.decision.unwrap().decision.unwrap();
    assert_eq!(
        (&*decision.agent, &decision.delegated_by[..]),
        (CHILD, &[AGENT.to_owned()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_borrows_the_name_of_another_uses_up_no_budget_but_its_own() {
    let scene = Scene::set(None).await;
    let (child, _) = scene.pass_on(&[LOOK], Some(1));
    let name = OwnGrant::read(&child).unwrap().chain().leaf().id;
    // Another task of the same agent, whose holder gives its child that very name.
    let start = StartRequest {
        user: "bob".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["bank/*".to_owned()],
        environment: "production".to_owned(),
        expires_in_ms: 3_600_000,
        idempotency_key: fresh_key(),
        limits: Some(Limits {
            depth: 1,
            ..Limits::default()
        }),
        holder_key: scene.key.verifying().to_base64(),
        ..StartRequest::default()
    };
    let other = scene
        .operator
        .tasks()
        .start(start)
        .await
        .unwrap()
        .into_inner()
        .grant;
    let own = OwnGrant::read(&other).unwrap();
    let mut borrowed = own.chain().leaf().clone();
    borrowed.id = name;
    borrowed.agent = CHILD.parse().unwrap();
    borrowed.limits.calls = Some(1);
    borrowed.link = Some(Link {
        parent: own.sha256(),
        depth: 1,
        signer: Signer::Holder,
    });
    let borrowed = format!("{other}~{}", borrowed.sign(&scene.key).unwrap());
    let [one, two] = &scene.children[..] else {
        panic!("two")
    };
    for (enforcer, grant) in [(one, &borrowed), (two, &child)] {
        let look = || Request::new(&**grant, LOOK, b"{}");
        assert_eq!(ask(enforcer, look()).await, (Verdict::Permit, Cause::Permitted));
        assert_eq!(ask(enforcer, look()).await, (Verdict::Deny, Cause::Budget));
    }
}
