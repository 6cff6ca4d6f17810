//! A label is lifted by somebody who has no part in the task, and the task goes on under another grant.

use checkrein_proto::task::v1::{
    ConfirmRequest, DeclassifyRequest, DeclassifyResponse, NoteRequest, ShowRequest, Task,
};
use checkrein_shared::identity::Role;
use checkrein_tests::{Person, fresh_key};
use tonic::{Code, Status};

use super::ledger::{LOOK, PAY, ledger, note, noting};
use crate::flows::asking::{AGENT, Asking};

fn lifting(scene: &Asking, labels: &[&str]) -> DeclassifyRequest {
    DeclassifyRequest {
        task_id: scene.task.task_id.clone(),
        labels: labels.iter().map(ToString::to_string).collect(),
        reason: "only test customers".to_owned(),
        idempotency_key: fresh_key(),
    }
}

async fn lift(person: &Person, request: DeclassifyRequest) -> Result<DeclassifyResponse, Status> {
    let lifted = person.tasks().declassify(request).await;
    lifted.map(tonic::Response::into_inner)
}

async fn show(scene: &Asking) -> Task {
    let task_id = scene.task.task_id.clone();
    let shown = scene
        .operator
        .tasks()
        .show(ShowRequest { task_id })
        .await
        .unwrap();
    shown.into_inner().task.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifted_label_is_gone_and_so_is_every_grant_from_before() {
    let scene = Asking::set().await;
    let noted = noting(&scene, &["finance", "pii"]);
    note(&scene, noted.clone()).await.unwrap();
    let before = show(&scene).await;
    let carried = &before.labels[1];
    assert_eq!(
        (
            &*carried.label,
            &*carried.tool,
            &*carried.agent,
            &*carried.enforcer,
            &carried.decision_id
        ),
        ("pii", LOOK, AGENT, "edge", &noted.decision_id)
    );

    let bob = scene.world.approver("bob").await.unwrap();
    let request = lifting(&scene, &["pii"]);
    let done = lift(&bob, request.clone()).await.unwrap();
    assert_eq!(done.lifted, std::slice::from_ref(carried));
    assert_ne!(done.grant, scene.started.grant);
    let again = lift(&bob, request.clone()).await.unwrap();
    assert_eq!((again.grant, again.lifted), (done.grant.clone(), done.lifted));
    let reused = lift(
        &bob,
        DeclassifyRequest {
            reason: "other".to_owned(),
            ..request
        },
    )
    .await;
    assert_eq!(reused.unwrap_err().code(), Code::InvalidArgument);

    let after = show(&scene).await;
    let ledger = after.ledger.unwrap();
    assert_eq!(
        (&*ledger.labels, ledger.revision),
        (&["finance".to_owned()][..], 2)
    );
    let [amendment] = &after.amendments[..] else {
        panic!("one")
    };
    assert_eq!(
        (&*amendment.reason, &*amendment.amended_by),
        ("only test customers", bob_id())
    );
    let [change] = &amendment.changes[..] else {
        panic!("one")
    };
    assert_eq!(
        (&*change.what, &*change.from, &*change.to),
        ("labels", "finance, pii", "finance")
    );

    let confirm = |grant: &str| {
        let request = ConfirmRequest {
            task_id: scene.task.task_id.clone(),
            presented: grant.to_owned(),
            generation: scene.generation,
            use_id: "0193f1c2-a4b8-7d3e-9f00-a1b2c3d4e501".to_owned(),
            tool: PAY.to_owned(),
            reversibility: 4,
            ..ConfirmRequest::default()
        };
        let mut tasks = scene.edge.tasks();
        async move { tasks.confirm(request).await.unwrap().into_inner() }
    };
    assert_eq!(confirm(&scene.started.grant).await.refused_cause, "task_amended");
    let went = confirm(&done.grant).await;
    assert_eq!(
        (&*went.refused_cause, went.ledger.unwrap().labels),
        ("", ledger.labels)
    );

    // What brings it again makes the task carry it again.
    let once_more = NoteRequest {
        presented: done.grant,
        ..noted
    };
    let noted = note(&scene, once_more).await.unwrap();
    assert_eq!(noted.ledger.unwrap().labels, ["finance", "pii"]);
    let last = lift(&bob, lifting(&scene, &["finance", "pii"])).await.unwrap();
    assert_eq!(last.task.unwrap().amendments[1].changes[0].to, "none");
}

fn bob_id() -> &'static str {
    "spiffe://acme.example/approver/bob"
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lifts_a_label_from_a_task_that_is_theirs() {
    let scene = Asking::set().await;
    note(&scene, noting(&scene, &["pii"])).await.unwrap();
    let (agent, edge) = (
        scene.world.person(Role::Agent, "billing", 0).await.unwrap(),
        scene.world.person(Role::Enforcer, "edge", 0).await.unwrap(),
    );
    let user = scene.world.approver("alice").await.unwrap();
    let starter = scene.world.approver("olga").await.unwrap();
    for person in [&scene.operator, &starter, &user, &agent, &edge] {
        let refused = lift(person, lifting(&scene, &["pii"])).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    }
    assert_eq!(ledger(&scene).await.labels, ["pii"]);
    assert_eq!(show(&scene).await.epoch, 0, "its grant still holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_lifted_with_a_reason_from_a_live_task_that_carries_it_or_not_at_all() {
    let scene = Asking::set().await;
    note(&scene, noting(&scene, &["pii"])).await.unwrap();
    let bob = scene.world.approver("bob").await.unwrap();
    let good = lifting(&scene, &["pii"]);
    let bad = [
        DeclassifyRequest {
            labels: Vec::new(),
            ..good.clone()
        },
        DeclassifyRequest {
            labels: vec!["p".to_owned(); 65],
            ..good.clone()
        },
        DeclassifyRequest {
            reason: " ".to_owned(),
            ..good.clone()
        },
        DeclassifyRequest {
            idempotency_key: String::new(),
            ..good.clone()
        },
    ];
    for request in bad {
        let refused = lift(&bob, request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{request:?}");
    }
    let other = lift(&bob, lifting(&scene, &["finance", "pii"]))
        .await
        .unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition);
    assert!(other.message().contains("`finance`"), "{}", other.message());
    assert_eq!(ledger(&scene).await.labels, ["pii"]);
    scene.operator.end(&scene.task.task_id).await.unwrap();
    assert_eq!(
        lift(&bob, good).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    assert_eq!(ledger(&scene).await.labels, ["pii"]);
}
