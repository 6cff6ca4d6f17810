//! A coding agent is asked before each use of a tool, and is stopped whatever goes wrong.

use checkrein_proto::decision::v1::OutcomeResult;
use serde_json::{Value, json};

use super::{Said, Scene, runs};

/// An event as Claude Code sends it, and members that it may add.
fn event(name: &str, tool: &str, input: &Value, id: &str) -> Value {
    json!({
        "session_id": "0a1b", "transcript_path": "/home/alice/.claude/t.jsonl", "cwd": "/work/project",
        "permission_mode": "default", "hook_event_name": name, "tool_name": tool, "tool_input": input, "tool_use_id": id,
        "something_new": {"of": "tomorrow"},
    })
}

async fn asks(scene: &Scene, event: &Value) -> Said {
    let mut command = scene.command("hook");
    command.args(["--wait", "0"]);
    runs(command, &event.to_string()).await
}

async fn before(scene: &Scene, tool: &str, input: Value, id: &str) -> (String, String) {
    let said = asks(scene, &event("PreToolUse", tool, &input, id)).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    let answer = &answer["hookSpecificOutput"];
    assert_eq!(answer["hookEventName"], "PreToolUse");
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("permissionDecision"), text("permissionDecisionReason"))
}

async fn is_allowed(scene: &Scene, tool: &str, input: Value, id: &str) -> bool {
    before(scene, tool, input, id).await.0 == "allow"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_agent_is_asked_before_each_use_and_the_record_says_what_came_of_it() {
    let scene = Scene::set(&["code/*"]).await;
    let read = json!({"file_path": "/work/project/src/main.rs"});
    assert!(is_allowed(&scene, "Read", read.clone(), "use-1").await);
    let mut after = event("PostToolUse", "Read", &read, "use-1");
    after["tool_response"] = json!({"content": "fn main() {}"});
    assert_eq!(asks(&scene, &after).await.code, Some(0));
    assert!(is_allowed(&scene, "Read", read.clone(), "use-2").await);
    let failed = event("PostToolUseFailure", "Read", &read, "use-2");
    assert_eq!(asks(&scene, &failed).await.code, Some(0));
    let outcomes = scene.outcomes("code/Read", 2).await;
    let results: Vec<_> = outcomes.into_iter().map(|(result, _)| result).collect();
    assert_eq!(results, [OutcomeResult::Failed, OutcomeResult::Done]);

    for (tool, input, why) in [
        ("Read", json!({"file_path": "/work/project/.env"}), "secrets"),
        (
            "Write",
            json!({"file_path": "/w/.claude/settings.json", "content": "{}"}),
            "held by",
        ),
        // Neither in the catalog.
        ("mcp__unknown__tool", json!({}), "denied by policy"),
        (
            "Bash",
            json!({"command": "ls", "dangerouslyDisableSandbox": true}),
            "denied by policy",
        ),
    ] {
        let (decision, reason) = before(&scene, tool, input, "use-3").await;
        assert_eq!(decision, "deny", "{tool}: {reason}");
        assert!(
            reason.contains(why) && reason.contains("NOT done"),
            "{tool}: {reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_that_waits_for_people_is_allowed_once_when_they_agree_and_a_sub_agents_is_another() {
    let scene = Scene::set(&["code/*"]).await;
    let push = json!({"command": "git push"});
    let (decision, reason) = before(&scene, "Bash", push.clone(), "use-1").await;
    assert_eq!(decision, "deny");
    assert!(reason.contains("waits for approval by owners"), "{reason}");
    scene.approves().await;
    let mut of_sub_agent = event("PreToolUse", "Bash", &push, "use-2");
    of_sub_agent["agent_id"] = json!("researcher-1");
    let said = asks(&scene, &of_sub_agent).await;
    assert!(
        said.out.contains("waits for approval"),
        "nobody agreed to this one: {said:?}"
    );
    assert!(is_allowed(&scene, "Bash", push.clone(), "use-3").await);
    let (decision, reason) = before(&scene, "Bash", push, "use-4").await;
    assert_eq!(decision, "deny");
    assert!(
        reason.contains("waits for approval by owners"),
        "it is another push: {reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_the_tool_is_not_used() {
    let mut scene = Scene::set(&["code/*"]).await;
    let read = event("PreToolUse", "Read", &json!({"file_path": "/work/a"}), "use-1");
    let good = read.to_string();
    let refused = async |command, input: &str| {
        let said = runs(command, input).await;
        assert_eq!(said.code, Some(2), "the only code that stops an agent: {said:?}");
        assert!(said.err.contains("NOT used"), "{said:?}");
        assert_eq!(said.out, "");
    };
    let twice = good.replace("\"tool_name\"", "\"tool_name\":\"Glob\",\"tool_name\"");
    for bad in ["", "{", &twice, &good.replace("PreToolUse", "PreToolUSe")] {
        refused(scene.command("hook"), bad).await;
    }
    std::fs::rename(scene.directory.join("agent.grant"), scene.directory.join("gone")).unwrap();
    refused(scene.command("hook"), &good).await;
    std::fs::rename(scene.directory.join("gone"), scene.directory.join("agent.grant")).unwrap();
    let said = runs(scene.command("hook"), &good).await;
    assert!(said.out.contains("\"allow\""), "{said:?}");
    scene.kill().await;
    refused(scene.command("hook"), &good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ended_allows_nothing_any_more() {
    let scene = Scene::set(&["code/*"]).await;
    let read = json!({"file_path": "/work/a"});
    assert!(is_allowed(&scene, "Read", read.clone(), "use-1").await);
    scene.operator.end(&scene.task).await.unwrap();
    let denied = async { while is_allowed(&scene, "Read", read.clone(), "use-2").await {} };
    tokio::time::timeout(checkrein_tests::WAIT_MAX, denied)
        .await
        .unwrap();
}
