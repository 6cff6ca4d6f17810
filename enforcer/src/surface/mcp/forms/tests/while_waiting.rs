//! A client of the revisions with sessions, whose user is shown a link while its call waits.

use checkrein_shared::key::SigningKey;

use super::*;

const TAKES: &str = r#"{"elicitation":{"form":{},"url":{}}}"#;

/// A session that has begun, with a client that takes this.
async fn begun(takes: &'static str, patience: Duration) -> (Scene, HoldId) {
    let bench = Bench::new();
    let clock = Arc::new(bench.clock.clone());
    let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let links = Links::new("https://console.example", key, clock);
    let mut scene = Scene::of(Era::Handshake, bench, takes, Some(links), patience);
    let hello = format!(r#""protocolVersion":"2025-11-25","capabilities":{takes}"#);
    scene.asks("initialize", &hello).await;
    let hello = scene.heard().await;
    scene
        .server_says(&hello, r#"{"capabilities":{"tools":{}}}"#)
        .await;
    scene.told().await;
    let hold = scene.hold();
    scene.asks("tools/call", PAY).await;
    scene.lists().await;
    (scene, hold)
}

impl Scene {
    /// What the client hears that answers nothing.
    async fn hears(&mut self) -> Value {
        let told = timeout(Duration::from_secs(30), self.client.recv()).await;
        let told = told.unwrap().unwrap();
        assert!(!told.answers, "{}", told.line);
        assert_eq!(told.about.map(|id| id.to_string()), Some(self.asked.to_string()));
        serde_json::from_str(&told.line).unwrap()
    }

    async fn client_answers(&self, to: &Value, answer: &str) {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{},{answer}}}"#, to["id"]);
        self.session
            .client_said(Line::Text(line), Brought::default())
            .await;
    }
}

#[tokio::test]
async fn whatever_its_user_says_to_the_link_the_call_waits_and_is_made_once_people_agree() {
    for answer in [
        r#""result":{"action":"accept"}"#,
        r#""result":{"action":"decline"}"#,
        r#""error":{"code":-32601,"message":"no"}"#,
    ] {
        let (mut scene, hold) = begun(TAKES, Duration::from_secs(50)).await;
        let link = scene.hears().await;
        assert_eq!(link["method"], "elicitation/create", "{link}");
        assert_eq!(
            (&link["params"]["mode"], &link["params"]["elicitationId"]),
            (&json!("url"), &json!(hold.to_string()))
        );
        assert_eq!(
            link["params"]["url"],
            format!("https://console.example/holds/{hold}")
        );
        scene.client_answers(&link, answer).await;
        // An answer is given once: another goes nowhere, as any that nobody waits for.
        scene.client_answers(&link, answer).await;
        assert!(scene.is_quiet(), "the server hears neither question nor answer");
        assert_eq!(scene.bench.authority.consumed(), 0);

        scene.answered(hold, State::Approved).await;
        let made = scene.heard().await;
        scene.server_says(&made, r#"{"content":[]}"#).await;
        let over = scene.hears().await;
        assert_eq!(
            (&over["method"], &over["params"]["elicitationId"]),
            (
                &json!("notifications/elicitation/complete"),
                &json!(hold.to_string())
            )
        );
        assert_eq!(scene.told().await["result"]["content"], json!([]));
        assert_eq!(scene.bench.authority.consumed(), 1);
    }
}

#[tokio::test]
async fn a_link_that_was_not_answered_is_taken_back_when_the_call_waits_no_more() {
    let (mut scene, hold) = begun(TAKES, Duration::from_secs(50)).await;
    let link = scene.hears().await;
    scene.answered(hold, State::Denied).await;
    let over = scene.hears().await;
    assert_eq!(
        (&over["method"], &over["params"]["requestId"]),
        (&json!("notifications/cancelled"), &link["id"])
    );
    let told = scene.told().await;
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["verdict"], "deny",
        "{told}"
    );
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn a_link_is_shown_once_for_a_call_that_waits_however_often_it_is_asked_for() {
    let (mut scene, hold) = begun(TAKES, Duration::ZERO).await;
    assert_eq!(scene.hears().await["method"], "elicitation/create");
    let told = scene.told().await;
    let words = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        words.contains(&format!("https://console.example/holds/{hold}")),
        "{words}"
    );
    scene.asks("tools/call", PAY).await;
    scene.told().await;
}

#[tokio::test]
async fn a_client_that_takes_no_links_is_asked_nothing() {
    for takes in ["{}", r#"{"elicitation":{}}"#, r#"{"elicitation":{"form":{}}}"#] {
        let (mut scene, _) = begun(takes, Duration::ZERO).await;
        let told = scene.told().await;
        assert_eq!(
            told["result"]["_meta"]["checkrein/decision"]["verdict"], "hold",
            "{told}"
        );
    }
}
