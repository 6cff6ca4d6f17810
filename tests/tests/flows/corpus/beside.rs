//! The library, and what asks an enforcer over the socket of its agent.

use std::process::Stdio;

use checkrein_enforcer::{Answer, Request};
use checkrein_proto::decision::v1::{AuthorizeRequest, CompleteRequest, OutcomeResult, Verdict};
use checkrein_shared::decision;
use checkrein_tests::{WAIT_MAX, gate};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::stand::{Call, Stand};
use super::told::Told;

/// What `run` exits with.
const HELD: i32 = 75;
const DENIED: i32 = 77;

pub(super) async fn library(stand: &Stand, call: &Call) -> Told {
    let request = Request::new(&*call.grant, &*call.tool, call.arguments.as_bytes()).call_id(&*call.id);
    let answer = stand.enforcer.gate().authorize(request).await.unwrap();
    let decided = answer.decided().clone();
    let told = Told {
        verdict: answer.verdict().to_string(),
        cause: Some(decided.cause.to_string()),
        reason: Some(decided.reason),
        rules: Some(decided.rules),
        decision: Some(decided.id.to_string()),
        ..Told::default()
    };
    match answer {
        Answer::Permit(permit) => {
            permit.complete(decision::OutcomeResult::Done, "").await.unwrap();
            told
        }
        Answer::Hold(held) => Told {
            groups: Some(held.groups),
            ..told
        },
        Answer::Deny(_) => told,
    }
}

pub(super) async fn grpc(stand: &Stand, call: &Call) -> Told {
    let mut gate = gate(&stand.socket()).await.unwrap();
    let request = AuthorizeRequest {
        grant: call.grant.clone(),
        tool: call.tool.clone(),
        arguments: call.arguments.clone().into(),
        call_id: call.id.clone(),
        ..AuthorizeRequest::default()
    };
    let answer = gate.authorize(request).await.unwrap().into_inner();
    let verdict = match answer.verdict() {
        Verdict::Permit => "permit",
        Verdict::Hold => "hold",
        Verdict::Deny | Verdict::Unspecified => "deny",
    };
    if verdict == "permit" {
        let done = CompleteRequest {
            decision_id: answer.decision_id.clone(),
            result: OutcomeResult::Done.into(),
            ..CompleteRequest::default()
        };
        gate.complete(done).await.unwrap();
    }
    Told {
        verdict: verdict.to_owned(),
        cause: Some(answer.cause),
        reason: Some(answer.reason),
        rules: Some(answer.rules),
        groups: Some(answer.groups),
        decision: Some(answer.decision_id),
        words: None,
    }
}

/// A coding agent uses a tool of an MCP server.
pub(super) async fn hook(stand: &Stand, call: &Call) -> Told {
    let event = json!({
        "hook_event_name": "PreToolUse", "session_id": call.id, "tool_use_id": call.id,
        "tool_name": format!("mcp__bank__{}", call.name()), "tool_input": "HERE",
    });
    let event = event.to_string().replace("\"HERE\"", &call.arguments);
    let (code, out, err) = runs(program(stand, call, "hook"), &event).await;
    assert_eq!(code, Some(0), "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    let answer = &answer["hookSpecificOutput"];
    let words = answer["permissionDecisionReason"].as_str().unwrap();
    let decision = word_after(words, "decision ");
    if answer["permissionDecision"] == "allow" {
        return Told {
            decision,
            ..Told::permit()
        };
    }
    Told {
        decision,
        ..waits_or_not(words)
    }
}

/// A command under this tool.
pub(super) async fn run(stand: &Stand, call: &Call) -> Told {
    let mut command = program(stand, call, "run");
    command.args(["--tool", &call.tool, "--", "true"]);
    let (code, _, err) = runs(command, "").await;
    assert!(
        [Some(0), Some(HELD), Some(DENIED)].contains(&code),
        "{code:?}: {err}"
    );
    if code == Some(0) {
        return Told::permit();
    }
    Told {
        decision: word_after(&err, "decision "),
        ..waits_or_not(&err)
    }
}

fn waits_or_not(words: &str) -> Told {
    let told = Told::refused(words);
    let Some(who) = words.split_once("waits for approval by ") else {
        return told;
    };
    let (groups, _) = who.1.split_once(':').unwrap();
    Told {
        verdict: "hold".to_owned(),
        groups: Some(groups.split(", ").map(str::to_owned).collect()),
        ..told
    }
}

fn program(stand: &Stand, call: &Call, form: &str) -> Command {
    let mut command = stand.binaries.checkrein_enforcer();
    command
        .arg(form)
        .arg("--socket")
        .arg(stand.socket())
        .arg("--grant")
        .arg(stand.grants(call))
        .arg("--state")
        .arg(stand.directory.join("calls"))
        .args(["--wait", "0"]);
    command
}

/// What it exits with, and says.
async fn runs(mut command: Command, input: &str) -> (Option<i32>, String, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut says = child.stdin.take().unwrap();
    // One that refuses early does not read all of it.
    let _written = says.write_all(input.as_bytes()).await;
    drop(says);
    let ended = timeout(WAIT_MAX, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

fn word_after(words: &str, mark: &str) -> Option<String> {
    let (_, rest) = words.rsplit_once(mark)?;
    let is_id = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    Some(rest.chars().take_while(|c| is_id(*c)).collect())
}
