//! What a rule reads is never underestimated.

use cedar_policy_core::parser::parse_policy;

use super::*;

fn reads(condition: &str) -> Reads {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    Reads::of(
        parse_policy(None, &text)
            .unwrap()
            .non_scope_constraints()
            .unwrap(),
    )
}

#[test]
fn members_of_the_input_are_read_by_name() {
    for (condition, names) in [
        (
            "context.input.a == 1 && context.input[\"b c\"].d",
            vec!["a", "b c"],
        ),
        ("context.input has a", vec!["a"]),
        ("context.input has a.b", vec!["a"]),
        ("context has input.a.b", vec!["a"]),
        ("context has input", vec![]),
        (
            "context.environment == \"x\" && context.task.id == \"input\"",
            vec![],
        ),
        ("principal.input.a == resource.input", vec![]),
        (
            "[context.input.a].contains(1) || {x: context.input.b}.x",
            vec!["a", "b"],
        ),
        (
            "if context.input.a then context.input.b else context.input.c like \"x\"",
            vec!["a", "b", "c"],
        ),
    ] {
        assert_eq!(
            reads(condition),
            Reads::Only(names.into_iter().map(SmolStr::from).collect()),
            "{condition}"
        );
    }
}

#[test]
fn whoever_uses_the_whole_reads_everything() {
    for condition in [
        "context == {}",
        "context.input == {a: 1}",
        "context.input.a == 1 && context.input == {}",
        "(if true then context else context).input.a == 1",
        "(if true then context.input else {a: 2}).a == 1",
        "[context.input].contains({a: 1})",
        "{x: context}.x.input.a",
    ] {
        assert_eq!(reads(condition), Reads::Everything, "{condition}");
        assert!(reads(condition).may_read("anything"));
    }
}
