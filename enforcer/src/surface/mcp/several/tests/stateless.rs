//! Requests that need no session, before several servers.

use super::*;
use crate::surface::mcp::answers::UNKNOWN_REVISION;
use crate::surface::mcp::stateless::{REVISION, SAYS_CAPABILITIES, SAYS_REVISION};

const TASKS: &str = "io.modelcontextprotocol/tasks";

/// Parameters, with what such a request says of itself.
pub(super) fn said(mut params: Value) -> Value {
    params["_meta"] = json!({ SAYS_REVISION: REVISION, SAYS_CAPABILITIES: {} });
    params
}

pub(super) fn discovered() -> Value {
    json!({"resultType": "complete", "supportedVersions": [REVISION], "capabilities": {"tools": {}}, "ttlMs": 1000, "cacheScope": "public"})
}

impl Scene {
    /// A server does not know what it is asked next; says what that was.
    async fn does_not_know(&mut self, at: usize) -> Value {
        let asked = self.heard(at).await;
        let error = json!({"code": UNKNOWN_METHOD, "message": "unknown"});
        self.server_says(at, json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}))
            .await;
        asked
    }

    /// Both speak it, and the client knows.
    async fn discovered() -> Self {
        let mut scene = Self::speaking(None);
        scene.discovers().await;
        scene
    }

    pub(super) async fn discovers(&mut self) {
        self.asks(1, "server/discover", said(json!({}))).await;
        for at in [0, 1] {
            self.answers(at, discovered()).await;
        }
        let told = self.told().await;
        assert_eq!(told["result"]["supportedVersions"], json!([REVISION]), "{told}");
        assert!(
            told["result"]["capabilities"]["extensions"][TASKS].is_object(),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_client_without_a_handshake_lists_calls_and_is_denied() {
    let mut scene = Scene::discovered().await;
    scene.asks(2, "tools/list", said(json!({}))).await;
    for at in [0, 1] {
        assert_eq!(scene.answers(at, tools()).await["method"], "tools/list");
    }
    let told = scene.told().await;
    let names: Vec<&Value> = told["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert_eq!(names, ["bank__look", "bank__pay"], "the catalog knows no shop");

    let look = json!({"name": "bank__look", "arguments": {}});
    scene.asks(3, "tools/call", said(look)).await;
    let made = scene.answers(0, json!({"content": []})).await;
    assert_eq!(made["params"]["name"], "look");
    assert_eq!(scene.told().await["result"]["resultType"], "complete");

    for (call, cause) in [
        (
            json!({"name": "bank__pay", "arguments": {"to": "GB29", "amount": 5000}}),
            "forbidden",
        ),
        (json!({"name": "shop__look", "arguments": {}}), "unknown_tool"),
    ] {
        scene.asks(4, "tools/call", said(call)).await;
        let told = scene.told().await;
        assert_eq!(
            told["result"]["_meta"]["checkrein/decision"]["cause"], cause,
            "{told}"
        );
    }
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn a_call_that_waits_is_a_task_of_its_server() {
    let mut scene = Scene::discovered().await;
    scene.bench.hold();
    let takes = json!({"extensions": {TASKS: {}}});
    let params = |mut params: Value| {
        params["_meta"] = json!({ SAYS_REVISION: REVISION, SAYS_CAPABILITIES: takes });
        params
    };
    let pay = json!({"name": "bank__pay", "arguments": {"to": "GB29", "amount": 500}});
    scene.asks(2, "tools/call", params(pay)).await;
    scene.answers(0, tools()).await;
    let told = scene.told().await;
    let name = told["result"]["taskId"]
        .as_str()
        .unwrap_or_else(|| panic!("{told}"));
    assert!(name.starts_with("bank__"), "{name}");
    for (asked, is_known) in [(name, true), (&*name.replace("bank__", "shop__"), false)] {
        scene
            .asks(3, "tasks/get", params(json!({ "taskId": asked })))
            .await;
        let told = scene.told().await;
        assert_eq!(told["result"]["status"] == "working", is_known, "{told}");
        assert_eq!(told["error"]["code"] == INVALID_PARAMS, !is_known, "{told}");
    }
    assert!(scene.is_quiet(), "nobody has agreed");
}

#[tokio::test]
async fn where_one_server_has_only_a_handshake_a_client_that_asks_goes_back_to_it() {
    let mut scene = Scene::speaking(None);
    scene.asks(1, "server/discover", said(json!({}))).await;
    scene.answers(0, discovered()).await;
    scene.does_not_know(1).await;
    let told = scene.told().await;
    assert_eq!(told["error"]["code"], UNKNOWN_METHOD, "{told}");
    let words = told["error"]["message"].as_str().unwrap();
    assert!(
        words.contains("shop") && words.contains("initialize") && !words.contains("bank"),
        "{words}"
    );

    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
    scene.asks(2, "initialize", hello).await;
    for at in [0, 1] {
        let one = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}});
        assert_eq!(scene.answers(at, one).await["method"], "initialize");
    }
    assert_eq!(scene.told().await["result"]["protocolVersion"], "2025-11-25");
    scene.asks(3, "tools/list", json!({})).await;
    for at in [0, 1] {
        scene.answers(at, tools()).await;
    }
    assert_eq!(scene.told().await["result"]["tools"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_speak_what_its_client_speaks_is_asked_nothing_of_it() {
    let mut scene = Scene::speaking(None);
    scene.asks(1, "tools/list", said(json!({}))).await;
    assert_eq!(scene.does_not_know(1).await["method"], "server/discover");
    assert_eq!(scene.answers(0, discovered()).await["method"], "server/discover");
    scene.answers(0, tools()).await;
    let told = scene.told().await;
    assert_eq!(told["result"]["tools"].as_array().unwrap().len(), 2, "{told}");
    scene
        .asks(
            2,
            "tools/call",
            said(json!({"name": "shop__look", "arguments": {}})),
        )
        .await;
    assert_eq!(scene.told().await["error"]["code"], INTERNAL);
    assert!(scene.is_quiet());

    // And the other way round.
    let mut scene = Scene::speaking(None);
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
    scene.asks(1, "initialize", hello).await;
    let one = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}});
    scene.answers(0, one).await;
    scene.does_not_know(1).await;
    assert!(scene.told().await["result"].is_object());
    scene.asks(2, "tools/list", json!({})).await;
    scene.answers(0, tools()).await;
    assert_eq!(scene.told().await["result"]["tools"].as_array().unwrap().len(), 2);
    scene
        .asks(3, "tools/call", json!({"name": "shop__look", "arguments": {}}))
        .await;
    assert_eq!(scene.told().await["error"]["code"], INTERNAL);
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn a_call_asks_first_what_its_server_speaks() {
    let mut scene = Scene::speaking(None);
    let look = json!({"name": "bank__look", "arguments": {}});
    scene.asks(1, "tools/call", said(look)).await;
    assert_eq!(scene.answers(0, discovered()).await["method"], "server/discover");
    assert_eq!(scene.answers(0, tools()).await["method"], "tools/list");
    assert_eq!(
        scene.answers(0, json!({"content": []})).await["params"]["name"],
        "look"
    );
    assert_eq!(scene.told().await["id"], 1);

    // A server that ends instead of an answer has been asked for nothing.
    let shop = json!({"name": "shop__look", "arguments": {}});
    scene.asks(2, "tools/call", said(shop)).await;
    assert_eq!(scene.heard(1).await["method"], "server/discover");
    scene.several.lose(1).await;
    assert_eq!(scene.told().await["error"]["code"], INTERNAL);
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn what_is_of_no_revision_that_is_spoken_reaches_no_server() {
    let mut scene = Scene::discovered().await;
    let call = json!({"name": "bank__look", "arguments": {}});
    let mut future = said(call.clone());
    future["_meta"][SAYS_REVISION] = json!("2031-01-01");
    let mut silent = said(call.clone());
    silent["_meta"] = json!({ SAYS_REVISION: REVISION });
    for (params, code) in [
        (call, INVALID_PARAMS),
        (silent, INVALID_PARAMS),
        (future, UNKNOWN_REVISION),
    ] {
        scene.asks(2, "tools/call", params).await;
        let told = scene.told().await;
        assert_eq!(
            (&told["id"], &told["error"]["code"]),
            (&json!(2), &json!(code)),
            "{told}"
        );
    }
    assert!(scene.is_quiet());
    assert!(scene.bench.records().is_empty());
}

#[tokio::test]
async fn where_no_handshake_is_spoken_those_that_do_without_are_what_there_is() {
    let only = (Some(Era::Stateless), None);
    let mut scene = Scene::with(Bench::new(), only, ["bank", "shop"]);
    scene.asks(1, "server/discover", said(json!({}))).await;
    scene.answers(0, discovered()).await;
    scene.does_not_know(1).await;
    assert_eq!(
        scene.told().await["result"]["supportedVersions"],
        json!([REVISION])
    );
    for (id, method, params) in [(2, "initialize", json!({})), (3, "tools/list", json!({}))] {
        scene.asks(id, method, params).await;
        assert_eq!(scene.told().await["error"]["code"], INVALID_PARAMS, "{method}");
    }
    scene.asks(4, "initialize", said(json!({}))).await;
    assert_eq!(scene.told().await["error"]["code"], UNKNOWN_METHOD);
    scene
        .asks(
            5,
            "tools/call",
            said(json!({"name": "shop__look", "arguments": {}})),
        )
        .await;
    assert_eq!(scene.told().await["error"]["code"], INTERNAL);
    assert!(scene.is_quiet());
}
