//! In whatever form a call waits, it is made once, for whoever asked, and only when people agreed.

mod by_link;
mod by_task;
mod while_waiting;

use std::time::Duration;

use checkrein_shared::decision::{OutcomeResult, Record};
use checkrein_shared::hold::State;
use checkrein_shared::id::HoldId;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::fixture::Bench;
use crate::surface::mcp::answers::{INVALID_PARAMS, MISSING_CAPABILITY};
use crate::surface::mcp::client::ToClient;
use crate::surface::mcp::grant::GrantSource;
use crate::surface::mcp::held::HeldCalls;
use crate::surface::mcp::methods::Era;
use crate::surface::mcp::session::{Brought, Terms};
use crate::surface::mcp::wire::Line;

const TOOLS: &str = r#"[{"name":"look","inputSchema":{"type":"object","properties":{"account":{"type":"string"}}}},{"name":"pay","inputSchema":{"type":"object","properties":{"to":{"type":"string"},"amount":{"type":"integer"}},"required":["to","amount"]}}]"#;
const PAY: &str = r#""name":"pay","arguments":{"to":"GB29","amount":500}"#;
const LOOK: &str = r#""name":"look","arguments":{}"#;

/// A client and a server that are written here, and a real gate between them.
struct Scene {
    bench: Bench,
    session: Arc<Session>,
    client: mpsc::Receiver<ToClient>,
    server: mpsc::Receiver<String>,
    takes: &'static str,
    asked: u32,
}

impl Scene {
    fn set(takes: &'static str, links: Option<Links>, patience: Duration) -> Self {
        Self::with(Bench::new(), takes, links, patience)
    }

    fn with(bench: Bench, takes: &'static str, links: Option<Links>, patience: Duration) -> Self {
        Self::of(Era::Stateless, bench, takes, links, patience)
    }

    fn of(era: Era, bench: Bench, takes: &'static str, links: Option<Links>, patience: Duration) -> Self {
        let (to_client, client) = mpsc::channel(64);
        let (to_server, server) = mpsc::channel(64);
        let terms = Terms {
            gate: bench.gate.clone(),
            name: "bank".parse().unwrap(),
            era: Some(era),
            grant: GrantSource::Given(bench.grant()),
            patience,
            definitions: Arc::default(),
            held: Arc::new(HeldCalls::new("tag")),
            forms: Forms {
                tasks: Some(Arc::new(Tasks::new(Arc::new(bench.clock.clone())))),
                links: links.map(Arc::new),
            },
        };
        Self {
            session: Arc::new(Session::new(terms, (to_client, to_server), "tag")),
            bench,
            client,
            server,
            takes,
            asked: 0,
        }
    }

    fn hold(&self) -> HoldId {
        self.bench.hold()
    }

    async fn answered(&self, id: HoldId, state: State) {
        self.bench.answered(id, state).await;
    }

    async fn asks_with(&mut self, method: &str, params: &str, grant: Option<String>) {
        self.asked += 1;
        let (id, takes) = (self.asked, self.takes);
        let meta = format!(r#""_meta":{{"{SAYS_CAPABILITIES}":{takes}}}"#);
        let line =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params},{meta}}}}}"#);
        let brought = Brought {
            grant: grant.map(Into::into),
            ..Brought::default()
        };
        self.session.client_said(Line::Text(line), brought).await;
    }

    async fn asks(&mut self, method: &str, params: &str) {
        self.asks_with(method, params, None).await;
    }

    /// What the client hears, and the server did not have to say.
    async fn told(&mut self) -> Value {
        let told = timeout(Duration::from_secs(30), self.client.recv()).await;
        let told: Value = serde_json::from_str(&told.unwrap().unwrap().line).unwrap();
        assert_eq!(told["id"], self.asked, "{told}");
        told
    }

    async fn does(&mut self, method: &str, params: &str) -> Value {
        self.asks(method, params).await;
        self.told().await
    }

    /// What the server hears.
    async fn heard(&mut self) -> Value {
        let line = timeout(Duration::from_secs(30), self.server.recv()).await;
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }

    async fn server_says(&self, to: &Value, result: &str) {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, to["id"]);
        self.session.server_said(Line::Text(line), None).await;
    }

    async fn lists(&mut self) {
        let asked = self.heard().await;
        assert_eq!(asked["method"], "tools/list", "{asked}");
        self.server_says(&asked, &format!(r#"{{"tools":{TOOLS}}}"#)).await;
    }

    fn outcomes(&self) -> Vec<OutcomeResult> {
        let outcome = |record| match record {
            Record::Outcome(outcome) => Some(outcome.result),
            _ => None,
        };
        self.bench.records().into_iter().filter_map(outcome).collect()
    }

    /// Nothing was said to the server.
    fn is_quiet(&mut self) -> bool {
        self.server.try_recv().is_err()
    }
}

#[test]
fn a_moment_is_said_as_programs_read_it() {
    for (ms, said) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_750_000_000_001, "2025-06-15T15:06:40.001Z"),
        (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        (u64::MAX, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(crate::moment::rfc3339(ms), said);
    }
}

#[test]
fn a_client_takes_what_it_says_and_nothing_that_looks_like_it() {
    let takes = |capabilities: &str| {
        let meta = format!(r#"{{"{SAYS_CAPABILITIES}":{capabilities}}}"#);
        let meta: Box<RawValue> = serde_json::from_str(&meta).unwrap();
        Takes::of(&meta)
    };
    let both = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}},"elicitation":{"form":{},"url":{}}}"#;
    assert_eq!(
        takes(both),
        Takes {
            tasks: true,
            links: true
        }
    );
    for neither in [
        "{}",
        r#"{"elicitation":{}}"#,
        r#"{"elicitation":{"form":{}}}"#,
        r#"{"elicitation":{"url":false}}"#,
        r#"{"tasks":{},"extensions":{"io.modelcontextprotocol/tasks":null}}"#,
        r#"{"extensions":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
        "[]",
    ] {
        assert_eq!(takes(neither), Takes::default(), "{neither}");
    }
}

#[test]
fn what_a_server_says_of_itself_stays_and_tasks_are_said_beside_it() {
    let reply = |capabilities: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"supportedVersions":["2026-07-28"],"capabilities":{capabilities}}}}}"#
        )
    };
    let said = |capabilities: &str| -> Value {
        serde_json::from_str(&discovered(&reply(capabilities)).unwrap()).unwrap()
    };
    assert_eq!(
        said(r#"{"tools":{"x":1.50},"extensions":{"a.b/c":{}}}"#),
        json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {"x": 1.50},
            "extensions": {"a.b/c": {}, TASKS: {}}}})
    );
    assert_eq!(said("{}")["capabilities"]["extensions"], json!({TASKS: {}}));
    assert!(discovered(&reply(&format!(r#"{{"extensions":{{"{TASKS}":{{}}}}}}"#))).is_none());
    assert!(discovered(r#"{"jsonrpc":"2.0","id":1,"error":{}}"#).is_none());
}
