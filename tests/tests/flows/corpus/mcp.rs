//! Before an MCP server: over stdio, and over HTTP in sessions and without.

use std::path::{Path, PathBuf};
use std::time::Duration;

use checkrein_enforcer::{Config, Enforcer, GrantSource, Proxied, Remote, Wrapped};
use checkrein_tests::{Process, WAIT_MAX, installed};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::stand::{Call, Stand, grant_file};
use super::told::Told;

const SERVER: &str = "bank";
const STATELESS: &str = "2026-07-28";
const META: &str = r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
const READY: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A client over stdio, and its server. Which revision they speak is known by what the client says first.
pub(super) struct Stdio {
    line: Mutex<Line>,
    _stop: DropGuard,
}

struct Line {
    says: OwnedWriteHalf,
    hears: Lines<BufReader<OwnedReadHalf>>,
    number: u64,
    /// What each request says beside its call.
    more: &'static str,
}

/// A door before a server over HTTP, with a session.
pub(super) struct Door {
    url: String,
    session: String,
    _stop: DropGuard,
    _server: Process,
}

/// An answer over HTTP.
struct Answer {
    head: String,
    message: Value,
}

impl Stdio {
    pub(super) fn open(enforcer: &Enforcer, directory: &Path, served: (&Path, &Path)) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let wrapped = Wrapped {
            name: SERVER.parse().unwrap(),
            command: server(served).into_iter().map(Into::into).collect(),
            grant: GrantSource::File(grant_file(directory)),
            patience: Duration::ZERO,
            console: None,
        };
        let stop = CancellationToken::new();
        tokio::spawn(wrapped.run(enforcer.gate(), theirs.into_split(), stop.clone()));
        let (hears, says) = ours.into_split();
        let line = Line {
            says,
            hears: BufReader::new(hears).lines(),
            number: 0,
            more: META,
        };
        Self {
            line: Mutex::new(line),
            _stop: stop.drop_guard(),
        }
    }

    /// The same after the handshake of earlier revisions.
    pub(super) async fn greeted(self) -> Self {
        let mut line = self.line.lock().await;
        line.asks(&hello()).await;
        line.says(READY).await;
        line.more = "";
        drop(line);
        self
    }

    pub(super) async fn ask(&self, stand: &Stand, call: &Call) -> Told {
        let mut line = self.line.lock().await;
        stand.grants(call);
        line.number += 1;
        let message = call.message(line.number, line.more);
        told(&line.asks(&message).await)
    }
}

impl Line {
    async fn says(&mut self, message: &str) {
        self.says
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }

    /// What comes next; there is one request at a time.
    async fn asks(&mut self, message: &str) -> Value {
        self.says(message).await;
        let line = timeout(WAIT_MAX, self.hears.next_line()).await.unwrap();
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }
}

impl Door {
    pub(super) async fn open(enforcer: &Enforcer, config: &Config, served: (&Path, &Path)) -> Self {
        let command = server(served);
        let server = Process::start(Command::new(&command[0]).args(&command[1..]).arg("http")).await;
        let server = server.unwrap();
        let proxied = Proxied {
            servers: vec![Remote {
                name: SERVER.parse().unwrap(),
                url: server.ready["url"].as_str().unwrap().to_owned(),
                ca: None,
                headers: None,
            }],
            listen: ([127, 0, 0, 1], 0).into(),
            grant: GrantSource::Nowhere,
            patience: Duration::ZERO,
        };
        let door = proxied.open(enforcer, config).await.unwrap();
        let (url, stop) = (door.url.clone(), CancellationToken::new());
        tokio::spawn(door.serve(stop.clone()));
        let mut door = Self {
            url,
            session: String::new(),
            _stop: stop.drop_guard(),
            _server: server,
        };
        let begun = door.posts("", &hello()).await;
        door.session = format!(
            "Mcp-Session-Id: {}\r\nMCP-Protocol-Version: 2025-11-25\r\n",
            begun.header("mcp-session-id").unwrap()
        );
        let ready = door.posts(&door.session, READY).await;
        assert!(ready.head.starts_with("HTTP/1.1 202"), "{}", ready.head);
        door
    }

    /// In the session.
    pub(super) async fn ask_in_session(&self, call: &Call) -> Told {
        let headers = format!("{}{}", self.session, presented(call));
        told(&self.posts(&headers, &call.message(1, "")).await.message)
    }

    /// On its own.
    pub(super) async fn ask(&self, call: &Call) -> Told {
        let headers = format!(
            "MCP-Protocol-Version: {STATELESS}\r\nMcp-Method: tools/call\r\nMcp-Name: {}\r\n{}",
            call.name(),
            presented(call)
        );
        told(&self.posts(&headers, &call.message(1, META)).await.message)
    }

    async fn posts(&self, headers: &str, body: &str) -> Answer {
        let (address, path) = self.url.trim_start_matches("http://").split_once('/').unwrap();
        let request = format!(
            "POST /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = timeout(WAIT_MAX, stream.read_to_string(&mut answer)).await;
        read.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let message = body.lines().find_map(|line| {
            let line = line.strip_prefix("data: ").unwrap_or(line);
            serde_json::from_str(line).ok().filter(Value::is_object)
        });
        Answer {
            head: head.to_owned(),
            message: message.unwrap_or_default(),
        }
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// What an answer to a call says: its server's, or one in place of it.
pub(super) fn told(answer: &Value) -> Told {
    let result = &answer["result"];
    let words = result["content"][0]["text"].as_str();
    let decision = &result["_meta"]["checkrein/decision"];
    match words {
        Some(words) if decision.is_object() => {
            assert_eq!(result["isError"], true, "{answer}");
            Told::of(decision).with(words)
        }
        Some(words) => {
            assert!(words.starts_with("done: "), "{answer}");
            Told::permit()
        }
        None => Told::refused(
            answer["error"]["message"]
                .as_str()
                .unwrap_or_else(|| panic!("{answer}")),
        ),
    }
}

fn presented(call: &Call) -> String {
    if call.grant.is_empty() {
        return String::new();
    }
    format!("Checkrein-Grant: {}\r\n", call.grant)
}

fn hello() -> String {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "corpus", "version": "1" },
    });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string()
}

/// What starts a server of a catalog, which writes down what it gets.
fn server((catalog, log): (&Path, &Path)) -> Vec<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/mcp/bank.mjs");
    vec![
        installed("bin/node").unwrap(),
        script,
        catalog.to_owned(),
        log.to_owned(),
    ]
}
