//! The same over stdio: the enforcer speaks what its client speaks, and writes down what such a server has.

use std::path::PathBuf;

use checkrein_tests::installed;
use serde_json::json;

use super::{TOOLS, client, deals, pack};
use crate::flows::mcp::skeleton::wrote;
use crate::flows::mcp::{Client, Scene, everything, is_denied, node, peer, server, text};

/// A server that knows no handshake.
pub(super) fn command() -> Vec<PathBuf> {
    let script = peer("stateless-server.mjs");
    vec![node(), script, installed("peers/mcp").unwrap(), "stdio".into()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_handshake_calls_is_asked_denied_held_and_cancels_over_stdio() {
    let place = tempfile::tempdir().unwrap();
    let (is_written, said) = wrote("modern", place.path(), &command()).await;
    assert!(is_written && said.contains("5 tools"), "{said}");
    let catalog = std::fs::read_to_string(place.path().join("modern.json")).unwrap();
    let scene = Scene::set(&pack(&catalog), &TOOLS).await;
    let mut client = Client::run(client(), &scene.wrapping("modern", 50, &command())).await;
    deals(&scene, &mut client).await;
    client.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_finds_a_server_with_a_handshake_goes_back_to_it() {
    let scene = Scene::set(&everything(), &["everything/*"]).await;
    let command = scene.wrapping("everything", 0, &server("everything", "stdio"));
    let mut program = client();
    program.env("CLIENT_ERA", "auto");
    let mut client = Client::run(program, &command).await;
    let told = client.calls("echo", json!({"message": "hello"})).await;
    assert_eq!(text(&told), "Echo: hello");
    is_denied(&client.calls("get-env", json!({})).await, "forbidden");
    client.ends().await;
}
