//! Passing a grant on as it is typed, on machines that reach no control plane: what comes out is what an enforcer believes.

use std::path::Path;
use std::process::Stdio;

use checkrein_shared::action::Arguments;
use checkrein_shared::grant::{Chain, Grant, InvalidGrant, Limits, Proof, Scope};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::key::{SigningKey, VerifyingKey};
use checkrein_shared::{Clock, SystemClock};
use checkrein_tests::{Binaries, WAIT_MAX};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::AGENT;

const SEARCH: &str = "spiffe://acme.example/agent/search";
const READER: &str = "spiffe://acme.example/agent/reader";
const PAY: &str = r#"{"amount":5,"recipient":"GB29NWBK60161331926819"}"#;

/// A directory to type in, with no client config anywhere.
struct Terminal {
    binaries: Binaries,
    home: tempfile::TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
struct Typed {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Terminal {
    async fn new() -> Self {
        Self {
            binaries: Binaries::build().await.unwrap(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    /// `checkrein task …`, with this on standard input.
    async fn types(&self, line: &str, input: &str) -> Typed {
        let mut command = self.binaries.checkrein();
        command
            .arg("task")
            .args(line.split_whitespace())
            .current_dir(self.path())
            .env("HOME", self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Whoever fails early reads nothing.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let ended = tokio::time::timeout(WAIT_MAX, child.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        Typed {
            code: ended.status.code(),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    /// The same, which must succeed.
    async fn prints(&self, line: &str, input: &str) -> String {
        let typed = self.types(line, input).await;
        assert_eq!(typed.code, Some(0), "task {line}: {}", typed.err);
        typed.out
    }

    /// Makes a key, and returns its public half.
    async fn key(&self, name: &str) -> VerifyingKey {
        VerifyingKey::from_base64(self.prints(&format!("key {name}"), "").await.trim()).unwrap()
    }
}

/// What `task start` gives to whoever holds this key.
fn started(holder: VerifyingKey) -> Grant {
    let now_ms = SystemClock.wall_ms();
    let scope = r#"{
        "bank/get_balance": {},
        "bank/send_money": {
            "recipient": {"constraint_type": "exact", "value": "GB29NWBK60161331926819"},
            "amount": {"constraint_type": "range", "max": 20}
        }
    }"#;
    Grant {
        id: GrantId::new(&SystemClock),
        task: TaskId::new(&SystemClock),
        epoch: 0,
        agent: AGENT.parse().unwrap(),
        user: "alice".into(),
        scope: Scope::parse_json(scope.as_bytes()).unwrap(),
        limits: Limits {
            calls: Some(60),
            risk: 25,
            depth: 2,
            ..Limits::default()
        },
        data: None,
        named: Vec::new(),
        intent: "pay the rent".into(),
        environment: "production".into(),
        issued_ms: now_ms,
        expires_ms: now_ms + 3_600_000,
        holder: Some(holder),
        link: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_passed_on_twice_and_proved_without_a_control_plane() {
    let terminal = Terminal::new().await;
    let authority = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let billing = terminal.key("billing.key").await;
    let (search, reader) = (terminal.key("search.key").await, terminal.key("reader.key").await);
    let root = started(billing).sign(&authority).unwrap();
    std::fs::write(terminal.path().join("billing.grant"), &root).unwrap();

    let line = format!(
        "delegate --grant billing.grant --key billing.key --agent {SEARCH} --holder={} --tool bank/send_money --calls 5 \
         --depth 1 --expires-in 10m",
        search.to_base64()
    );
    let first = terminal.prints(&line, "").await;
    let line = format!(
        "delegate --grant - --key search.key --agent {READER} --holder={} --single-use --no-data --risk high",
        reader.to_base64()
    );
    let second = terminal.prints(&line, &first).await;

    let chain = Chain::verify(second.trim(), &[authority.verifying()]).unwrap();
    let agents: Vec<&str> = chain.grants().map(|grant| grant.agent.as_str()).collect();
    assert_eq!(agents, [AGENT, SEARCH, READER]);
    let leaf = chain.leaf();
    let pay = Arguments::parse(PAY.as_bytes()).unwrap();
    leaf.scope.admits("bank/send_money", &pay).unwrap();
    assert!(leaf.scope.admits("bank/get_balance", &Arguments::none()).is_err());
    assert_eq!((leaf.limits.calls, leaf.limits.risk), (Some(1), 75));
    assert_eq!(leaf.expires_ms, chain.grants().nth(1).unwrap().expires_ms);
    assert!(leaf.expires_ms < chain.root().expires_ms);
    let stranger = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    assert!(matches!(
        Chain::verify(second.trim(), &[stranger.verifying()]),
        Err(InvalidGrant::UnknownKey(_))
    ));

    let shown = terminal.prints("inspect --grant - --json", &second).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let ids: Vec<String> = chain.grants().map(|grant| grant.id.to_string()).collect();
    let member = |at: usize, name: &str| shown["grants"][at][name].clone();
    assert_eq!([0, 1, 2].map(|at| member(at, "grant_id")), *ids);
    assert_eq!(
        [0, 1, 2].map(|at| member(at, "signed_by")),
        ["control_plane", "holder", "holder"]
    );

    let line = format!("prove --grant - --key reader.key --tool bank/send_money --arguments {PAY}");
    let proof = terminal.prints(&line, &second).await;
    let call = ("bank/send_money", &pay);
    Proof::verify(proof.trim(), second.trim(), leaf, call, SystemClock.wall_ms()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_prints_no_grant_and_fails() {
    let terminal = Terminal::new().await;
    let authority = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let billing = terminal.key("billing.key").await;
    let root = started(billing.clone()).sign(&authority).unwrap();
    let to = format!("--agent {SEARCH} --holder={}", billing.to_base64());
    for (line, input, wrong) in [
        ("key billing.key".to_owned(), "", "exists already"),
        ("inspect --grant -".to_owned(), "~", "token 1 of 2"),
        ("inspect --grant missing".to_owned(), "", "`missing`"),
        (format!("delegate --grant - {to}"), &*root, "client config"),
        (
            format!("delegate --grant - --key billing.key {to} --calls 61"),
            &*root,
            "60 calls",
        ),
        (
            format!("delegate --grant - --key billing.key {to} --tool files/read"),
            &*root,
            "bank/get_balance, bank/send_money",
        ),
    ] {
        let typed = terminal.types(&line, input).await;
        assert_eq!((typed.code, typed.out.as_str()), (Some(1), ""), "{line}");
        assert!(typed.err.contains(wrong), "{line}: {}", typed.err);
    }
    let typed = terminal.types("delegate --grant - --agent search", &root).await;
    assert_eq!((typed.code, typed.out.as_str()), (Some(2), ""), "{}", typed.err);
}
