//! Several servers that are written here, one client, and a real gate between them.

mod again;
mod stateless;
mod subscribed;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::fixture::Bench;
use crate::surface::mcp::forms::Forms;
use crate::surface::mcp::grant::GrantSource;
use crate::surface::mcp::held::HeldCalls;
use crate::surface::mcp::session::Terms;

const TOOLS: &str = r#"[{"name":"look","inputSchema":{"type":"object","properties":{"account":{"type":"string"}}}},{"name":"pay","inputSchema":{"type":"object","properties":{"to":{"type":"string"},"amount":{"type":"integer"}},"required":["to","amount"]}}]"#;

struct Scene {
    bench: Bench,
    several: Arc<Several>,
    client: mpsc::Receiver<ToClient>,
    servers: Vec<mpsc::Receiver<String>>,
}

impl Scene {
    /// The server that the catalog knows, and one that it does not.
    fn set() -> Self {
        Self::speaking(Some(Era::Handshake))
    }

    /// The same where this is spoken, or what the client says.
    fn speaking(era: Option<Era>) -> Self {
        Self::with(Bench::new(), (era, era), ["bank", "shop"])
    }

    /// Two servers that the catalog calls so.
    fn with(bench: Bench, (era, believed): (Option<Era>, Option<Era>), called: [&str; 2]) -> Self {
        let spoken = Arc::new(Spoken::new(era));
        let (to_client, client) = mpsc::channel(64);
        let (mut parts, mut servers, mut queues) = (Vec::new(), Vec::new(), Vec::new());
        for (name, called) in ["bank", "shop"].into_iter().zip(called) {
            let (to_us, queue) = mpsc::channel(64);
            let (to_server, server) = mpsc::channel(64);
            let terms = Terms {
                gate: bench.gate.clone(),
                name: called.parse().unwrap(),
                era,
                grant: GrantSource::Given(bench.grant()),
                patience: Duration::ZERO,
                definitions: Arc::default(),
                held: Arc::new(HeldCalls::new(name)),
                forms: Forms::of(bench.gate.clock(), None),
            };
            let session = Session::new(terms, (to_us, to_server), name);
            let session = Arc::new(session.speaking(Arc::clone(&spoken)));
            parts.push((name.parse().unwrap(), session));
            servers.push(server);
            queues.push(queue);
        }
        let several = Arc::new(Several::new(parts, (spoken, believed), to_client, "tag"));
        for (at, queue) in queues.into_iter().enumerate() {
            tokio::spawn(Arc::clone(&several).bring(at, queue));
        }
        Self {
            bench,
            several,
            client,
            servers,
        }
    }

    async fn says(&self, line: Value) {
        let line = Line::Text(line.to_string());
        self.several.client_said(line, Brought::default()).await;
    }

    async fn asks(&self, id: u32, method: &str, params: Value) {
        self.says(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
    }

    async fn told(&mut self) -> Value {
        let told = timeout(Duration::from_secs(30), self.client.recv()).await;
        serde_json::from_str(&told.unwrap().unwrap().line).unwrap()
    }

    async fn heard(&mut self, at: usize) -> Value {
        let line = timeout(Duration::from_secs(30), self.servers[at].recv()).await;
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }

    async fn server_says(&self, at: usize, line: Value) {
        let session = &self.several.parts[at].session;
        session.server_said(Line::Text(line.to_string()), None).await;
    }

    /// A server answers what it is asked next; says what that was.
    async fn answers(&mut self, at: usize, result: Value) -> Value {
        let asked = self.heard(at).await;
        let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": result});
        self.server_says(at, answer).await;
        asked
    }

    /// With a handshake.
    async fn begins(&mut self) {
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        self.asks(0, "initialize", hello).await;
        for at in [0, 1] {
            self.answers(at, greeted("2025-11-25")).await;
        }
        assert_eq!(self.told().await["result"]["protocolVersion"], "2025-11-25");
    }

    fn is_quiet(&mut self) -> bool {
        self.servers.iter_mut().all(|server| server.try_recv().is_err())
    }
}

/// What a server says to `initialize`.
fn greeted(revision: &str) -> Value {
    json!({"protocolVersion": revision, "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}})
}

fn tools() -> Value {
    json!({ "tools": serde_json::from_str::<Value>(TOOLS).unwrap() })
}

#[tokio::test]
async fn a_client_is_told_of_one_server_that_can_what_any_of_them_can() {
    let mut scene = Scene::set();
    scene
        .asks(
            1,
            "initialize",
            json!({"protocolVersion": "2025-11-25", "capabilities": {}}),
        )
        .await;
    let bank = json!({"protocolVersion": "2025-11-25", "serverInfo": {"name": "b", "version": "1"},
        "capabilities": {"tools": {"listChanged": false}, "tasks": {}}, "instructions": "Count twice."});
    let shop = json!({"protocolVersion": "2025-06-18", "serverInfo": {"name": "s", "version": "1"},
        "capabilities": {"tools": {"listChanged": true}, "resources": {}}});
    scene.answers(0, bank).await;
    scene.answers(1, shop).await;
    let told = scene.told().await;
    assert_eq!(told["id"], 1);
    let told = &told["result"];
    assert_eq!(told["protocolVersion"], "2025-06-18", "which all of them speak");
    assert_eq!(
        told["capabilities"],
        json!({"tools": {"listChanged": true}, "resources": {}})
    );
    let words = told["instructions"].as_str().unwrap();
    assert!(
        words.contains("bank__") && words.contains("Count twice."),
        "{words}"
    );
}

#[tokio::test]
async fn what_is_offered_has_its_servers_name_and_goes_to_that_server_alone() {
    let mut scene = Scene::set();
    scene.asks(1, "tools/list", json!({})).await;
    scene.answers(0, tools()).await;
    scene.answers(1, tools()).await;
    let told = scene.told().await;
    let shown: Vec<&str> = told["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(shown, ["bank__look", "bank__pay"], "the catalog knows no shop");

    scene
        .asks(2, "tools/call", json!({"name": "bank__look", "arguments": {}}))
        .await;
    let made = scene.answers(0, json!({"content": []})).await;
    assert_eq!(made["params"]["name"], "look");
    assert_eq!(
        scene.told().await,
        json!({"jsonrpc": "2.0", "id": 2, "result": {"content": []}})
    );

    scene
        .asks(3, "tools/call", json!({"name": "shop__look", "arguments": {}}))
        .await;
    let told = scene.told().await;
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["cause"], "unknown_tool",
        "{told}"
    );
    for name in ["look", "bank_look", "other__look", "__look", ""] {
        scene
            .asks(4, "tools/call", json!({"name": name, "arguments": {}}))
            .await;
        assert_eq!(scene.told().await["error"]["code"], INVALID_PARAMS, "{name}");
    }
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn a_call_that_the_rules_deny_reaches_no_server() {
    let mut scene = Scene::set();
    let pay = json!({"name": "bank__pay", "arguments": {"to": "GB29", "amount": 5000}});
    scene.asks(1, "tools/call", pay).await;
    scene.answers(0, tools()).await;
    let told = scene.told().await;
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["cause"], "forbidden",
        "{told}"
    );
    assert!(scene.is_quiet());
    assert!(!scene.bench.records().is_empty());
}

#[tokio::test]
async fn what_servers_ask_finds_back_to_whoever_asked() {
    let mut scene = Scene::set();
    let asks = json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"});
    let mut ids = Vec::new();
    for at in [0, 1] {
        scene.server_says(at, asks.clone()).await;
        let asked = scene.told().await;
        assert_eq!(asked["method"], "roots/list");
        ids.push(asked["id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    for (at, root) in [(1, "of the shop"), (0, "of the bank")] {
        scene
            .says(json!({"jsonrpc": "2.0", "id": ids[at], "result": {"roots": [root]}}))
            .await;
        let heard = scene.heard(at).await;
        assert_eq!(
            heard,
            json!({"jsonrpc": "2.0", "id": 1, "result": {"roots": [root]}})
        );
    }
    scene
        .says(json!({"jsonrpc": "2.0", "id": "7:1", "result": {}}))
        .await;
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn a_resource_is_its_servers_and_one_that_two_offer_is_nobodys() {
    let mut scene = Scene::set();
    let uri = |uri: &str| json!({ "uri": uri });
    for (asked, first, second, expected) in [
        ("a://1", "a://1", "b://1", None),
        ("b://1", "a://1", "b://1", None),
        ("c://1", "a://1", "b://1", Some("no server here offers")),
        ("a://1", "a://1", "a://1", Some("offered by bank and shop")),
    ] {
        scene.several.parts.iter().for_each(|part| part.owned.forget());
        scene.asks(1, "resources/read", uri(asked)).await;
        for (at, listed) in [(0, first), (1, second)] {
            let listed = json!({ "resources": [uri(listed)] });
            assert_eq!(scene.answers(at, listed).await["method"], "resources/list");
            let templates = json!({ "resourceTemplates": [] });
            assert_eq!(
                scene.answers(at, templates).await["method"],
                "resources/templates/list"
            );
        }
        let told = scene.told().await;
        match expected {
            // Decided, and not in the catalog.
            None => assert_eq!(told["error"]["data"]["cause"], "unknown_tool", "{told}"),
            Some(words) => {
                assert!(
                    told["error"]["message"].as_str().unwrap().contains(words),
                    "{told}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_ends_takes_along_what_is_its_own() {
    let mut scene = Scene::set();
    scene.begins().await;
    scene.several.lose(1).await;
    for list in ["tools", "resources", "prompts"] {
        assert_eq!(
            scene.told().await["method"],
            format!("notifications/{list}/list_changed")
        );
    }
    scene.asks(1, "tools/list", json!({})).await;
    scene.answers(0, tools()).await;
    assert_eq!(scene.told().await["result"]["tools"].as_array().unwrap().len(), 2);
    scene
        .asks(2, "tools/call", json!({"name": "shop__look", "arguments": {}}))
        .await;
    assert_eq!(scene.told().await["error"]["code"], INTERNAL);
}

#[tokio::test]
async fn what_is_given_up_is_given_up_at_every_server_that_was_asked() {
    let mut scene = Scene::set();
    scene.asks(1, "tools/list", json!({})).await;
    let asked = [scene.heard(0).await, scene.heard(1).await];
    scene
        .says(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    for (at, asked) in asked.iter().enumerate() {
        let told = scene.heard(at).await;
        assert_eq!(told["params"]["requestId"], asked["id"]);
    }
    assert!(scene.several.state().asked.is_empty());
    while scene.several.is_in_use(&Id::Number(1)) {
        tokio::task::yield_now().await;
    }
    scene.asks(1, "ping", json!({})).await;
    assert_eq!(scene.told().await["result"], json!({}), "and the id is free");
}

#[test]
fn names_have_one_reading() {
    for (name, is_apart) in [
        ("files", true),
        ("a-b_c", true),
        ("a__b", false),
        ("a_", false),
        ("_a", true),
    ] {
        assert_eq!(name.parse::<ServerName>().unwrap().is_apart(), is_apart, "{name}");
    }
}
