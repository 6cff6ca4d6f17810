//! An enforcer may ask only about agents that the register lets it speak for, and only what is true of their tasks.

use checkrein_proto::hold::v1::{HeldAction, OpenRequest};
use checkrein_proto::task::v1::ConfirmRequest;
use checkrein_shared::action::ActionIdentity;
use checkrein_shared::identity::Role;
use tonic::Code;

use crate::flows::asking::{Asking, open};

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_can_neither_open_holds_nor_confirm_in_the_task_of_an_agent_that_is_not_its_own() {
    let scene = Asking::set().await;
    let other = ["spiffe://acme.example/agent/other"];
    scene.world.register("stranger", &[], &other).await.unwrap();
    let stranger = scene.world.person(Role::Enforcer, "stranger", 0).await.unwrap();
    let confirm = ConfirmRequest {
        task_id: scene.task.task_id.clone(),
        presented: scene.started.grant.clone(),
        ..ConfirmRequest::default()
    };

    let opened = stranger.holds().open(open(&scene.started, "call", "US13")).await;
    assert_eq!(opened.unwrap_err().code(), Code::PermissionDenied);
    let confirmed = stranger.tasks().confirm(confirm.clone()).await;
    assert_eq!(confirmed.unwrap_err().code(), Code::PermissionDenied);

    // Its own enforcer may do both.
    scene.held("call", "US13").await;
    scene.edge.tasks().confirm(confirm).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_enforcer_says_of_a_task_must_be_what_the_task_says() {
    let scene = Asking::set().await;
    let request = || open(&scene.started, "call", "US13");
    let lies = [
        OpenRequest {
            action: Some(action(&request(), "spiffe://acme.example/agent/other", "alice")),
            ..request()
        },
        OpenRequest {
            action: Some(action(&request(), &scene.task.agent, "bob")),
            ..request()
        },
        OpenRequest {
            action: Some(passed_on(&request())),
            ..request()
        },
        OpenRequest {
            intent: "a gift".to_owned(),
            ..request()
        },
        OpenRequest {
            environment: "staging".to_owned(),
            ..request()
        },
    ];
    for lie in lies {
        let refused = scene.edge.holds().open(lie).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    }
}

/// The same action, by and for others.
fn action(request: &OpenRequest, agent: &str, user: &str) -> HeldAction {
    let mut identity = ActionIdentity::try_from(request.action.clone().unwrap()).unwrap();
    identity.agent = agent.parse().unwrap();
    user.clone_into(&mut identity.user);
    (&identity).into()
}

/// The same action, as if another agent had passed the grant on.
fn passed_on(request: &OpenRequest) -> HeldAction {
    let mut identity = ActionIdentity::try_from(request.action.clone().unwrap()).unwrap();
    identity.delegated_by = vec!["spiffe://acme.example/agent/other".parse().unwrap()];
    (&identity).into()
}
