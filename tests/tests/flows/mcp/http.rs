//! The same over Streamable HTTP: a real server behind, real clients before, and whoever is not known is not heard.

mod oauth;
mod streams;

use std::path::PathBuf;
use std::process::Stdio;

use checkrein_shared::policy::PackSource;
use checkrein_tests::{WAIT_MAX, free_port};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::door::{self, Door};
use super::{Client, Scene, everything, is_denied, server, text};

/// A server over HTTP, and the enforcer before it.
struct Web {
    scene: Scene,
    server: Child,
    door: Door,
}

/// `server-everything` over Streamable HTTP; where it is.
pub(super) async fn upstream() -> (Child, String) {
    let port = free_port().await.unwrap();
    let command = server("everything", "streamableHttp");
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = async {
        while let Some(line) = said.next_line().await.unwrap() {
            if line.contains(&format!("listening on port {port}")) {
                break;
            }
        }
    };
    timeout(WAIT_MAX, ready).await.unwrap();
    // So that it may go on writing.
    tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
    (child, format!("http://127.0.0.1:{port}/mcp"))
}

impl Web {
    async fn open(tools: &[&str], wait_s: u32) -> Self {
        Self::open_with(&everything(), tools, wait_s, "").await
    }

    /// The same under this pack, with more in the enforcer's configuration.
    async fn open_with(pack: &PackSource, tools: &[&str], wait_s: u32, more: &str) -> Self {
        let scene = Scene::set(pack, tools).await;
        let config = std::fs::read_to_string(&scene.config).unwrap();
        std::fs::write(&scene.config, format!("{config}{more}")).unwrap();
        let (server, upstream) = upstream().await;
        let door = Door::open(&scene, ("everything", &upstream), wait_s, &[]).await;
        Self { scene, server, door }
    }

    fn clients_command(&self) -> Vec<PathBuf> {
        vec![PathBuf::from(&self.door.url)]
    }

    async fn posts(&self, headers: &str, body: &str) -> String {
        self.door.posts(headers, body).await
    }

    /// A session of our own; its id.
    async fn begins(&self) -> String {
        let answer = self.posts("", HELLO).await;
        let id = answer
            .lines()
            .find_map(|line| line.strip_prefix("mcp-session-id: "));
        let id = id.unwrap_or_else(|| panic!("{answer}")).trim().to_owned();
        let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let taken = self.posts(&session(&id), ready).await;
        assert!(taken.starts_with("HTTP/1.1 202"), "{taken}");
        id
    }

    async fn close(mut self) {
        self.door.stop().await;
        self.server.kill().await.unwrap();
    }
}

const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

fn session(id: &str) -> String {
    format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-11-25\r\n")
}

fn echo(id: u32) -> String {
    let call = json!({"name": "echo", "arguments": {"message": "hello"}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call}).to_string()
}

fn message(answer: &str) -> Value {
    door::message(answer).unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_both_official_sdks_see_and_call_what_their_task_may_use() {
    let web = Web::open(&["everything/*"], 50).await;
    let mut client = Client::start(&web.clients_command()).await;
    let seen = [
        "echo",
        "get-env",
        "get-structured-content",
        "get-sum",
        "trigger-long-running-operation",
    ];
    assert_eq!(client.tools().await, seen);
    let told = client.calls("echo", json!({"message": "naïve \u{1f600}"})).await;
    assert_eq!(text(&told), "Echo: naïve \u{1f600}");
    is_denied(&client.calls("get-env", json!({})).await, "forbidden");
    is_denied(&client.calls("get-tiny-image", json!({})).await, "unknown_tool");
    let long = json!({"do": "call", "name": "trigger-long-running-operation", "arguments": {"duration": 1, "steps": 4}});
    let told = client.does(long).await;
    assert!(text(&told).contains("completed"), "{told}");
    assert!(client.progress.len() >= 3, "{:?}", client.progress);
    let told = client.asks("resources/list", json!({})).await;
    assert!(told["result"]["resources"].is_array(), "{told}");
    let told = client.asks("tasks/list", json!({})).await;
    assert_eq!(told["error"]["code"], -32601, "{told}");
    client.ends().await;

    let mut python = Client::start_python(&web.clients_command()).await;
    assert_eq!(python.tools().await, seen);
    let told = python.calls("get-sum", json!({"a": 2, "b": 3})).await;
    assert!(text(&told).contains('5'), "{told}");
    is_denied(&python.calls("get-env", json!({})).await, "forbidden");
    python.ends().await;
    web.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_know_the_address_or_comes_from_another_site_is_not_heard() {
    let web = Web::open(&["everything/*"], 0).await;
    let id = web.begins().await;
    let answer = web.posts(&session(&id), &echo(1)).await;
    assert_eq!(message(&answer)["result"]["content"][0]["text"], "Echo: hello");

    let (host, path) = (web.door.address().to_owned(), web.door.path());
    let knock = async |method: &str, path: &str, host: &str, more: &str| {
        let body = echo(2);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: */*\r\nContent-Length: {}\r\n{}{more}\r\n{body}",
            body.len(),
            session(&id)
        );
        door::status(&door::raw(web.door.address(), &request).await).to_owned()
    };
    assert_eq!(knock("POST", &path, &host, "").await, "200");
    let guess = format!("/{}/mcp", "0".repeat(64));
    for elsewhere in [
        "/mcp",
        "/",
        guess.as_str(),
        &path[..path.len() - 1],
        &path.to_uppercase(),
    ] {
        assert_eq!(knock("POST", elsewhere, &host, "").await, "404", "{elsewhere}");
    }
    assert_eq!(knock("POST", &path, "evil.example", "").await, "403");
    for origin in ["https://evil.example", "http://localhost.evil.example", "null"] {
        let origin = format!("Origin: {origin}\r\n");
        assert_eq!(knock("POST", &path, &host, &origin).await, "403", "{origin}");
    }
    assert_eq!(
        knock("POST", &path, &host, "Origin: http://localhost:5173\r\n").await,
        "200"
    );
    assert_eq!(knock("PUT", &path, &host, "").await, "405");

    let other = "0".repeat(64);
    for (session_id, expected) in [("", "400"), (other.as_str(), "404")] {
        let headers = if session_id.is_empty() {
            String::new()
        } else {
            session(session_id)
        };
        let answer = web.posts(&headers, &echo(3)).await;
        assert_eq!(door::status(&answer), expected, "{answer}");
    }
    assert_eq!(knock("DELETE", &path, &host, "").await, "200");
    assert_eq!(knock("POST", &path, &host, "").await, "404", "it was ended");
    web.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_refused_and_the_session_goes_on() {
    let web = Web::open(&["everything/*"], 0).await;
    let id = web.begins().await;
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#,
        "x".repeat(16 << 20)
    );
    for (body, status) in [
        ("", "400"),
        ("{", "400"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "400"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}"#,
            "400",
        ),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "400"),
        (long.as_str(), "413"),
    ] {
        let answer = web.posts(&session(&id), body).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(door::status(&answer), status, "{shown}: {answer}");
    }
    let unknown = r#"{"jsonrpc":"2.0","id":1,"method":"tools/Call"}"#;
    assert_eq!(
        message(&web.posts(&session(&id), unknown).await)["error"]["code"],
        -32601
    );
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"get-env","arguments":{}}}"#;
    assert_eq!(
        message(&web.posts(&session(&id), twice).await)["error"]["code"],
        -32602
    );
    let old = format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 1999-01-01\r\n");
    assert!(web.posts(&old, &echo(4)).await.starts_with("HTTP/1.1 400"));
    let answer = web.posts(&session(&id), &echo(1)).await;
    assert_eq!(message(&answer)["result"]["content"][0]["text"], "Echo: hello");
    web.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_a_request_shows_counts_for_it_alone() {
    let web = Web::open(&["everything/*"], 0).await;
    let id = web.begins().await;
    let other = web
        .scene
        .operator
        .start("alice", super::AGENT, &["everything/get-sum"], &[])
        .await
        .unwrap();
    let shown = format!("{}Checkrein-Grant: {}\r\n", session(&id), other.grant);
    let told = message(&web.posts(&shown, &echo(1)).await);
    let cause = &told["result"]["_meta"]["checkrein/decision"]["cause"];
    assert_eq!(cause, "out_of_scope", "{told}");
    let told = message(&web.posts(&session(&id), &echo(2)).await);
    assert_eq!(told["result"]["content"][0]["text"], "Echo: hello", "{told}");
    let broken = format!("{}Checkrein-Grant: no grant\r\n", session(&id));
    let told = message(&web.posts(&broken, &echo(3)).await);
    assert_eq!(told["result"]["isError"], true, "{told}");
    web.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_gone_is_said_to_have_and_no_session_begins() {
    let mut web = Web::open(&["everything/*"], 0).await;
    let id = web.begins().await;
    assert!(message(&web.posts(&session(&id), &echo(1)).await)["result"].is_object());
    web.server.kill().await.unwrap();
    let told = message(&web.posts(&session(&id), &echo(2)).await);
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("can't connect"),
        "{told}"
    );
    let answer = web.posts("", HELLO).await;
    assert!(message(&answer)["error"].is_object(), "{answer}");
    web.door.stop().await;
}

/// A server that answers `initialize` and writes down what it was shown; where it is, and that.
async fn recorder() -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let shown = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut shown = String::new();
        while !shown.contains(HELLO) {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "{shown}");
            shown.push_str(str::from_utf8(&piece[..read]).unwrap());
        }
        let answer = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"r","version":"1"}}}"#;
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
        let answer = format!("{head} {}\r\n\r\n{answer}", answer.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        shown
    });
    (url, shown)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_shown_what_our_file_says_and_nothing_that_its_client_shows_us() {
    let scene = Scene::set(&everything(), &["everything/*"]).await;
    let file = scene.config.with_file_name("headers");
    std::fs::write(&file, "Authorization: Bearer ours\nX-Team: payments\n").unwrap();
    let (upstream, shown) = recorder().await;
    let more = ["--upstream-headers", file.to_str().unwrap()];
    let door = Door::open(&scene, ("everything", &upstream), 0, &more).await;
    let theirs =
        "Authorization: Bearer theirs\r\nCookie: theirs\r\nCheckrein-Grant: theirs\r\nX-Team: theirs\r\n";
    let answer = door.posts(theirs, HELLO).await;
    assert!(message(&answer)["result"].is_object(), "{answer}");
    let shown = timeout(WAIT_MAX, shown).await.unwrap().unwrap().to_lowercase();
    assert!(
        shown.contains("authorization: bearer ours") && shown.contains("x-team: payments"),
        "{shown}"
    );
    assert!(
        !shown.contains("theirs") && !shown.contains("checkrein"),
        "{shown}"
    );
    door.stop().await;
}

/// The pack with a rule by which people see every sum.
fn seen_sums() -> PackSource {
    let mut pack = everything();
    let rules = pack.files.get_mut("rules.cedar").unwrap();
    rules.extend_from_slice(
        b"@id(\"sums\") @hold(\"owners\") @reason(\"somebody looks at every sum\")\n\
          forbid (principal, action == Action::\"everything/get-sum\", resource);\n",
    );
    let groups = b"\n[groups]\nowners = [\"spiffe://acme.example/approver/bob\"]\n";
    pack.files
        .get_mut("checkrein.toml")
        .unwrap()
        .extend_from_slice(groups);
    pack.files.retain(|path, _| !path.starts_with("tests/"));
    pack
}

fn sum(id: u32) -> String {
    let call = json!({"name": "get-sum", "arguments": {"a": 2, "b": 3}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call}).to_string()
}

fn is_held(told: &Value) -> bool {
    let words = told["result"]["content"][0]["text"].as_str().unwrap_or_default();
    words.contains("waits for approval by owners") && words.contains("NOT done")
}

fn is_made(told: &Value) -> bool {
    let words = told["result"]["content"][0]["text"].as_str().unwrap_or_default();
    words.contains('5') && told["result"]["isError"] != true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_approved_is_made_once_when_it_is_asked_for_again() {
    let web = Web::open_with(&seen_sums(), &["everything/*"], 0, "").await;
    let id = web.begins().await;
    let asks = async |number| message(&web.posts(&session(&id), &sum(number)).await);
    let told = asks(1).await;
    assert!(is_held(&told), "{told}");
    web.scene.approves().await;
    let told = asks(2).await;
    assert!(is_made(&told), "{told}");
    let told = asks(3).await;
    assert!(is_held(&told), "it is another call: {told}");
    web.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_while_people_look_has_cancelled_nothing_and_made_nothing() {
    let web = Web::open_with(&seen_sums(), &["everything/*"], 50, "").await;
    let id = web.begins().await;
    let mut stream = TcpStream::connect(web.door.address()).await.unwrap();
    let request = door::post(&web.door.url, &session(&id), &sum(1));
    stream.write_all(request.as_bytes()).await.unwrap();
    web.scene.operator.waiting(&web.scene.task).await.unwrap();
    drop(stream);
    web.scene.approves().await;
    let told = message(&web.posts(&session(&id), &sum(2)).await);
    assert!(is_made(&told), "under the approval of the first: {told}");
    web.close().await;
}
