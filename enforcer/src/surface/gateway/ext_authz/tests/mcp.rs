//! What a client wants of an MCP server behind a gateway is decided as on stdio, and its answer is one that a model reads.

use checkrein_shared::hold::State;
use checkrein_shared::id::HoldId;

use super::*;

fn calls(scene: &Scene, tool: &str, arguments: &str) -> Sent {
    posts(
        scene,
        &format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
        ),
    )
}

fn posts(scene: &Scene, message: &str) -> Sent {
    scene
        .sends("POST", "/mcp", message)
        .routed(&[("checkrein.mcp", "bank")])
}

#[tokio::test]
async fn a_permitted_call_goes_on_and_a_denied_one_is_a_result_that_says_so() {
    let scene = Scene::set();
    scene.permits(&calls(&scene, "look", "{}")).await;
    let (denied, body) = scene
        .denies(&calls(&scene, "pay", r#"{"to":"GB29","amount":5000}"#))
        .await;
    assert_eq!(denied.status.as_ref().unwrap().code, 200);
    assert_eq!(named(&denied.headers, "content-type"), "application/json");
    assert!(!named(&denied.headers, "x-checkrein-decision-id").is_empty());
    assert_eq!(
        (&body["id"], &body["result"]["isError"]),
        (&json!(7), &json!(true))
    );
    let text = body["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("Checkrein denied this call: more than 1000 is never paid"),
        "{text}"
    );
}

#[tokio::test]
async fn a_held_call_is_told_to_be_pending() {
    let scene = Scene::set();
    let id = HoldId::new(&scene.bench.clock);
    scene.bench.authority.holds_as(id, State::Open);
    let (denied, body) = scene
        .denies(&calls(&scene, "pay", r#"{"to":"GB29","amount":500}"#))
        .await;
    assert_eq!(denied.status.as_ref().unwrap().code, 200);
    assert_eq!(named(&denied.headers, "x-checkrein-hold-id"), id.to_string());
    let decision = &body["result"]["_meta"]["checkrein/decision"];
    assert_eq!(decision["verdict"], "hold", "{body}");
}

#[tokio::test]
async fn what_passes_passes_for_agents_alone_and_what_goes_nowhere_is_refused() {
    let scene = Scene::set();
    let ping = || posts(&scene, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let stream = scene
        .sends("GET", "/mcp", "")
        .routed(&[("checkrein.mcp", "bank")]);
    let initialized = posts(
        &scene,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    );
    for passes in [ping(), stream, initialized] {
        let ok = scene.permits(&passes).await;
        assert!(ok.headers_to_remove.contains(&"checkrein-grant".to_owned()));
    }
    scene.denies(&ping().of("")).await;
    let unknown = posts(&scene, r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get"}"#);
    let (denied, body) = scene.denies(&unknown).await;
    assert_eq!(
        (denied.status.unwrap().code, &body["error"]["code"]),
        (200, &json!(-32601))
    );
    let partial = calls(&scene, "look", "{}").with("x-envoy-auth-partial-body", "true");
    for nobody in [
        posts(&scene, r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#),
        posts(&scene, r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#),
        posts(&scene, r#"{"jsonrpc":"2.0","method":"notifications/x"}"#),
        posts(&scene, ""),
        partial,
        scene
            .sends("PUT", "/mcp", "{}")
            .routed(&[("checkrein.mcp", "bank")]),
    ] {
        let (denied, body) = scene.denies(&nobody).await;
        assert_eq!(denied.status.unwrap().code, 403);
        assert_eq!(body["id"], Value::Null);
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    }
    let mismatch = calls(&scene, "look", "{}").with("mcp-name", "pay");
    let (_, body) = scene.denies(&mismatch).await;
    assert!(
        body["error"]["message"].as_str().unwrap().contains("mcp-name"),
        "{body}"
    );
}

#[tokio::test]
async fn tools_are_listed_for_whoever_has_a_grant_and_nobody_else() {
    let scene = Scene::set();
    let lists = || posts(&scene, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    scene.permits(&lists()).await;
    let (denied, body) = scene.denies(&lists().without("checkrein-grant")).await;
    assert_eq!(denied.status.unwrap().code, 200);
    assert_eq!(body["result"]["tools"], json!([]));
    let resources = posts(&scene, r#"{"jsonrpc":"2.0","id":1,"method":"resources/list"}"#);
    let (_, body) = scene.denies(&resources).await;
    assert_eq!(body["result"]["resources"], json!([]), "the catalog has none");
}

#[tokio::test]
async fn without_an_agent_a_call_is_refused_in_words() {
    let scene = Scene::set();
    let (denied, body) = scene.denies(&calls(&scene, "look", "{}").of("")).await;
    assert_eq!(denied.status.unwrap().code, 200);
    let words = body["error"]["message"].as_str().unwrap();
    assert!(words.contains("does not say which agent"), "{body}");
}
