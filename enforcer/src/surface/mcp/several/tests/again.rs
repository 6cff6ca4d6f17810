//! A server that begins again.

use super::*;

#[tokio::test]
async fn a_server_that_begins_again_has_its_tools_again_and_what_it_was_asked_before_is_lost() {
    let mut scene = Scene::set();
    scene.begins().await;
    let look = json!({"name": "bank__look", "arguments": {}});
    scene.asks(1, "tools/call", look.clone()).await;
    scene.answers(0, tools()).await;
    let made = scene.heard(0).await;
    assert_eq!(made["params"]["name"], "look");
    scene.several.lose(0).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(scene.told().await);
    }
    let lost = told.iter().find(|told| told["id"] == 1).unwrap();
    let words = lost["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        words.contains("nobody knows whether the call was made"),
        "{words}"
    );
    scene.asks(2, "tools/call", look.clone()).await;
    let told = scene.told().await;
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("`bank` has ended"),
        "{told}"
    );

    // It is greeted as the others were before anything else is said to it.
    let greeting = scene.several.regain(0, false).unwrap();
    let greeting: Value = serde_json::from_str(&greeting).unwrap();
    assert_eq!(greeting["protocolVersion"], "2025-11-25");
    assert!(scene.several.parts[0].is_away());
    assert_eq!(scene.several.regain(0, true), None);
    // What it answers to what it was asked in its life before is nobody's.
    let late = json!({"jsonrpc": "2.0", "id": made["id"], "result": {"content": []}});
    scene.server_says(0, late).await;
    scene.asks(3, "tools/call", look).await;
    assert_eq!(
        scene.answers(0, tools()).await["method"],
        "tools/list",
        "it may define others"
    );
    assert_eq!(
        scene.answers(0, json!({"content": []})).await["params"]["name"],
        "look"
    );
    let told = scene.told().await;
    assert_eq!(
        (&told["id"], &told["result"]),
        (&json!(3), &json!({"content": []}))
    );
    assert!(scene.is_quiet(), "and the first call was not made again");
}

#[tokio::test]
async fn a_tool_that_is_another_one_when_its_server_begins_again_is_denied() {
    let mut scene = Scene::set();
    scene.begins().await;
    let look = json!({"name": "bank__look", "arguments": {}});
    scene.asks(1, "tools/call", look.clone()).await;
    scene.answers(0, tools()).await;
    scene.answers(0, json!({"content": []})).await;
    assert!(scene.told().await["result"].is_object());
    scene.several.lose(0).await;
    for _ in 0..3 {
        scene.told().await;
    }
    assert_eq!(scene.several.regain(0, true), None);
    scene.asks(2, "tools/call", look).await;
    let other = tools().to_string().replace("account", "password");
    scene.answers(0, serde_json::from_str(&other).unwrap()).await;
    let told = scene.told().await;
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["cause"], "unknown_tool",
        "{told}"
    );
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn what_a_server_asked_before_it_began_again_is_answered_to_nobody() {
    let mut scene = Scene::set();
    scene.begins().await;
    let asks = json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"});
    scene.server_says(0, asks.clone()).await;
    let before = scene.told().await["id"].clone();
    scene.several.lose(0).await;
    for _ in 0..3 {
        scene.told().await;
    }
    assert_eq!(scene.several.regain(0, true), None);
    scene.server_says(0, asks).await;
    let now = scene.told().await["id"].clone();
    assert_ne!(before, now);
    for (id, root) in [(before, "of before"), (now, "of now")] {
        scene
            .says(json!({"jsonrpc": "2.0", "id": id, "result": {"roots": [root]}}))
            .await;
    }
    assert_eq!(scene.heard(0).await["result"]["roots"], json!(["of now"]));
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn one_that_speaks_an_older_revision_than_its_client_was_told_is_not_understood() {
    let mut scene = Scene::set();
    assert!(scene.several.is_as_new("2024-11-05"), "nobody was told anything");
    scene.begins().await;
    for (revision, expected) in [
        ("2025-11-25", true),
        ("2026-01-01", true),
        ("2025-06-18", false),
        ("", false),
    ] {
        assert_eq!(scene.several.is_as_new(revision), expected, "{revision}");
    }
}

#[tokio::test]
async fn one_that_is_back_before_its_client_begins_is_greeted_with_the_others() {
    let mut scene = Scene::set();
    scene.several.lose(1).await;
    assert_eq!(scene.several.regain(1, false), None);
    scene.begins().await;
    assert!(scene.is_quiet());
}
