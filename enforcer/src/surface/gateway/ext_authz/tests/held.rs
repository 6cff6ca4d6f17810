//! What waits for people is found again, and made once.

use checkrein_shared::hold::State;
use checkrein_shared::id::HoldId;

use super::*;

#[tokio::test]
async fn a_held_request_says_so_and_the_same_one_finds_its_hold_and_once_approved_goes_on_once() {
    let scene = Scene::set();
    let id = HoldId::new(&scene.bench.clock);
    let (sender, opened) = std::sync::mpsc::channel();
    let asks = |state: State| {
        let sender = sender.clone();
        scene.bench.authority.on_open(move |ask| {
            sender.send(ask.call_id.clone()).unwrap();
            Ok(crate::control_plane::Opened::Held(crate::fixture::notice(
                id, state, ask,
            )))
        });
    };
    asks(State::Open);
    let (denied, body) = scene.denies(&scene.pays(500)).await;
    assert_eq!(denied.status.as_ref().unwrap().code, 403);
    assert_eq!(
        (&body["verdict"], &body["groups"]),
        (&json!("hold"), &json!(["treasury"]))
    );
    assert_eq!(named(&denied.headers, "x-checkrein-hold-id"), id.to_string());
    assert_eq!(named(&denied.headers, "retry-after"), "5");
    scene.denies(&scene.pays(500)).await;
    let (first, second) = (opened.recv().unwrap(), opened.recv().unwrap());
    assert_eq!(first, second, "one call");
    scene.denies(&scene.pays(501)).await;
    assert_ne!(opened.recv().unwrap(), first, "another amount is another call");

    asks(State::Approved);
    scene.bench.authority.bob_approves();
    let spelt = scene.sends("POST", "/accounts/GB29/payments", r#"{ "amount" : 500 }"#);
    scene.permits(&spelt).await;
    assert_eq!(opened.recv().unwrap(), first);
    assert_eq!(scene.bench.authority.consumed(), 1);
    asks(State::Open);
    scene.denies(&scene.pays(500)).await;
    assert_ne!(opened.recv().unwrap(), first, "people are asked again");
}

#[tokio::test]
async fn an_approval_that_can_not_be_used_up_permits_nothing() {
    let scene = Scene::set();
    let id = HoldId::new(&scene.bench.clock);
    scene.bench.authority.holds_as(id, State::Approved);
    scene
        .bench
        .authority
        .on_consume(|_| Err(crate::control_plane::AskError::NotConnected));
    let (_, body) = scene.denies(&scene.pays(500)).await;
    assert_eq!(body["verdict"], "deny", "{body}");
    scene.bench.authority.holds_as(id, State::Denied);
    let (_, body) = scene.denies(&scene.pays(500)).await;
    assert_eq!(body["verdict"], "deny", "{body}");
    assert!(scene.outcomes().is_empty());
}
