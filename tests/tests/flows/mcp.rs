//! MCP over stdio with real peers: the official SDKs as clients, the official servers behind the enforcer. `.ci/setup test` installs
//! them.

mod approved;
mod conformance;
mod door;
mod hostile;
mod http;
mod peers;
mod several;
mod skeleton;
mod stateless;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use checkrein_shared::policy::PackSource;
use checkrein_tests::{Binaries, Person, WAIT_MAX, World, installed, read_pack};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

const AGENT: &str = "spiffe://acme.example/agent/assistant";

/// A world with a pack, a task, and an enforcer to wrap servers with.
struct Scene {
    world: World,
    operator: Person,
    task: String,
    grant: PathBuf,
    config: PathBuf,
    enforcer: PathBuf,
}

/// A client that was started, and its server by it. Both end with it.
struct Client {
    number: u64,
    says: ChildStdin,
    hears: Lines<BufReader<ChildStdout>>,
    early: Vec<Value>,
    progress: Vec<Value>,
    process: Child,
}

impl Scene {
    async fn set(pack: &PackSource, tools: &[&str]) -> Self {
        let world = World::start().await.unwrap();
        let operator = world.operator().await.unwrap();
        operator.push(pack).await.unwrap();
        let task = operator.start("alice", AGENT, tools, &[]).await.unwrap();
        let directory = world.register("wrapper", &[], &[AGENT]).await.unwrap();
        let config = directory.join("enforcer.toml");
        std::fs::write(&config, world.enforcer_toml(AGENT, &[world.address(0)])).unwrap();
        let grant = directory.join("agent.grant");
        std::fs::write(&grant, format!("{}\n", task.grant)).unwrap();
        let enforcer = Binaries::build().await.unwrap().checkrein_enforcer();
        Self {
            world,
            operator,
            task: task.task.unwrap().task_id,
            grant,
            config,
            enforcer: enforcer.as_std().get_program().into(),
        }
    }

    /// What an MCP client starts in place of this server.
    fn wrapping(&self, name: &str, wait_s: u32, server: &[PathBuf]) -> Vec<PathBuf> {
        let wait = wait_s.to_string();
        let mut command: Vec<PathBuf> = vec![self.enforcer.clone(), "mcp".into()];
        command.extend(["--config".into(), self.config.clone()]);
        command.extend(["--grant".into(), self.grant.clone()]);
        command.extend(["--name", name, "--wait", &wait, "--"].map(PathBuf::from));
        command.extend_from_slice(server);
        command
    }

    async fn approves(&self) {
        let bob = self.world.approver("bob").await.unwrap();
        let hold = self.operator.waiting(&self.task).await.unwrap();
        bob.vote(&hold, true).await.unwrap();
    }
}

impl Client {
    /// Of the TypeScript SDK.
    async fn start(command: &[PathBuf]) -> Self {
        let mut program = Command::new(node());
        program
            .arg(peer("client.mjs"))
            .arg(installed("peers/mcp").unwrap());
        Self::run(program, command).await
    }

    /// Of the TypeScript SDK, with a user who is shown links.
    async fn start_with_links(command: &[PathBuf]) -> Self {
        let mut program = Command::new(node());
        program
            .arg(peer("client.mjs"))
            .arg(installed("peers/mcp").unwrap())
            .env("TAKES_LINKS", "1");
        Self::run(program, command).await
    }

    /// Of the Python SDK.
    async fn start_python(command: &[PathBuf]) -> Self {
        let mut program = Command::new("python3");
        program
            .arg(peer("client.py"))
            .arg(installed("peers/mcp-python").unwrap());
        Self::run(program, command).await
    }

    async fn run(mut program: Command, command: &[PathBuf]) -> Self {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHECKREIN_") {
                program.env_remove(name);
            }
        }
        let mut process = program
            .args(command)
            .env("CHECKREIN_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (says, hears) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut client = Self {
            number: 0,
            says,
            hears: BufReader::new(hears).lines(),
            early: Vec::new(),
            progress: Vec::new(),
            process,
        };
        let ready = client.line().await;
        assert!(
            ready["server"].is_object() || ready["server"] == "ready",
            "{ready}"
        );
        client
    }

    async fn line(&mut self) -> Value {
        let line = timeout(WAIT_MAX, self.hears.next_line()).await.unwrap();
        let line = line.unwrap().unwrap_or_else(|| panic!("the client ended"));
        serde_json::from_str(&line).unwrap()
    }

    /// Has something done; says which line of the client will tell what came of it.
    async fn begins(&mut self, what: Value) -> u64 {
        self.says.write_all(format!("{what}\n").as_bytes()).await.unwrap();
        self.number += 1;
        self.number
    }

    async fn told(&mut self, number: u64) -> Value {
        loop {
            if let Some(at) = self.early.iter().position(|told| told["to"] == number) {
                return self.early.swap_remove(at);
            }
            let line = self.line().await;
            if line["progress"].is_null() {
                self.early.push(line);
            } else {
                self.progress.push(line["progress"].clone());
            }
        }
    }

    /// What it says of its own accord under this name.
    async fn hears(&mut self, name: &str) -> Value {
        loop {
            if let Some(at) = self.early.iter().position(|told| !told[name].is_null()) {
                return self.early.swap_remove(at)[name].take();
            }
            let line = self.line().await;
            self.early.push(line);
        }
    }

    async fn does(&mut self, what: Value) -> Value {
        let number = self.begins(what).await;
        self.told(number).await
    }

    async fn calls(&mut self, name: &str, arguments: Value) -> Value {
        self.does(json!({"do": "call", "name": name, "arguments": arguments}))
            .await
    }

    async fn asks(&mut self, method: &str, params: Value) -> Value {
        self.does(json!({"do": "ask", "method": method, "params": params}))
            .await
    }

    /// The names of the tools it sees.
    async fn tools(&mut self) -> Vec<String> {
        let told = self.does(json!({"do": "list"})).await;
        let tools = told["result"]["tools"]
            .as_array()
            .unwrap_or_else(|| panic!("{told}"));
        let mut names: Vec<String> = tools
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// It closes, and its server with it.
    async fn ends(mut self) {
        drop(self.says);
        let ended = timeout(WAIT_MAX, self.process.wait()).await.unwrap();
        assert!(ended.unwrap().success());
    }
}

fn node() -> PathBuf {
    installed("bin/node").unwrap()
}

fn peer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/mcp").join(name)
}

/// What starts a server of npm.
fn server(name: &str, argument: impl Into<PathBuf>) -> Vec<PathBuf> {
    let script = format!("peers/mcp/node_modules/@modelcontextprotocol/server-{name}/dist/index.js");
    vec![node(), installed(&script).unwrap(), argument.into()]
}

fn everything() -> PackSource {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/everything");
    read_pack("everything", &directory).unwrap()
}

fn text(told: &Value) -> &str {
    told["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{told}"))
}

/// Why it was decided as it was.
fn cause(told: &Value) -> &Value {
    &told["result"]["_meta"]["checkrein/decision"]["cause"]
}

fn is_denied(told: &Value, cause: &str) {
    assert_eq!(told["result"]["isError"], true, "{told}");
    let words = text(told);
    assert!(
        words.starts_with("Checkrein denied this call: ") && words.contains("Do not retry."),
        "{words}"
    );
    assert_eq!(self::cause(told), cause, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_official_sdk_sees_and_calls_what_its_task_may_use_of_a_real_server() {
    let scene = Scene::set(&everything(), &["everything/*"]).await;
    let command = scene.wrapping("everything", 50, &server("everything", "stdio"));
    let mut client = Client::start(&command).await;
    assert_eq!(
        client.tools().await,
        [
            "echo",
            "get-env",
            "get-structured-content",
            "get-sum",
            "trigger-long-running-operation"
        ],
        "and none that the catalog does not know"
    );
    let told = client.calls("echo", json!({"message": "naïve \u{1f600}"})).await;
    assert_eq!(text(&told), "Echo: naïve \u{1f600}");
    let told = client
        .calls("get-structured-content", json!({"location": "Chicago"}))
        .await;
    assert!(told["result"]["structuredContent"].is_object(), "{told}");
    is_denied(&client.calls("get-env", json!({})).await, "forbidden");
    is_denied(&client.calls("get-tiny-image", json!({})).await, "unknown_tool");
    is_denied(
        &client.calls("echo", json!({"other": 1})).await,
        "invalid_arguments",
    );

    // What the server says while it works comes through, too.
    let told = client
        .calls(
            "trigger-long-running-operation",
            json!({"duration": 0.2, "steps": 2}),
        )
        .await;
    assert!(text(&told).contains("completed"), "{told}");
    assert!(!client.progress.is_empty());

    let told = client.asks("resources/list", json!({})).await;
    assert!(!told["result"]["resources"].as_array().unwrap().is_empty());
    let document = |name: &str| json!({"uri": format!("demo://resource/static/document/{name}.md")});
    let told = client.asks("resources/read", document("features")).await;
    assert!(told["result"]["contents"][0]["text"].is_string(), "{told}");
    let told = client.asks("resources/read", document("extension")).await;
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("this document is not for agents")
    );
    let told = client
        .asks(
            "prompts/get",
            json!({"name": "args-prompt", "arguments": {"city": "Oslo"}}),
        )
        .await;
    assert!(told["result"]["messages"].is_array(), "{told}");
    let told = client.asks("resources/templates/list", json!({})).await;
    assert_eq!(
        told["result"]["resourceTemplates"],
        json!([]),
        "not in the catalog"
    );
    client.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_python_sdk_is_told_the_same() {
    let scene = Scene::set(&everything(), &["everything/echo", "everything/get-env"]).await;
    let command = scene.wrapping("everything", 50, &server("everything", "stdio"));
    let mut client = Client::start_python(&command).await;
    assert_eq!(
        client.tools().await,
        ["echo", "get-env"],
        "and none that the task does not name"
    );
    let told = client.calls("echo", json!({"message": "hello"})).await;
    assert_eq!(text(&told), "Echo: hello");
    is_denied(&client.calls("get-env", json!({})).await, "forbidden");
    is_denied(
        &client.calls("get-sum", json!({"a": 1, "b": 2})).await,
        "out_of_scope",
    );
    client.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_written_meanwhile_counts_from_the_next_call_on() {
    let scene = Scene::set(&everything(), &["everything/*"]).await;
    let grant = std::fs::read(&scene.grant).unwrap();
    std::fs::remove_file(&scene.grant).unwrap();
    let command = scene.wrapping("everything", 50, &server("everything", "stdio"));
    let mut client = Client::start(&command).await;
    assert_eq!(client.tools().await, [""; 0]);
    is_denied(
        &client.calls("echo", json!({"message": "x"})).await,
        "invalid_grant",
    );
    std::fs::write(&scene.grant, grant).unwrap();
    assert_eq!(
        text(&client.calls("echo", json!({"message": "x"})).await),
        "Echo: x"
    );
    scene.operator.end(&scene.task).await.unwrap();
    // It is pushed to the enforcer, and takes a moment.
    let ended = async {
        loop {
            let told = client.calls("echo", json!({"message": "x"})).await;
            // A call that it finds under way is stopped, and told so in other words.
            if cause(&told) == "task_ended" {
                return told;
            }
        }
    };
    let told = timeout(WAIT_MAX, ended).await.unwrap();
    is_denied(&told, "task_ended");
    client.ends().await;
}

/// A catalog of the server that changes, as it is at first.
fn changing() -> PackSource {
    let catalog = r#"{"tools":[
      {"name":"echo","description":"Echoes back the input string","inputSchema":{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}},
      {"name":"turn","description":"Turns","inputSchema":{"type":"object","properties":{}}}]}"#;
    let notes = "[echo]\neffects = [\"read\"]\nreversibility = \"read_only\"\n[turn]\neffects = [\"read\"]\nreversibility = \"read_only\"\n";
    let rules = "@id(\"all\") permit (principal, action, resource);";
    let files = [
        ("checkrein.toml", "namespace = \"org\"\n"),
        ("catalog/changing.json", catalog),
        ("catalog/changing.toml", notes),
        ("rules.cedar", rules),
    ];
    PackSource {
        name: "changing".to_owned(),
        files: BTreeMap::from(files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_changes_what_it_says_of_itself_is_gone_and_denied() {
    let scene = Scene::set(&changing(), &["changing/*"]).await;
    let command = scene.wrapping("changing", 50, &[node(), peer("changing.mjs")]);
    let mut client = Client::start(&command).await;
    assert_eq!(client.tools().await, ["echo", "turn"]);
    let told = client.calls("echo", json!({"message": "x"})).await;
    assert!(text(&told).contains("\"message\":\"x\""), "{told}");
    client.calls("turn", json!({})).await;
    is_denied(
        &client.calls("echo", json!({"message": "x"})).await,
        "unknown_tool",
    );
    assert_eq!(client.tools().await, ["turn"]);
    client.ends().await;
}
