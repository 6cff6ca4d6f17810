//! An MCP server over stdio, asked what it has, and ended.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// A server that has not begun after this, a download included, does not begin.
const BEGIN_MAX: Duration = Duration::from_mins(2);
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// What it says in one line, and on how many pages.
const LINE_BYTES_MAX: u64 = 16 << 20;
const PAGES_MAX: usize = 64;
/// So much that is no answer is passed over before one.
const LINES_MAX: usize = 1_000;
const REVISION: &str = "2025-11-25";

/// What a server says it has.
#[derive(Debug)]
pub(super) struct Found {
    /// The tools' definitions, as it gives them.
    pub(super) tools: Vec<Value>,
    has_resources: bool,
    has_prompts: bool,
}

struct Server {
    child: Child,
    says: ChildStdin,
    hears: BufReader<ChildStdout>,
    asked: u64,
}

/// Starts it, asks, and ends it.
pub(super) async fn ask(command: &[String]) -> anyhow::Result<Found> {
    let mut server = Server::start(command)?;
    let found = server.found().await;
    drop(server.says);
    let _ended = server.child.kill().await;
    found
}

impl Found {
    /// The methods beside tools that a call can be of, each as the catalog names it.
    pub(super) fn methods(&self) -> Vec<&'static str> {
        let resources: &[&str] = &[
            "resources/list",
            "resources/templates/list",
            "resources/read",
            "resources/subscribe",
            "resources/unsubscribe",
        ];
        let prompts: &[&str] = &["prompts/list", "prompts/get"];
        let mut methods = Vec::new();
        if self.has_resources {
            methods.extend_from_slice(resources);
        }
        if self.has_prompts {
            methods.extend_from_slice(prompts);
        }
        methods
    }
}

impl Server {
    fn start(command: &[String]) -> anyhow::Result<Self> {
        let [program, arguments @ ..] = command else {
            bail!("there is no command");
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("can't start `{program}`"))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (says, hears) = pipes.context("the server has no input and output")?;
        Ok(Self {
            child,
            says,
            hears: BufReader::new(hears),
            asked: 0,
        })
    }

    async fn found(&mut self) -> anyhow::Result<Found> {
        let us = json!({"name": "checkrein-enforcer", "version": env!("CARGO_PKG_VERSION")});
        let hello = json!({"protocolVersion": REVISION, "capabilities": {}, "clientInfo": us});
        let about = timeout(BEGIN_MAX, self.ask("initialize", &hello)).await;
        let about = about.context("the server does not begin")??;
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await?;
        let has = |name: &str| about["capabilities"].get(name).is_some();
        let tools = if has("tools") {
            self.tools().await?
        } else {
            Vec::new()
        };
        Ok(Found {
            tools,
            has_resources: has("resources"),
            has_prompts: has("prompts"),
        })
    }

    async fn tools(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut tools = Vec::new();
        let mut params = json!({});
        for _ in 0..PAGES_MAX {
            let page = timeout(ANSWER_MAX, self.ask("tools/list", &params)).await;
            let mut page = page.context("the server does not list its tools in time")??;
            let Value::Array(more) = page["tools"].take() else {
                bail!("the server's list of tools is none");
            };
            tools.extend(more);
            match page["nextCursor"].take() {
                Value::String(cursor) => params = json!({"cursor": cursor}),
                _ => return Ok(tools),
            }
        }
        bail!("the server lists its tools on more than {PAGES_MAX} pages");
    }

    async fn ask(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await?;
        for _ in 0..LINES_MAX {
            let mut line = Vec::new();
            let read = (&mut self.hears)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .await?;
            if read == 0 {
                bail!("the server ended before it answered `{method}`");
            }
            if !line.ends_with(b"\n") {
                bail!("the server's answer to `{method}` is longer than {LINE_BYTES_MAX} bytes");
            }
            let Ok(mut said) = serde_json::from_slice::<Value>(&line) else {
                bail!("the server says what is not JSON; does it write its log to standard output?");
            };
            if said["id"] != json!(id) || said.get("method").is_some() {
                continue;
            }
            if let Some(error) = said.get("error") {
                bail!("the server answers `{method}` with an error: {error}");
            }
            return Ok(said["result"].take());
        }
        bail!("the server says much, and does not answer `{method}`");
    }

    async fn say(&mut self, message: &Value) -> anyhow::Result<()> {
        let written = self.says.write_all(format!("{message}\n").as_bytes()).await;
        written.context("the server does not listen")?;
        Ok(self.says.flush().await?)
    }
}
