//! MCP behind Envoy: a client of an agent, and the official server.

use std::path::PathBuf;
use std::process::Stdio;

use checkrein_tests::{free_port, installed};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::Scene;
use super::agent::{Agent, Answer};
use super::envoy::listens;
use super::tap::Tap;

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

/// The server, and what it gets.
struct Server {
    tap: Tap,
    _process: Child,
}

/// A client with a session.
struct Client {
    agent: Agent,
    session: String,
}

impl Server {
    async fn start() -> Self {
        let script = "peers/mcp/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
        let script: PathBuf = installed(script).unwrap();
        let port = free_port().await.unwrap();
        let process = Command::new(installed("bin/node").unwrap())
            .arg(script)
            .arg("streamableHttp")
            .env("PORT", port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        listens(port).await;
        Self {
            tap: Tap::before(port).await,
            _process: process,
        }
    }
}

impl Client {
    async fn begins(agent: &Agent) -> Self {
        let answer = posts(agent, &[ACCEPT], &hello()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let client = Self {
            agent: agent.clone(),
            session: answer.header("mcp-session-id").to_owned(),
        };
        let answer = client.says(&initialized()).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        client
    }

    async fn says(&self, message: &Value) -> Answer {
        let headers = [ACCEPT, ("mcp-session-id", self.session.as_str())];
        posts(&self.agent, &headers, message).await
    }

    async fn calls(&self, id: u32, name: &str, arguments: Value) -> Answer {
        self.says(&json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": arguments },
        }))
        .await
    }

    /// What people look at.
    async fn sums(&self, id: u32, a: u32, b: u32) -> Answer {
        self.calls(id, "get-sum", json!({ "a": a, "b": b })).await
    }
}

async fn posts(agent: &Agent, headers: &[(&str, &str)], message: &Value) -> Answer {
    agent.sends("POST", "/mcp", headers, &message.to_string()).await
}

fn hello() -> Value {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "tests", "version": "1" },
        },
    })
}

fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

/// What a client is told in place of a result, with the words for the model.
fn told(answer: &Answer, id: u32) -> (Value, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    let result = &told["result"];
    assert_eq!(
        (&told["id"], &result["isError"]),
        (&json!(id), &json!(true)),
        "{told}"
    );
    let words = result["content"][0]["text"].as_str().unwrap();
    (result["_meta"]["checkrein/decision"].clone(), words.to_owned())
}

/// The id of the hold, of a call that waits.
fn pending(answer: &Answer, id: u32) -> String {
    let (decision, words) = told(answer, id);
    assert_eq!(
        (&decision["verdict"], &decision["groups"]),
        (&json!("hold"), &json!(["owners"]))
    );
    assert!(words.contains("waits for approval by owners") && words.contains("NOT done"));
    let hold = decision["hold_id"].as_str().unwrap();
    let (named, later) = (answer.header("x-checkrein-hold-id"), answer.header("retry-after"));
    assert_eq!((named, later), (hold, "5"));
    hold.to_owned()
}

fn is_made(answer: &Answer, sum: u32) -> bool {
    answer.status == 200
        && answer.body.contains(&format!("is {sum}."))
        && !answer.header("x-checkrein-decision-id").is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_an_mcp_server_gets_permitted_calls_and_its_client_is_told_of_the_others() {
    let server = Server::start().await;
    let scene = Scene::before(server.tap.port).await;
    let client = Client::begins(&scene.agent).await;
    let echoed = client
        .calls(2, "echo", json!({ "message": "through Envoy" }))
        .await;
    assert_eq!(echoed.status, 200);
    assert!(echoed.body.contains("through Envoy"), "{echoed:?}");
    let (decision, words) = told(&client.calls(3, "get-env", json!({})).await, 3);
    assert_eq!(decision["verdict"], "deny");
    assert!(
        words.contains("the variables of a process hold secrets"),
        "{words}"
    );
    let (unknown, _) = told(&client.calls(4, "add", json!({})).await, 4);
    assert_eq!(unknown["cause"], "unknown_tool", "{unknown}");
    let batch = client.says(&json!([initialized()])).await;
    assert_eq!(batch.status, 403);
    let got = server.tap.got();
    assert_eq!(
        (server.tap.calls("echo"), got.matches("tools/call").count()),
        (1, 1)
    );
    assert!(!got.to_lowercase().contains("checkrein-grant"), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_an_mcp_call_that_waits_goes_through_once_after_a_yes_and_never_after_a_no() {
    let server = Server::start().await;
    let scene = Scene::before(server.tap.port).await;
    let bob = scene.edge.world.approver("bob").await.unwrap();
    let client = Client::begins(&scene.agent).await;
    let first = pending(&client.sums(2, 2, 3).await, 2);
    assert_eq!(
        pending(&client.sums(3, 2, 3).await, 3),
        first,
        "the same call finds its hold"
    );
    assert_eq!(server.tap.calls("get-sum"), 0);

    bob.vote(&scene.edge.hold(&first).await, true).await.unwrap();
    // Of two that come at once, one has it.
    let (one, other) = tokio::join!(client.sums(4, 2, 3), client.sums(5, 2, 3));
    assert_ne!(is_made(&one, 5), is_made(&other, 5), "{one:?}\n{other:?}");
    assert_eq!(server.tap.calls("get-sum"), 1);
    let second = pending(&client.sums(6, 2, 3).await, 6);
    assert_ne!(second, first, "people are asked again");
    let another = pending(&client.sums(7, 4, 4).await, 7);
    assert!(
        ![&first, &second].contains(&&another),
        "another call is another hold"
    );

    bob.vote(&scene.edge.hold(&second).await, false).await.unwrap();
    for (id, b, cause) in [
        (8, 3, "denied_by_person"),
        (9, 3, "denied_before"),
        (10, 9, "denied_before"),
    ] {
        let (decision, words) = told(&client.sums(id, 2, b).await, id);
        assert_eq!(
            (&decision["verdict"], &decision["cause"]),
            (&json!("deny"), &json!(cause)),
            "{words}"
        );
        assert!(words.contains("not today"), "{words}");
    }
    assert_eq!(server.tap.calls("get-sum"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_no_message_gets_to_an_mcp_server_while_its_enforcer_is_away() {
    let server = Server::start().await;
    let scene = Scene::before(server.tap.port).await;
    let client = Client::begins(&scene.agent).await;
    let held = pending(&client.sums(2, 2, 3).await, 2);
    let bob = scene.edge.world.approver("bob").await.unwrap();
    bob.vote(&scene.edge.hold(&held).await, true).await.unwrap();

    let before = server.tap.got();
    let Scene { edge, _envoy, .. } = scene;
    let _world = edge.goes_away().await;
    let session = ("mcp-session-id", client.session.as_str());
    let answers = [
        client.calls(3, "echo", json!({ "message": "hello" })).await,
        client.sums(4, 2, 3).await,
        client.says(&initialized()).await,
        posts(&client.agent, &[ACCEPT], &hello()).await,
        client.agent.sends("GET", "/mcp", &[ACCEPT, session], "").await,
        client.agent.sends("DELETE", "/mcp", &[session], "").await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    assert_eq!(server.tap.got(), before);
}
