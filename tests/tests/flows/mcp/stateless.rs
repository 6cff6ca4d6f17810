//! The revision 2026-07-28, in which no request knows of another: a server and a client of the official SDK, and what headers say.

mod forms;
mod several;
mod stdio;

use std::collections::BTreeMap;
use std::process::Stdio;

use checkrein_shared::policy::PackSource;
use checkrein_tests::{WAIT_MAX, installed};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::door::{self, Door};
use super::{Client, Scene, is_denied, node, peer, text};

pub(super) const REVISION: &str = "2026-07-28";
const META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
const NOTES: &str = r#"
[echo]
effects = ["read"]
reversibility = "read_only"
[deploy]
effects = ["write"]
reversibility = "reversible"
[wait]
effects = ["read"]
reversibility = "read_only"
[pay]
effects = ["write"]
reversibility = "reversible"
[seen]
effects = ["read"]
reversibility = "read_only"
"#;
const RULES: &str = r#"
@id("all") permit (principal, action, resource);
@id("pay") @hold("owners") @reason("money would be gone")
forbid (principal, action == Action::"modern/pay", resource);
@id("prod") @reason("production is not for agents")
forbid (principal, action == Action::"modern/deploy", resource) when { context.input.env == "prod" };
"#;

const TOOLS: [&str; 5] = [
    "modern/echo",
    "modern/deploy",
    "modern/wait",
    "modern/pay",
    "modern/seen",
];

/// What the server has, and what is allowed of it.
fn pack(catalog: &str) -> PackSource {
    let groups = "namespace = \"org\"\n[groups]\nowners = [\"spiffe://acme.example/approver/bob\"]\n";
    let files = [
        ("checkrein.toml", groups),
        ("catalog/modern.json", catalog),
        ("catalog/modern.toml", NOTES),
        ("rules.cedar", RULES),
    ];
    PackSource {
        name: "modern".to_owned(),
        files: BTreeMap::from(files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))),
    }
}

struct Web {
    scene: Scene,
    _server: Child,
    door: Door,
}

/// A message, sent by hand; the status and the message in the answer.
pub(super) async fn posts(url: &str, headers: &[(&str, &str)], body: &str) -> (String, Value) {
    let headers: String = headers
        .iter()
        .flat_map(|(name, value)| [name, ": ", value, "\r\n"])
        .collect();
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let answer = door::raw(address, &door::post(url, &headers, body)).await;
    let told = door::message(&answer).unwrap_or_default();
    (door::status(&answer).to_owned(), told)
}

/// A request as it should be, for this method, of whom it names.
pub(super) fn asked(method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{comma}"_meta":{META}}}}}"#)
}

pub(super) async fn server() -> (Child, String) {
    let mut child = Command::new(node())
        .arg(peer("stateless-server.mjs"))
        .arg(installed("peers/mcp").unwrap())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = timeout(WAIT_MAX, said.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    (child, ready["url"].as_str().unwrap().to_owned())
}

/// The server's tools as it defines them now.
pub(super) async fn catalog(upstream: &str) -> String {
    let headers = [("MCP-Protocol-Version", REVISION), ("Mcp-Method", "tools/list")];
    let (_, listed) = posts(upstream, &headers, &asked("tools/list", "")).await;
    json!({ "tools": listed["result"]["tools"] }).to_string()
}

impl Web {
    async fn open(wait_s: u32) -> Self {
        Self::open_with(wait_s, "").await
    }

    /// The same with this before the enforcer's configuration.
    async fn open_with(wait_s: u32, more: &str) -> Self {
        let (server, upstream) = server().await;
        let scene = Scene::set(&pack(&catalog(&upstream).await), &TOOLS).await;
        let config = std::fs::read_to_string(&scene.config).unwrap();
        std::fs::write(&scene.config, format!("{more}{config}")).unwrap();
        let door = Door::open(&scene, ("modern", &upstream), wait_s, &[]).await;
        Self {
            scene,
            _server: server,
            door,
        }
    }

    async fn client(&self) -> Client {
        Client::run(client(), &[self.door.url.clone().into()]).await
    }

    /// One whose user can be shown links.
    async fn client_with_links(&self) -> Client {
        let mut program = client();
        program.env("CLIENT_MODES", "url");
        Client::run(program, &[self.door.url.clone().into()]).await
    }

    /// A call, sent by hand with these headers.
    async fn calls(&self, headers: &[(&str, &str)], arguments: &str) -> (String, Value) {
        let params = format!(r#""name":"echo","arguments":{arguments}"#);
        posts(&self.door.url, headers, &asked("tools/call", &params)).await
    }
}

/// A client of the official SDK, which is to be told whom to talk to.
pub(super) fn client() -> Command {
    let mut program = Command::new(node());
    program
        .arg(peer("stateless-client.mjs"))
        .arg(installed("peers/mcp").unwrap());
    program
}

/// What reached the server.
async fn seen(client: &mut Client) -> Value {
    let told = client.calls("seen", json!({})).await;
    serde_json::from_str(text(&told)).unwrap()
}

/// How often it was paid.
fn paid(seen: &Value) -> usize {
    let calls = seen["calls"].as_array().unwrap();
    calls.iter().filter(|call| **call == "pay").count()
}

/// Calls, is asked, denied and held, and goes away from a call.
async fn deals(scene: &Scene, client: &mut Client) {
    assert_eq!(client.tools().await, ["deploy", "echo", "pay", "seen", "wait"]);
    let told = client.calls("echo", json!({"message": "naïve \u{1f600}"})).await;
    assert_eq!(text(&told), "Echo: naïve \u{1f600}");
    is_denied(&client.calls("deploy", json!({"env": "prod"})).await, "forbidden");
    is_denied(
        &client.calls("echo", json!({"other": 1})).await,
        "invalid_arguments",
    );

    // The server asks before it answers, and the client brings its state back as it was.
    let told = client.calls("deploy", json!({"env": "test"})).await;
    assert!(text(&told).starts_with("deployed to test"), "{told}");
    assert!(text(&told).contains(r#""sure":true"#), "{told}");

    // Whoever goes away has cancelled: the server hears of it.
    client.progress.clear();
    let left = client
        .does(json!({"do": "leave", "name": "wait", "arguments": {}}))
        .await;
    assert!(left["error"].is_object(), "{left}");
    let heard = async { while seen(client).await["brokenOff"] != json!(["wait"]) {} };
    timeout(WAIT_MAX, heard).await.unwrap();

    let number = client
        .begins(json!({"do": "call", "name": "pay", "arguments": {"amount": 5}}))
        .await;
    scene.operator.waiting(&scene.task).await.unwrap();
    assert_eq!(paid(&seen(client).await), 0, "nobody has agreed");
    scene.approves().await;
    let told = client.told(number).await;
    assert_eq!(text(&told), "paid 5");
    let seen = seen(client).await;
    assert_eq!(paid(&seen), 1);
    let denied = seen["calls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| **call == "deploy");
    assert_eq!(
        denied.count(),
        2,
        "a question and an answer, and nothing of what was denied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_needs_no_session_calls_is_asked_denied_and_held() {
    let web = Web::open(50).await;
    let mut client = web.client().await;
    deals(&web.scene, &mut client).await;
    client.ends().await;
    web.door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_says_what_its_message_does_not_say_reaches_no_server() {
    let web = Web::open(0).await;
    let version = ("MCP-Protocol-Version", REVISION);
    let (method, name) = (("Mcp-Method", "tools/call"), ("Mcp-Name", "echo"));
    let hello = r#"{"message":"hello"}"#;
    let (status, told) = web.calls(&[version, method, name], hello).await;
    assert_eq!(
        (status.as_str(), &told["result"]["resultType"]),
        ("200", &json!("complete")),
        "{told}"
    );
    assert_eq!(told["result"]["content"][0]["text"], "Echo: hello");

    let old = ("MCP-Protocol-Version", "2025-11-25");
    for headers in [
        &[method, name][..],
        &[old, method, name],
        &[version, name],
        &[version, method],
        &[version, ("Mcp-Method", "tools/list"), name],
        &[version, method, ("Mcp-Name", "pay")],
        &[version, method, name, ("Mcp-Name", "pay")],
        &[version, method, name, ("Mcp-Param-Message", "goodbye")],
    ] {
        let (status, told) = web.calls(headers, hello).await;
        let code = &told["error"]["code"];
        assert_eq!(
            (status.as_str(), code),
            ("400", &json!(-32020)),
            "{headers:?}: {told}"
        );
    }
    let future = asked("server/discover", "").replace(REVISION, "2031-01-01");
    let headers = [
        ("MCP-Protocol-Version", "2031-01-01"),
        ("Mcp-Method", "server/discover"),
    ];
    let (status, told) = posts(&web.door.url, &headers, &future).await;
    assert_eq!(
        (status.as_str(), &told["error"]["code"]),
        ("400", &json!(-32022)),
        "{told}"
    );
    assert_eq!(told["error"]["data"]["supported"], json!([REVISION]));
    for unknown in ["initialize", "tools/Call", "resources/subscribe"] {
        let headers = [version, ("Mcp-Method", unknown)];
        let (status, told) = posts(&web.door.url, &headers, &asked(unknown, "")).await;
        assert_eq!(
            (status.as_str(), &told["error"]["code"]),
            ("404", &json!(-32601)),
            "{told}"
        );
    }
    let headers = [version, ("Mcp-Method", "tools/list")];
    let (_, told) = posts(&web.door.url, &headers, &asked("tools/list", "")).await;
    assert_eq!(told["result"]["cacheScope"], "private", "{told}");

    // What shows who asks, and with which grant, is for us alone.
    let secret = ("Authorization", "Bearer hunter2");
    let (status, told) = web
        .calls(&[version, method, name, secret, ("Cookie", "a=b")], hello)
        .await;
    assert_eq!(status, "200", "{told}");
    let wrong = ("Checkrein-Grant", "no grant");
    let (_, told) = web.calls(&[version, method, name, wrong], hello).await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    let mut client = web.client().await;
    let seen = seen(&mut client).await;
    let echoes = seen["calls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| **call == "echo");
    assert_eq!(echoes.count(), 2, "{seen}");
    for header in ["authorization", "cookie", "checkrein-grant"] {
        assert!(
            !seen["headers"].as_array().unwrap().contains(&json!(header)),
            "{seen}"
        );
    }
    client.ends().await;
    web.door.stop().await;
}
