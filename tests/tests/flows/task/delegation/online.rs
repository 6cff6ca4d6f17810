//! What the control plane passes on for an agent that has no key of its own.

use checkrein_proto::task::v1::{Amount, Budget, Charge, ConfirmRequest, DelegateRequest, ShowRequest};
use checkrein_shared::id::InstanceId;

use super::*;

/// What an agent without a key asks the control plane to pass on.
fn online(grant: &str) -> DelegateRequest {
    DelegateRequest {
        grant: grant.to_owned(),
        agent: CHILD.to_owned(),
        tools: vec![LOOK.to_owned()],
        expires_in_ms: 60_000,
        idempotency_key: fresh_key(),
        ..DelegateRequest::default()
    }
}

/// A task of the parent's that may be passed on, and names no key.
async fn keyless(scene: &Scene) -> (String, String) {
    let start = StartRequest {
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["bank/*".to_owned()],
        environment: "production".to_owned(),
        expires_in_ms: 3_600_000,
        idempotency_key: fresh_key(),
        limits: Some(Limits {
            depth: 1,
            ..Limits::default()
        }),
        ..StartRequest::default()
    };
    let started = scene.operator.tasks().start(start).await.unwrap().into_inner();
    (started.grant, started.task.unwrap().task_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_a_key_has_its_grant_passed_on_for_it_once_however_often_it_asks() {
    let scene = Scene::set(None).await;
    let (grant, task) = keyless(&scene).await;
    let parent = scene.world.person(Role::Agent, "billing", 0).await.unwrap();
    let request = online(&grant);
    let given = parent
        .tasks()
        .delegate(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        parent
            .tasks()
            .delegate(request.clone())
            .await
            .unwrap()
            .into_inner(),
        given
    );
    let [one, _] = &scene.children[..] else {
        panic!("two")
    };
    let look = Request::new(&*given.grant, LOOK, b"{}");
    assert_eq!(ask(one, look).await, (Verdict::Permit, Cause::Permitted));
    let shown = scene
        .operator
        .tasks()
        .show(ShowRequest {
            task_id: task.clone(),
        })
        .await
        .unwrap();
    let [delegation] = &shown.into_inner().task.unwrap().delegations[..] else {
        panic!("one")
    };
    assert_eq!(
        (
            &*delegation.grant_id,
            &*delegation.agent,
            &*delegation.delegated_by
        ),
        (&*given.grant_id, CHILD, AGENT)
    );
    let other = DelegateRequest {
        tools: vec![PAY.to_owned()],
        ..request
    };
    let reused = parent.tasks().delegate(other).await.unwrap_err();
    assert_eq!(
        reused.code(),
        tonic::Code::InvalidArgument,
        "the key stands for another request"
    );
    scene.operator.end(&task).await.unwrap();
    let late = parent.tasks().delegate(online(&grant)).await.unwrap_err();
    assert!(late.message().contains("over"), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_passed_on_for_anybody_else_to_anybody_gone_or_wider_than_it_is() {
    let scene = Scene::set(None).await;
    let (grant, _) = keyless(&scene).await;
    let parent = scene.world.person(Role::Agent, "billing", 0).await.unwrap();
    let stranger = scene.world.person(Role::Agent, "search", 0).await.unwrap();
    let theirs = stranger.tasks().delegate(online(&grant)).await.unwrap_err();
    assert_eq!(theirs.code(), tonic::Code::PermissionDenied);
    let wider = |change: fn(&mut DelegateRequest)| {
        let mut request = online(&grant);
        change(&mut request);
        request
    };
    let refused = [
        (
            wider(|request| request.tools = vec!["files/*".to_owned()]),
            "a tool that its parent does not",
        ),
        (wider(|request| request.depth = Some(2)), "passed on more often"),
        (
            wider(|request| request.expires_in_ms = 7_200_000),
            "before or after its parent",
        ),
        (
            wider(|request| request.agent = "spiffe://acme.example/operator/olga".to_owned()),
            "not an agent",
        ),
        (
            wider(|request| request.agent = "spiffe://other.example/agent/x".to_owned()),
            "not an agent",
        ),
        (wider(|request| request.grant = "a.b.c".to_owned()), "header"),
        (
            wider(|request| request.holder_key = "short".to_owned()),
            "base64url",
        ),
    ];
    for (request, why) in refused {
        let status = parent.tasks().delegate(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
        assert!(format!("{status:?}").contains(why), "{why}: {status:?}");
    }
    scene.operator.remove(CHILD).await.unwrap();
    let gone = parent.tasks().delegate(online(&grant)).await.unwrap_err();
    assert_eq!(gone.code(), tonic::Code::FailedPrecondition, "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ends_during_a_delegation_ends_before_it_or_with_it() {
    let scene = Scene::set(None).await;
    for _ in 0..5 {
        let (grant, task) = keyless(&scene).await;
        let parent = scene.world.person(Role::Agent, "billing", 0).await.unwrap();
        let mut tasks = parent.tasks();
        let (given, ended) = tokio::join!(tasks.delegate(online(&grant)), scene.operator.end(&task));
        ended.unwrap();
        match given {
            Err(status) => assert_eq!(status.code(), tonic::Code::FailedPrecondition, "{status:?}"),
            Ok(given) => {
                let edge = scene.world.person(Role::Enforcer, "one", 0).await.unwrap();
                let request = ConfirmRequest {
                    task_id: task,
                    generation: 1,
                    presented: given.into_inner().grant,
                    ..ConfirmRequest::default()
                };
                let answer = edge.tasks().confirm(request).await.unwrap().into_inner();
                assert_eq!(answer.state(), State::Ended);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_shows_what_became_of_the_budgets_of_each_grant_that_was_passed_on() {
    let scene = Scene::set(None).await;
    let (grant, task) = keyless(&scene).await;
    let parent = scene.world.person(Role::Agent, "billing", 0).await.unwrap();
    let amount = |amount: &str| Amount {
        meter: "money".to_owned(),
        amount: amount.to_owned(),
    };
    let bounded = DelegateRequest {
        calls: Some(2),
        budgets: vec![amount("15")],
        ..online(&grant)
    };
    let given = parent.tasks().delegate(bounded).await.unwrap().into_inner();
    let free = parent
        .tasks()
        .delegate(online(&grant))
        .await
        .unwrap()
        .into_inner();
    let one = scene.world.person(Role::Enforcer, "one", 0).await.unwrap();
    let release = ConfirmRequest {
        task_id: task.clone(),
        generation: scene.generation.0,
        presented: given.grant,
        use_id: "0193f1c2-a4b8-7d3e-9f00-a1b2c3d4e501".to_owned(),
        tool: LOOK.to_owned(),
        reversibility: 1,
        cost: vec![amount("2.5")],
        instance_id: InstanceId::new(&SystemClock).to_string(),
        incarnation: 1,
        ..ConfirmRequest::default()
    };
    let confirmed = one.tasks().confirm(release).await.unwrap().into_inner();
    assert_eq!(confirmed.charge(), Charge::Charged, "{confirmed:?}");

    let show = ShowRequest {
        task_id: task.clone(),
    };
    let shown = scene.operator.tasks().show(show).await.unwrap().into_inner();
    let mut delegations = shown.task.unwrap().delegations;
    delegations.sort_by_key(|delegation| delegation.grant_id != given.grant_id);
    let [bounded, unbounded] = &delegations[..] else {
        panic!("two")
    };
    assert_eq!((bounded.calls, bounded.calls_used), (Some(2), 1));
    let money = Budget {
        meter: "money".to_owned(),
        limit: "15".to_owned(),
        spent: "0".to_owned(),
        reserved: "2.5".to_owned(),
        unknown: "0".to_owned(),
    };
    assert_eq!(bounded.budgets, [money]);
    assert_eq!(unbounded.grant_id, free.grant_id);
    assert_eq!((unbounded.calls, unbounded.calls_used), (None, 0));
    assert!(unbounded.budgets.is_empty());
}
