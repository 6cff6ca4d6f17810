//! Every page that the navigation leads to.

use serde_json::{Value, json};

use super::scene::Scene;
use super::story::Story;

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_the_navigation_and_what_it_lists_is_in_order_by_day_by_night_and_on_a_phone() {
    let scene = Scene::set().await;
    let (hold, asked) = scene.pays("first", r#"{"recipient":"US13","amount":500}"#).await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    asked.done().await;
    let (waits, _asked) = scene.pays("second", r#"{"recipient":"DE89","amount":10}"#).await;

    let given = json!({ "console": scene.world.console(0), "link": scene.link_of(&scene.operator).await });
    let mut story = Story::begin("places", &given).await;
    let said = story.saw("walked").await;
    let walked: Vec<&str> = said["walked"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let page = format!("/holds/{}", waits.hold_id);
    for path in ["/", "/approvals", &page] {
        assert!(walked.contains(&path), "{path} is not in {walked:?}");
    }
    story.end().await;
}
