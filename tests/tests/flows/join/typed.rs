//! Joining as it is typed: by an operator, on the machine of the newcomer, and by the enforcer that then decides.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use checkrein_proto::decision::v1::{AuthorizeRequest, Verdict};
use checkrein_tests::{Binaries, Process, WAIT_MAX, fresh_database, gate};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::left;

const ASSISTANT: &str = "spiffe://checkrein.local/agent/assistant";
/// What an enforcer answers until the first policy has come and was confirmed.
const NOT_YET: [&str; 3] = ["no_policy", "policy_stale", "invalid_grant"];

/// A control plane as a process, and a directory to type in.
struct Terminal {
    binaries: Binaries,
    home: tempfile::TempDir,
    control_plane: Process,
    operator: PathBuf,
}

/// What a command printed, and whether it did what was asked.
#[derive(Debug)]
struct Typed {
    done: bool,
    out: String,
    err: String,
}

impl Terminal {
    async fn start() -> Self {
        let binaries = Binaries::build().await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut serve = binaries.checkrein();
        serve
            .current_dir(home.path())
            .args([
                "--json",
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--console-listen",
                "127.0.0.1:0",
                "--database-url",
            ])
            .arg(fresh_database().await.unwrap());
        let control_plane = Process::start(&mut serve).await.unwrap();
        let operator = PathBuf::from(control_plane.ready["client_config"].as_str().unwrap());
        Self {
            binaries,
            home,
            control_plane,
            operator,
        }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    /// `checkrein …` as whoever the config says; it must succeed, and print one document.
    async fn types(&self, config: &Path, words: &[&str]) -> Value {
        let mut command = self.binaries.checkrein();
        command.arg("--json").arg("--config").arg(config).args(words);
        let typed = self.run(command, None).await;
        assert!(typed.done, "checkrein {}: {}", words.join(" "), typed.err);
        serde_json::from_str(&typed.out).unwrap()
    }

    /// What `checkrein fleet enrol …` prints as the token.
    async fn enrols(&self, words: &[&str]) -> String {
        let words = [&["fleet", "enrol"], words].concat();
        let enrolled = self.types(&self.operator, &words).await;
        enrolled["token"].as_str().unwrap().to_owned()
    }

    /// `checkrein-enforcer join …`
    async fn joins(&self, words: &[&str]) -> Typed {
        let mut command = self.binaries.checkrein_enforcer();
        command.arg("join").args(words);
        self.run(command, None).await
    }

    /// `checkrein join …`, with this on standard input.
    async fn person_joins(&self, words: &[&str], input: &str) -> Typed {
        let mut command = self.binaries.checkrein();
        command.arg("join").args(words);
        self.run(command, Some(input)).await
    }

    async fn run(&self, mut command: Command, input: Option<&str>) -> Typed {
        command
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin
            .write_all(input.unwrap_or_default().as_bytes())
            .await
            .unwrap();
        drop(stdin);
        let ended = tokio::time::timeout(WAIT_MAX, child.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        Typed {
            done: ended.status.success(),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    /// The first answer of a gate under the first policy.
    async fn decides(&self, socket: &Path, request: &AuthorizeRequest) -> Verdict {
        let mut gate = gate(socket).await.unwrap();
        let asking = async {
            loop {
                let answer = gate.authorize(request.clone()).await.unwrap().into_inner();
                if !NOT_YET.contains(&answer.cause.as_str()) {
                    return answer.verdict();
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, asking).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_that_joined_decides_and_is_listed_and_its_token_is_worth_nothing_more() {
    let terminal = Terminal::start().await;
    let operator = terminal.operator.clone();
    terminal.types(&operator, &["policy", "init", "mail"]).await;
    terminal.types(&operator, &["policy", "push", "mail"]).await;
    let enrol = ["edge-1", "--agent", ASSISTANT, "--label", "team=support"];
    let token = terminal.enrols(&enrol).await;
    let joined = terminal.joins(&[&token]).await;
    assert!(joined.done, "{joined:?}");
    assert!(
        joined
            .out
            .contains("checkrein-enforcer serve --config edge-1/enforcer.toml"),
        "{joined:?}"
    );
    let home = terminal.path().join("edge-1");
    let enforcer = terminal.binaries.enforcer(&home).await.unwrap();
    let start = ["task", "start", "--user", "alice", "--agent", ASSISTANT];
    let scope = ["--tool", "mail/*", "--environment", "production"];
    let started = terminal.types(&operator, &[&start[..], &scope].concat()).await;
    let request = |tool: &str, arguments: &'static str| AuthorizeRequest {
        proof: String::new(),
        grant: started["grant"].as_str().unwrap().to_owned(),
        tool: tool.to_owned(),
        arguments: arguments.into(),
        call_id: "call".to_owned(),
        wait_ms: 0,
    };
    let socket = home.join("assistant.sock");
    let read = request("mail/search", r#"{"query":"invoice"}"#);
    assert_eq!(terminal.decides(&socket, &read).await, Verdict::Permit);
    let beyond = request("bank/pay", "{}");
    assert_eq!(terminal.decides(&socket, &beyond).await, Verdict::Deny);
    let listed = terminal.types(&operator, &["fleet", "list"]).await;
    let edge = &listed["enforcers"][0];
    assert_eq!(
        (&edge["name"], &edge["agents"][0], &edge["labels"][0]),
        (&"edge-1".into(), &ASSISTANT.into(), &"team=support".into())
    );
    assert_eq!(edge["instances"][0]["connected"], true, "{listed}");
    for (directory, why) in [("other", "has been used"), ("edge-1", "exists already")] {
        let refused = terminal.joins(&[&token, "--directory", directory]).await;
        assert!(!refused.done && refused.err.contains(why), "{refused:?}");
        assert!(!refused.err.contains(&token), "{refused:?}");
    }
    assert_eq!(left(terminal.path(), "other"), [""; 0]);
    assert_eq!(left(terminal.path(), "edge-1"), ["edge-1"]);
    enforcer.stop().await.unwrap();
    terminal.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_agents_join_as_enforcers_do_and_are_who_the_token_says() {
    let terminal = Terminal::start().await;
    for (role, words) in [
        ("approver", ["hold", "list"]),
        ("operator", ["fleet", "list"]),
        ("orchestrator", ["task", "list"]),
    ] {
        let token = terminal.enrols(&["bob", "--role", role]).await;
        // From standard input, where no list of processes shows it.
        let joined = terminal.person_joins(&["-"], &format!("{token}\n")).await;
        assert!(joined.done, "{joined:?}");
        let config = terminal.path().join(format!("{role}-bob/client.toml"));
        terminal.types(&config, &words).await;
        terminal.types(&config, &["identity", "renew"]).await;
        let again = terminal.person_joins(&[&token, "--directory", "again"], "").await;
        assert!(!again.done && again.err.contains("has been used"), "{again:?}");
        assert_eq!(left(terminal.path(), "again"), [""; 0]);
    }
    let approver = terminal.path().join("approver-bob/client.toml");
    let mut push = terminal.binaries.checkrein();
    push.arg("--config")
        .arg(approver)
        .args(["fleet", "enrol", "eve", "--role", "operator"]);
    let pushed = terminal.run(push, None).await;
    assert!(!pushed.done && pushed.err.contains("role operator"), "{pushed:?}");
    // The operator's own address means nothing elsewhere: here the token names another way to the same place.
    let config = std::fs::read_to_string(&terminal.operator).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let near = config["control_plane"][0].as_str().unwrap();
    let far = near.replace("localhost", "127.0.0.1");
    assert_ne!(near, far);
    let enrol = ["billing", "--role", "agent", "--control-plane", &far];
    let token = terminal.enrols(&enrol).await;
    let joined = terminal
        .person_joins(&[&token, "--directory", "keys/agent"], "")
        .await;
    assert!(joined.done, "{joined:?}");
    for file in ["key.pem", "certificate.pem", "ca.pem", "client.toml"] {
        assert!(terminal.path().join("keys/agent").join(file).exists(), "{file}");
    }
    let written = std::fs::read_to_string(terminal.path().join("keys/agent/client.toml")).unwrap();
    assert!(written.contains(&far), "{written}");
    terminal.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_late_damaged_or_for_the_other_program_is_refused_and_leaves_nothing() {
    let terminal = Terminal::start().await;
    let edge = ["edge-1", "--agent", ASSISTANT];
    let late = terminal
        .enrols(&[&edge[..], &["--expires-in", "1ms"]].concat())
        .await;
    let good = terminal.enrols(&edge).await;
    let bob = terminal.enrols(&["bob", "--role", "approver"]).await;
    let cut = &good[..good.len() - 1];
    for (token, why) in [
        (&*late, "has expired"),
        (cut, "is damaged"),
        ("grant", "not a join token"),
        (&*bob, "type `checkrein join` instead"),
    ] {
        let refused = terminal.joins(&[token, "--directory", "refused"]).await;
        assert!(!refused.done && refused.err.contains(why), "{refused:?}");
        let secret = &token[token.len().saturating_sub(40)..];
        assert!(!refused.err.contains(secret), "{refused:?}");
        assert_eq!(left(terminal.path(), "refused"), [""; 0], "{why}");
    }
    let late = terminal
        .enrols(&["eve", "--role", "agent", "--expires-in", "1ms"])
        .await;
    for (token, why) in [
        (&*late, "has expired"),
        (&bob[..bob.len() - 1], "is damaged"),
        (&*good, "type `checkrein-enforcer join` instead"),
    ] {
        let refused = terminal
            .person_joins(&[token, "--directory", "refused"], "")
            .await;
        assert!(!refused.done && refused.err.contains(why), "{refused:?}");
        assert!(!refused.err.contains(token), "{refused:?}");
        assert_eq!(left(terminal.path(), "refused"), [""; 0], "{why}");
    }
    // An enforcer without an agent would speak for nobody, and a person has none.
    for (words, why) in [
        (&["edge-2"][..], "--agent"),
        (&["edge-2", "--role", "enforcer"], "--agent"),
        (
            &["carol", "--role", "approver", "--agent", ASSISTANT],
            "only an enforcer",
        ),
        (
            &["carol", "--role", "approver", "--expires-in", "25h"],
            "24 hours",
        ),
        (&["carol", "--role", "control-plane"], "possible values"),
        (
            &[
                "carol",
                "--role",
                "agent",
                "--control-plane",
                "http://127.0.0.1:7420",
            ],
            "https://host:port",
        ),
    ] {
        let mut enrol = terminal.binaries.checkrein();
        enrol
            .arg("--config")
            .arg(&terminal.operator)
            .args(["fleet", "enrol"])
            .args(words);
        let refused = terminal.run(enrol, None).await;
        assert!(!refused.done && refused.err.contains(why), "{refused:?}");
    }
    terminal.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_whom_they_enrolled_and_takes_a_token_back() {
    let terminal = Terminal::start().await;
    let operator = terminal.operator.clone();
    let token = terminal.enrols(&["edge-1", "--agent", ASSISTANT]).await;
    let edge = "spiffe://checkrein.local/enforcer/edge-1";
    let listed = terminal.types(&operator, &["fleet", "invitations"]).await;
    let invitation = &listed["invitations"][0];
    assert_eq!(
        (&invitation["spiffe_id"], &invitation["state"]),
        (&edge.into(), &"open".into())
    );
    let withdraw = ["fleet", "invitations", "withdraw", edge];
    let withdrawn = terminal.types(&operator, &withdraw).await;
    assert_eq!(withdrawn["state"], "withdrawn");
    let refused = terminal.joins(&[&token]).await;
    assert!(
        !refused.done && refused.err.contains("was withdrawn"),
        "{refused:?}"
    );
    assert_eq!(left(terminal.path(), "edge-1"), [""; 0]);
    assert_eq!(terminal.types(&operator, &withdraw).await, withdrawn);
    let listed = terminal.types(&operator, &["fleet", "invitations", "list"]).await;
    assert_eq!(listed["invitations"][0], withdrawn);
    terminal.control_plane.stop().await.unwrap();
}
