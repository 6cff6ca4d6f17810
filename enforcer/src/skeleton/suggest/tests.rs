//! Where a server hints at nothing, the worst is suggested.

use super::*;

fn suggested(annotations: &Value) -> (Vec<&'static str>, &'static str) {
    let suggestion = Suggestion::of(annotations);
    (suggestion.effects.to_vec(), suggestion.reversibility)
}

#[test]
fn a_tool_of_which_nothing_is_said_is_taken_for_the_worst() {
    let worst = (vec!["read", "write", "destroy", "send"], "irreversible");
    for silent in [
        json!(null),
        json!({}),
        json!({"title": "T"}),
        json!({"readOnlyHint": "yes"}),
    ] {
        assert_eq!(suggested(&silent), worst, "{silent}");
    }
}

#[test]
fn each_hint_takes_away_what_it_denies_and_nothing_else() {
    assert_eq!(
        suggested(&json!({"readOnlyHint": true, "destructiveHint": true})),
        (vec!["read"], "read_only")
    );
    let stays = json!({"openWorldHint": false});
    assert_eq!(
        suggested(&stays),
        (vec!["read", "write", "destroy"], "irreversible")
    );
    let spares = json!({"destructiveHint": false});
    assert_eq!(
        suggested(&spares),
        (vec!["read", "write", "send"], "externally_reversible")
    );
    let both = json!({"destructiveHint": false, "openWorldHint": false});
    assert_eq!(suggested(&both), (vec!["read", "write"], "reversible"));
}

#[test]
fn a_definition_keeps_the_bytes_that_are_hashed() {
    let tool = r#"{"name":"n", "inputSchema":{"type":"object","properties":{"x":{"maximum":1e2,"minimum":-0.0}}},"big":123456789012345678901234567890}"#;
    let found = Inventory {
        tools: vec![tool.to_owned()],
        methods: vec!["resources/read"],
    };
    let written = definitions(&found);
    assert!(written.contains(tool), "{written}");
    let read: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(read["tools"][1]["name"], "resources/read");
}
