//! The record is looked through by whoever answers for it.

use checkrein_proto::decision::v1::SearchRequest;
use serde_json::{Value, json};

use super::scene::{PAY, Scene, until};
use super::story::Story;

fn rows(said: &Value) -> Vec<&str> {
    let rows = said["found"].as_array().unwrap();
    rows.iter().filter_map(Value::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_finds_the_decisions_that_are_like_it_and_one_leads_to_its_hold() {
    let scene = Scene::set().await;
    scene.reads().await;
    let (hold, asked) = scene
        .pays("approved", r#"{"recipient":"US13","amount":500}"#)
        .await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    asked.done().await;
    let (_waits, _asked) = scene
        .another_pays("waits", r#"{"recipient":"DE89","amount":10}"#)
        .await;
    // What was decided, read; held, released; held.
    until("recorded", async || {
        let searched = scene.operator.decisions().search(SearchRequest::default()).await;
        (searched.unwrap().into_inner().decisions.len() == 4).then_some(())
    })
    .await;

    let given = json!({ "link": scene.link_of(&scene.operator).await, "tool": PAY });
    let mut story = Story::begin("record", &given).await;
    assert_eq!(rows(&story.saw("everything").await).len(), 4);
    let found = story.saw("found").await;
    // Only the release: neither what was read, nor what was held.
    let [release] = rows(&found)[..] else {
        panic!("{found}")
    };
    assert!(release.contains("permit") && release.contains(PAY), "{release}");
    // What was asked for stands in the form and in the address, to be kept or passed on.
    assert_eq!(found["asked"], json!({ "tool": PAY, "since": "1h" }));
    assert_eq!(
        (&found["query"]["tool"], &found["query"]["verdict"]),
        (&json!(PAY), &json!("permit"))
    );
    let one = story.saw("one").await;
    let text = one["text"].as_str().unwrap();
    assert!(text.contains("US13") && text.contains("bob"), "{text}");
    assert_eq!(
        story.saw("its hold").await["at"],
        format!("/holds/{}", hold.hold_id)
    );
    let refused = story.saw("not understood").await;
    assert!(
        refused["says"]
            .as_str()
            .unwrap()
            .contains("since: expected a duration"),
        "{refused}"
    );
    story.end_but_for(&[400]).await;
}
