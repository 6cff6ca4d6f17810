//! People sign in with whoever their organisation signs in with: a real provider, by its own page.

use checkrein_control_plane::config::OidcSettings;
use checkrein_tests::{Provider, World, WorldOptions};
use serde_json::json;

use super::scene::Scene;
use super::story::Story;

const SECRET: &str = "not-a-secret:-it-opens-a-test";

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_organisation_signs_in_is_back_where_they_wanted_to_be_and_answers_there() {
    let mut provider = Provider::start().await.unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), SECRET).unwrap();
    let options = WorldOptions {
        oidc: OidcSettings {
            issuer: Some(provider.url.clone()),
            audience: Some("checkrein".to_owned()),
            operators: vec!["ops".to_owned()],
            approvers: vec!["risk".to_owned()],
            client_id: Some("console".to_owned()),
            client_secret: Some(secret.path().to_owned()),
            ..OidcSettings::default()
        },
        ..WorldOptions::default()
    };
    let scene = Scene::set_in(World::with(options).await.unwrap()).await;
    let console = scene.world.console(0);
    provider.know(&console, SECRET).await.unwrap();
    let (hold, asked) = scene.pays("call", r#"{"recipient":"US13","amount":500}"#).await;

    let given = json!({ "console": console, "hold": hold.hold_id });
    let mut story = Story::begin("issuer", &given).await;
    let inside = story.saw("inside").await;
    // Asked by the provider's own page, and by nobody else; of the way there nothing is kept.
    assert!(
        inside["at"].as_str().unwrap().starts_with(&provider.url),
        "{inside}"
    );
    assert_eq!(inside["address"], format!("{console}/approvals"));
    let kept = json!([{ "name": "checkrein", "httpOnly": true, "sameSite": "Lax" }]);
    assert_eq!(inside["kept"], kept);
    story.saw("approved").await;
    asked.done().await;
    let votes = scene.hold(&hold.hold_id).await.votes;
    assert_eq!(votes.len(), 1, "{votes:?}");
    assert_eq!(votes[0].approver, "spiffe://acme.example/approver/bob");
    let refused = story.saw("not known").await;
    let says = refused["says"].as_str().unwrap();
    assert!(says.contains("lists none of the groups"), "{says}");
    story.saw("left").await;
    story.end_but_for(&[403]).await;
}
