//! The same over Streamable HTTP: a real server behind, real clients before, and whoever is not known is not heard.

mod oauth;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

use checkrein_tests::{Process, WAIT_MAX};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Client, Scene, everything, is_denied, server, text};

/// A server over HTTP, and the enforcer before it.
struct Web {
    scene: Scene,
    server: Child,
    door: Process,
    url: String,
}

/// `server-everything` over Streamable HTTP; where it is.
async fn upstream() -> (Child, String) {
    // Free at this moment: it takes no port of ours, and says so if somebody else was faster.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
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
        Self::open_with(tools, wait_s, "").await
    }

    /// The same, with more in the enforcer's configuration.
    async fn open_with(tools: &[&str], wait_s: u32, more: &str) -> Self {
        let scene = Scene::set(&everything(), tools).await;
        let config = std::fs::read_to_string(&scene.config).unwrap();
        std::fs::write(&scene.config, format!("{config}{more}")).unwrap();
        let (server, upstream) = upstream().await;
        let mut command = Command::new(&scene.enforcer);
        command
            .arg("mcp")
            .arg("--config")
            .arg(&scene.config)
            .arg("--grant")
            .arg(&scene.grant)
            .args(["--name", "everything", "--json", "--listen", "127.0.0.1:0"])
            .args(["--wait", &wait_s.to_string(), "--upstream", &upstream])
            .env_remove("CHECKREIN_GRANT")
            .env("CHECKREIN_LOG", "warn");
        let door = Process::start(&mut command).await.unwrap();
        let url = door.ready["url"].as_str().unwrap().to_owned();
        Self {
            scene,
            server,
            door,
            url,
        }
    }

    fn clients_command(&self) -> Vec<PathBuf> {
        vec![PathBuf::from(&self.url)]
    }

    fn path(&self) -> &str {
        let after = self.url.find("//").unwrap() + 2;
        &self.url[after + self.url[after..].find('/').unwrap()..]
    }

    fn address(&self) -> &str {
        let after = self.url.find("//").unwrap() + 2;
        let end = self.url[after..].find('/').unwrap();
        &self.url[after..after + end]
    }

    /// One request as it stands, on a connection of its own; the whole answer.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        timeout(WAIT_MAX, stream.read_to_end(&mut answer))
            .await
            .unwrap()
            .unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn posts(&self, headers: &str, body: &str) -> String {
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.path(),
            self.address(),
            body.len()
        );
        self.raw(request.as_bytes()).await
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
        self.door.stop().await.unwrap();
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

/// The message in an answer, whether it came as JSON or as an event.
fn message(answer: &str) -> Value {
    let json = answer.lines().find_map(|line| {
        let line = line.strip_prefix("data: ").unwrap_or(line);
        line.starts_with('{').then_some(line)
    });
    serde_json::from_str(json.unwrap_or_else(|| panic!("{answer}"))).unwrap()
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

    let (host, path) = (web.address().to_owned(), web.path().to_owned());
    let knock = async |method: &str, path: &str, host: &str, more: &str| {
        let body = echo(2);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: */*\r\nContent-Length: {}\r\n{}{more}\r\n{body}",
            body.len(),
            session(&id)
        );
        let answer = web.raw(request.as_bytes()).await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
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
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{answer}");
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
        assert_eq!(answer.split(' ').nth(1), Some(status), "{shown}: {answer}");
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
async fn a_grant_that_a_request_shows_counts_for_it_and_reaches_no_server() {
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
    web.door.stop().await.unwrap();
}
