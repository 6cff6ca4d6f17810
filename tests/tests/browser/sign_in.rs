//! People get in, and out again.

use serde_json::json;

use super::scene::Scene;
use super::story::Story;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_one_browser_in_once_and_signing_out_ends_it() {
    let scene = Scene::set().await;
    let given = json!({ "console": scene.world.console(0), "link": scene.link("bob").await });
    let mut story = Story::begin("sign_in", &given).await;
    assert_eq!(story.saw("outside").await["at"], "/sign-in");
    let inside = story.saw("inside").await;
    // The link does not stay in the address, and no script can read the session.
    assert_eq!(inside["address"], format!("{}/", scene.world.console(0)));
    assert_eq!(inside["httpOnly"], true);
    assert_ne!(inside["sameSite"], "None");
    let refused = story.saw("used before").await;
    assert!(
        refused["says"].as_str().unwrap().contains("used before"),
        "{refused}"
    );
    assert_eq!(story.saw("left").await["cookies"], 0);
    story.end_but_for(&[401]).await;
}
