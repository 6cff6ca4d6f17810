//! Removal: who left is let in nowhere, and what it was doing stops.

use checkrein_control_plane::cli::identity::generate_request;
use checkrein_enforcer::Request;
use checkrein_proto::fleet::v1::{CertifyRequest, InviteRequest, JoinRequest, ListRequest, RenewRequest};
use checkrein_proto::task::v1::{ShowRequest, State};
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_tests::{Person, WAIT_MAX, World, payments};
use tonic::{Code, Status};

const AGENT: &str = "spiffe://acme.example/agent/billing";

fn renewing() -> RenewRequest {
    RenewRequest {
        certificate_request: generate_request("anybody").unwrap().request,
    }
}

/// Asks until it is refused as removed; what lets it in first is the time that the news takes to a replica.
async fn refused_in_the_end(person: &Person) -> Status {
    tokio::time::timeout(WAIT_MAX, async {
        loop {
            match person.fleet().renew(renewing()).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(refused) => return refused,
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_agents_tasks_stop_everywhere_and_it_gets_no_new_one() {
    let mut world = World::start().await.unwrap();
    let second = world.add_replica().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let first = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    operator.start("bob", AGENT, &["bank/*"], &[]).await.unwrap();
    let other = "spiffe://acme.example/agent/other";
    let spared = operator.start("alice", other, &["bank/*"], &[]).await.unwrap();
    let look = || Request::new(&first.grant, "bank/get_balance", b"{}");
    let answer = enforcer.gate().authorize(look()).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit);

    let removed = operator.remove(AGENT).await.unwrap();
    assert_eq!(removed.tasks_revoked, 2);
    enforcer
        // Both tasks, and whatever others passed on to it.
        .wait_until(|status| status.revocation_sequence == 3, WAIT_MAX)
        .await
        .unwrap();
    let answer = enforcer.gate().authorize(look()).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::TaskEnded)
    );
    let mut states = Vec::new();
    for started in [&first, &spared] {
        let task_id = started.task.as_ref().unwrap().task_id.clone();
        let shown = operator.tasks().show(ShowRequest { task_id }).await.unwrap();
        let task = shown.into_inner().task.unwrap();
        states.push((task.state(), task.closed_reason));
    }
    assert_eq!(states[0], (State::Revoked, "left the company".to_owned()));
    assert_eq!(states[1].0, State::Live);

    let refused = operator
        .start("alice", AGENT, &["bank/*"], &[])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("was removed"), "{refused}");
    // Its certificate is as good as ever, and is taken by no replica.
    for replica in [0, second] {
        let agent = world.person(Role::Agent, "billing", replica).await.unwrap();
        let refused = refused_in_the_end(&agent).await;
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        assert!(refused.message().contains("was removed"), "{refused:?}");
    }
    // Said again, it is the same removal.
    assert_eq!(operator.remove(AGENT).await.unwrap(), removed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_enforcer_loses_its_session_and_its_name() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let operator = world.operator().await.unwrap();
    operator
        .remove("spiffe://acme.example/enforcer/edge")
        .await
        .unwrap();
    enforcer
        .wait_until(|status| !status.connected(), WAIT_MAX)
        .await
        .unwrap();
    let stranger = world.person(Role::Enforcer, "edge", 0).await.unwrap();
    let refused = refused_in_the_end(&stranger).await;
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    let certify = CertifyRequest {
        role: Role::Enforcer.to_string(),
        name: "edge".to_owned(),
        certificate_request: generate_request("edge").unwrap().request,
    };
    let refused = operator.fleet().certify(certify).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    world.register("edge", &[], &[AGENT]).await.unwrap_err();
    assert!(!enforcer.status().connected(), "it came back");
    let listed = operator.fleet().list(ListRequest::default()).await.unwrap();
    assert!(listed.into_inner().enforcers[0].removed_unix_ms > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_removed_is_not_invited_certified_or_let_in_by_an_older_invitation() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let invite = |secret: [u8; 32]| InviteRequest {
        role: Role::Approver.to_string(),
        name: "bob".to_owned(),
        labels: Vec::new(),
        agents: Vec::new(),
        secret_sha256: Sha256::of(&secret).0.to_vec().into(),
        life_ms: 60_000,
    };
    operator.fleet().invite(invite([1; 32])).await.unwrap();
    operator
        .remove("spiffe://acme.example/approver/bob")
        .await
        .unwrap();
    let certificate_request = generate_request("bob").unwrap().request;
    let join = JoinRequest {
        secret: vec![1; 32].into(),
        certificate_request: certificate_request.clone(),
    };
    let certify = CertifyRequest {
        role: Role::Approver.to_string(),
        name: "bob".to_owned(),
        certificate_request,
    };
    let refusals = [
        operator.fleet().join(join).await.unwrap_err(),
        operator.fleet().certify(certify).await.unwrap_err(),
        operator.fleet().invite(invite([2; 32])).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_removes_themselves_a_control_plane_or_somebody_elses_identity() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    for (id, code) in [
        ("spiffe://acme.example/operator/olga", Code::PermissionDenied),
        ("spiffe://acme.example/control-plane/one", Code::InvalidArgument),
        ("spiffe://other.example/agent/billing", Code::InvalidArgument),
        ("spiffe://acme.example/visitor/billing", Code::InvalidArgument),
        ("billing", Code::InvalidArgument),
    ] {
        let refused = operator.remove(id).await.unwrap_err();
        assert_eq!(refused.code(), code, "{id}: {refused:?}");
    }
    operator.fleet().renew(renewing()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_starts_while_its_agent_is_removed_is_not_left_alive() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    for round in 0..10 {
        let agent = format!("spiffe://acme.example/agent/a{round}");
        let start = || operator.start("alice", &agent, &["bank/*"], &[]);
        let (removed, ..) = tokio::join!(operator.remove(&agent), start(), start(), start(), start());
        removed.unwrap();
    }
    let live = "SELECT count(*) FROM task WHERE state = 'live'";
    let row = world.sql().await.unwrap().query_one(live, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
}
