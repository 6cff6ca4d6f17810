//! Events that agents send, and what is remembered between them.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

fn event(json: &serde_json::Value) -> anyhow::Result<Event> {
    Event::parse(&json.to_string())
}

fn before(tool: &str, input: &serde_json::Value) -> serde_json::Value {
    json!({
        "session_id": "s-1", "transcript_path": "/t", "cwd": "/w", "permission_mode": "default",
        "hook_event_name": "PreToolUse", "tool_name": tool, "tool_input": input, "tool_use_id": "use-1",
    })
}

fn used(json: &serde_json::Value) -> Use {
    match event(json).unwrap() {
        Event::Before(used) | Event::After(used, _) => used,
    }
}

fn memory() -> (TempDir, Memory) {
    let place = tempfile::tempdir().unwrap();
    let memory = Memory::open(Some(&place.path().join("hook"))).unwrap();
    (place, memory)
}

#[test]
fn a_tool_is_the_agents_own_or_a_servers() {
    for (said, tool) in [
        ("Bash", "code/Bash"),
        ("mcp__files__read_file", "files/read_file"),
        ("mcp__files__a__b", "files/a__b"),
        // What names no server and no tool is no server's tool.
        ("mcp__files", "code/mcp__files"),
        ("mcp____x", "code/mcp____x"),
        ("mcp__files__", "code/mcp__files__"),
    ] {
        assert_eq!(used(&before(said, &json!({}))).tool("code"), tool);
    }
}

#[test]
fn an_event_that_could_be_read_in_two_ways_or_is_of_no_tool_is_refused() {
    let good = before("Bash", &json!({"command": "ls"})).to_string();
    assert!(Event::parse(&good).is_ok());
    let twice = good.replace("\"tool_name\"", "\"tool_name\":\"Read\",\"tool_name\"");
    let nameless = before("", &json!({})).to_string();
    let other = good.replace("PreToolUse", "Stop");
    for bad in [
        &twice,
        &nameless,
        &other,
        "",
        "[]",
        "{}",
        "{\"hook_event_name\":\"PreToolUse\"}",
        &good[..40],
    ] {
        assert!(Event::parse(bad).is_err(), "{bad}");
    }
    let untouched = json!({"session_id": "s-1", "hook_event_name": "SessionStart"});
    assert!(
        event(&untouched)
            .unwrap_err()
            .to_string()
            .contains("no event of a tool")
    );
}

#[test]
fn what_a_tool_gave_is_told_and_that_it_failed_too() {
    let mut after = before("Bash", &json!({"command": "ls"}));
    after["hook_event_name"] = json!("PostToolUse");
    after["tool_response"] = json!({"stdout": "x"});
    let Event::After(_, ended) = event(&after).unwrap() else {
        panic!("the use is over")
    };
    assert_eq!(
        (ended.response.as_str(), ended.failed.is_none()),
        (r#"{"stdout":"x"}"#, true)
    );
    after["hook_event_name"] = json!("PostToolUseFailure");
    let Event::After(_, ended) = event(&after).unwrap() else {
        panic!("the use is over")
    };
    assert!(ended.failed.is_some());
}

#[test]
fn the_same_use_has_one_name_until_people_have_answered() {
    let (_place, memory) = memory();
    let one = used(&before("Bash", &json!({"command": "ls", "timeout": 1})));
    let first = memory.call(&one.same()).unwrap();
    let spelt_otherwise = {
        let mut again = before("Bash", &json!({}));
        again["tool_use_id"] = json!("use-2");
        let text = again.to_string().replace(
            "\"tool_input\":{}",
            "\"tool_input\":{\"timeout\": 1, \"command\":\"ls\"}",
        );
        let Event::Before(used) = Event::parse(&text).unwrap() else {
            panic!("nothing was used yet")
        };
        used
    };
    assert_eq!(memory.call(&spelt_otherwise.same()).unwrap().id, first.id);
    let other = used(&before("Bash", &json!({"command": "ls", "timeout": 2})));
    assert_ne!(memory.call(&other.same()).unwrap().id, first.id);
    let mut sub_agents = before("Bash", &json!({"command": "ls", "timeout": 1}));
    sub_agents["agent_id"] = json!("researcher-1");
    assert_ne!(memory.call(&used(&sub_agents).same()).unwrap().id, first.id);

    memory.over(&first).unwrap();
    assert_ne!(memory.call(&one.same()).unwrap().id, first.id);
}

#[test]
fn a_permitted_use_is_found_once_when_it_has_ended() {
    let (_place, memory) = memory();
    let one = used(&before("Bash", &json!({"command": "ls"})));
    assert!(
        memory.take(&one.one().unwrap()).unwrap().is_none(),
        "nobody permitted it"
    );
    memory.keep(&one.one().unwrap(), "decision-1").unwrap();
    assert_eq!(
        memory.take(&one.one().unwrap()).unwrap().as_deref(),
        Some("decision-1")
    );
    assert!(
        memory.take(&one.one().unwrap()).unwrap().is_none(),
        "it ended once"
    );
}

#[test]
fn a_memory_that_others_can_read_or_write_is_not_used() {
    let place = tempfile::tempdir().unwrap();
    let open = place.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Memory::open(Some(&open)).unwrap_err().to_string();
    assert!(refused.contains("chmod 700"), "{refused}");
    let (place, memory) = memory();
    let secret = used(&before("Bash", &json!({"command": "hunter2"})));
    memory.keep(&secret.one().unwrap(), "decision-1").unwrap();
    let call = memory.call(&secret.same()).unwrap();
    memory.over(&call).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(place.path().join("hook")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2") && !path.to_string_lossy().contains("hunter2"));
        files += 1;
    }
    assert_eq!(files, 2);
}

#[test]
fn an_agent_is_answered_in_words_that_it_obeys() {
    let hook = |defer| Hook {
        beside: Beside {
            socket: "gate.sock".into(),
            grant: None,
            wait: 0,
            state: None,
        },
        name: "code".to_owned(),
        defer,
    };
    let answer = |verdict: Verdict| AuthorizeResponse {
        verdict: verdict.into(),
        decision_id: "d-1".to_owned(),
        reason: "because".to_owned(),
        groups: vec!["owners".to_owned()],
        ..AuthorizeResponse::default()
    };
    let said = |verdict, defer| -> serde_json::Value {
        serde_json::from_str(&hook(defer).words("code/Bash", &answer(verdict))).unwrap()
    };
    let decision = |value: serde_json::Value| value["hookSpecificOutput"]["permissionDecision"].clone();
    assert_eq!(decision(said(Verdict::Permit, false)), "allow");
    assert_eq!(
        said(Verdict::Permit, true),
        json!({}),
        "the agent's own settings decide"
    );
    for (verdict, defer) in [
        (Verdict::Deny, false),
        (Verdict::Deny, true),
        (Verdict::Hold, true),
        (Verdict::Unspecified, true),
    ] {
        let said = said(verdict, defer);
        let reason = said["hookSpecificOutput"]["permissionDecisionReason"]
            .as_str()
            .unwrap();
        assert!(
            reason.contains("NOT done") && reason.contains("because"),
            "{reason}"
        );
        assert_eq!(decision(said), "deny", "{verdict:?}");
    }
}
