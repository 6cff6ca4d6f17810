//! Streams over HTTP that tell of changes, that a server cuts, and what goes on when nobody can be asked.

use serde_json::json;

use crate::flows::mcp::conformance::{pack, server};
use crate::flows::mcp::door::Door;
use crate::flows::mcp::stateless::{REVISION, asked, client, posts};
use crate::flows::mcp::{AGENT, Client, Scene, cause, is_denied, text};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_listen_is_told_of_changes_until_its_task_has_ended_and_nobody_else_is() {
    let (_server, upstream) = server().await;
    let scene = Scene::set(&pack().await, &["suite/*"]).await;
    let door = Door::open(&scene, ("suite", &upstream), 0, &[]).await;
    let mut client = Client::run(client(), &[door.url.clone().into()]).await;
    let known = client.tools().await;
    let filter = json!({"toolsListChanged": true});
    let told = client.does(json!({"do": "listen", "filter": filter})).await;
    assert_eq!(told["result"]["toolsListChanged"], true, "{told}");
    let told = client.calls("test_trigger_tool_change", json!({})).await;
    assert_eq!(text(&told), "tools have changed");
    let told = client.does(json!({"do": "heard"})).await;
    assert_eq!(told["result"]["heard"], "tools", "{told}");
    assert_eq!(
        client.tools().await,
        known,
        "the catalog does not know the new one"
    );

    let tools = ["suite/test_simple_text"];
    let other = scene.operator.start("alice", AGENT, &tools, &[]).await.unwrap();
    let headers = [
        ("MCP-Protocol-Version", REVISION),
        ("Mcp-Method", "subscriptions/listen"),
        ("Checkrein-Grant", other.grant.as_str()),
    ];
    let listens = asked(
        "subscriptions/listen",
        r#""notifications":{"toolsListChanged":true}"#,
    );
    let (_, told) = posts(&door.url, &headers, &listens).await;
    assert_eq!(told["error"]["code"], -31001, "{told}");
    assert_eq!(told["error"]["data"]["cause"], "out_of_scope", "{told}");

    scene.operator.end(&scene.task).await.unwrap();
    let told = client.does(json!({"do": "closed"})).await;
    assert!(told["result"]["closed"].is_string(), "{told}");
    client.ends().await;
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_stream_the_server_closes_on_the_way_is_answered_all_the_same() {
    let (_server, upstream) = server().await;
    let scene = Scene::set(&pack().await, &["suite/*"]).await;
    let door = Door::open(&scene, ("suite", &upstream), 0, &[]).await;
    let mut client = Client::start(&[door.url.clone().into()]).await;
    for _ in 0..3 {
        let told = client.calls("test_reconnection", json!({})).await;
        assert_eq!(text(&told), "still here");
    }
    client.ends().await;
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_plane_what_only_reads_goes_on_and_the_irreversible_is_denied_in_both_eras() {
    let (_server, upstream) = server().await;
    let mut scene = Scene::set(&pack().await, &["suite/*"]).await;
    let door = Door::open(&scene, ("suite", &upstream), 0, &[]).await;
    let mut old = Client::start(&[door.url.clone().into()]).await;
    let mut new = Client::run(client(), &[door.url.clone().into()]).await;
    for client in [&mut old, &mut new] {
        let told = client.calls("test_simple_text", json!({})).await;
        assert_eq!(text(&told), "text");
    }
    scene.world.stop_replica(0).await;
    for client in [&mut old, &mut new] {
        is_denied(
            &client.calls("test_simple_text", json!({})).await,
            "control_plane_unreachable",
        );
        let told = client
            .asks("resources/read", json!({"uri": "test://static-text"}))
            .await;
        assert_eq!(told["result"]["contents"][0]["text"], "text", "{told}");
        assert!(cause(&told).is_null());
    }
    old.ends().await;
    new.ends().await;
    door.stop().await;
}
