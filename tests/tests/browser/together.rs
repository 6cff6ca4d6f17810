//! Answers for more than one: like things together, and the same again.

use checkrein_proto::hold::v1::{ListStandingRequest, Standing, StandingState, State};
use serde_json::{Value, json};

use super::scene::{PAY, Scene};
use super::story::Story;

const ALIKE: &str = r#"{"recipient":"US133000000121212121212","amount":10}"#;

#[tokio::test(flavor = "multi_thread")]
async fn like_things_are_read_once_and_only_those_that_are_ticked_are_answered() {
    let scene = Scene::set().await;
    let mut asked = Vec::new();
    for call in ["first", "second", "third"] {
        asked.push(scene.another_pays(call, ALIKE).await);
    }
    let left = &asked[2].0.hold_id;
    let given = json!({ "link": scene.link("bob").await, "tool": PAY, "left": left });
    let mut story = Story::begin("together", &given).await;
    assert_eq!(story.saw("answered").await["ticked"], 3);
    story.end().await;
    assert_eq!(scene.hold(left).await.state(), State::Open);
    for (_, asked) in asked.into_iter().take(2) {
        asked.done().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_is_allowed_in_the_bounds_of_the_page_and_taken_back_on_another() {
    let scene = Scene::set().await;
    let (hold, asked) = scene.pays("first", r#"{"recipient":"US13","amount":500}"#).await;
    let given = json!({ "link": scene.link("bob").await, "hold": hold.hold_id });
    let mut story = Story::begin("again", &given).await;
    expect_said(&story.saw("given").await, &["amount", "400", "0 of 3"]);
    asked.done().await;

    // Within the bounds nobody is asked.
    scene
        .pays_unasked("second", r#"{"recipient":"US13","amount":399.5}"#)
        .await;
    story.tell(&json!({})).await;
    expect_said(&story.saw("used").await, &["1 of 3"]);
    assert_eq!(story.saw("revoked").await["revocable"], 0);
    story.end().await;
    let request = ListStandingRequest {
        task_id: scene.task.clone(),
        all: true,
        ..ListStandingRequest::default()
    };
    let standing = scene
        .operator
        .holds()
        .list_standing(request)
        .await
        .unwrap()
        .into_inner()
        .standing;
    let states: Vec<StandingState> = standing.iter().map(Standing::state).collect();
    assert_eq!(states, [StandingState::Ended]);
    // And now they are.
    let (_, _waits) = scene.pays("third", r#"{"recipient":"US13","amount":399}"#).await;
}

fn expect_said(said: &Value, parts: &[&str]) {
    let says = said["says"].as_str().unwrap();
    for part in parts {
        assert!(says.contains(part), "it does not say `{part}`: {says}");
    }
}
