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
            reads(condition).arguments,
            Named::Only(names.into_iter().map(SmolStr::from).collect()),
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
        assert_eq!(reads(condition).arguments, Named::Everything, "{condition}");
        assert!(reads(condition).may_read("anything"));
    }
}

#[test]
fn whoever_may_look_at_the_ledger_reads_it_and_nobody_else() {
    for (condition, ledger) in [
        ("context.task.labels.contains(\"pii\")", true),
        ("context.task has used", true),
        ("context.task.used has \"c/d\"", true),
        ("context has task.calls", true),
        ("context[\"task\"][\"sensitivity\"] > 1", true),
        (
            "1 < 2 && (if context.task.reversibility > 1 then true else false)",
            true,
        ),
        ("context.task == {}", true),
        ("{x: context.task}.x.labels == []", true),
        ("context == {}", true),
        ("context.task.id == \"labels\" && context.task.risk > 3", false),
        ("context.task has data && context has task.data", false),
        ("context has task", false),
        ("context.input.labels == [] && resource.labels == []", false),
        ("context.chain.depth > 1", false),
        ("context.risk > 50", true),
        ("context has risk", true),
        ("context.input.risk == 1 && resource.risk == 1", false),
    ] {
        assert_eq!(reads(condition).ledger, ledger, "{condition}");
    }
}

#[test]
fn whoever_may_look_at_the_result_reads_it_and_nobody_else() {
    for (condition, result) in [
        ("context has result && context.result.bytes > 3", true),
        ("context has result.rows", true),
        ("context == {}", true),
        ("context.input.result == 1", false),
        ("context.task.labels.contains(\"result\")", false),
    ] {
        assert_eq!(reads(condition).result, result, "{condition}");
    }
}
