//! A pack's cases say what they expected and what they got.

use super::*;
use crate::policy::fixture;

#[test]
fn the_example_pack_does_what_its_cases_say() {
    let pack = Pack::parse(&fixture::payments())
        .unwrap_or_else(|findings| panic!("{}", fixture::rendered(&findings)));
    let results = run_cases(&pack, &Arc::new(fixture::bundle(&[&pack])));
    assert_eq!(results.len(), 8);
    for result in results {
        assert!(
            result.passed,
            "{}: expected {}, found {} because {}",
            result.name, result.expected, result.found, result.reason
        );
    }
}

const CASE: &str =
    "- name: one\n  agent: spiffe://a.example/agent/b\n  task: { user: ann, scope: [c/d] }\n  tool: c/d\n";

fn read(text: &str) -> Result<Vec<Case>, Finding> {
    Case::parse_file(Place::new("tests/a.yaml", text))
}

#[test]
fn a_case_that_is_not_understood_is_refused_at_its_place() {
    let verdict = "  expect: { verdict: deny }\n";
    for (text, line, said) in [
        (
            format!("{CASE}  expect: {{ verdict: maybe }}\n"),
            5,
            "`maybe` is not a verdict",
        ),
        (
            format!("{CASE}  expect: {{ verdict: deny, cause: fate }}\n"),
            5,
            "`fate` is not a cause",
        ),
        (
            format!("{CASE}  expect: {{ verdict: deny, because: x }}\n"),
            5,
            "unknown field `because`",
        ),
        (CASE.to_owned(), 1, "missing field `expect`"),
        (
            format!("{CASE}{verdict}  colour: red\n"),
            6,
            "unknown field `colour`",
        ),
        (
            format!("{}{verdict}", CASE.replace("user: ann, ", "")),
            3,
            "missing field `user`",
        ),
        (
            format!("{}{verdict}", CASE.replace("agent/b", "b")),
            1,
            "invalid path",
        ),
        (
            format!("{}{verdict}", CASE.replace("[c/d]", "[c]")),
            1,
            "`c` is not a tool",
        ),
        (
            format!("{CASE}{verdict}  now: yesterday\n"),
            1,
            "`now` is not a moment",
        ),
        (
            format!("{CASE}{verdict}  now: 1950-01-01T00:00:00Z\n"),
            1,
            "`now` is not a moment",
        ),
        (
            format!("{}{verdict}", CASE.replace("[c/d] }", "[c/d], data: [PII] }")),
            1,
            "`PII` is not a label",
        ),
        (
            format!("{}{verdict}", CASE.replace("[c/d] }", "[c/d], data: pii }")),
            3,
            "invalid type",
        ),
        (format!("{CASE}{verdict}  arguments: [1]\n"), 6, "expected"),
        (
            format!("{CASE}{verdict}  teams: [\" x\"]\n"),
            1,
            "not the name of a team",
        ),
        (
            format!("{CASE}{verdict}  arguments: {{ a: 1, a: 2 }}\n"),
            6,
            "duplicate",
        ),
    ] {
        let finding = read(&text).unwrap_err();
        assert_eq!(finding.line, line, "{}", finding.rendered);
        assert!(finding.message.contains(said), "{}", finding.rendered);
    }
}

#[test]
fn a_case_says_what_it_expected_and_what_it_found() {
    let pack = Pack::parse(&fixture::payments()).unwrap();
    let text = "- name: wrong\n  agent: spiffe://acme.example/agent/billing\n  task: { user: alice, scope: [bank/*], named: [10], \
                environment: production }\n  tool: bank/send_money\n  arguments: { recipient: US13, amount: 10.0 }\n  \
                expect: { verdict: permit, rules: [pay-small], cause: permitted, groups: [] }\n";
    let case = read(text).unwrap().remove(0);
    let result = case.run(&Arc::new(fixture::bundle(&[&pack])));
    assert!(!result.passed);
    assert_eq!(result.expected, "permit (permitted) by pay-small for nobody");
    assert_eq!(result.found, "hold (held) by pay-unnamed for treasury");
    assert_eq!(
        result.reason,
        "the user did not name this account (rule `pay-unnamed`)"
    );
}

#[test]
fn a_case_declares_the_risk_of_its_task_and_the_self_test_carries_it() {
    let catalog = r#"[{"name": "look", "inputSchema": {"type": "object"}}]"#;
    let effects = "[look]\neffects = [\"read\"]\nreversibility = \"read_only\"\n";
    let rules = "@id(\"all\") permit (principal, action, resource);\n\
                 @id(\"risky\") forbid (principal, action, resource) when { context.task.risk >= 75 };";
    let case = |name: &str, risk: &str, expect: &str| {
        format!(
            "- name: {name}\n  agent: spiffe://a.example/agent/b\n  task: {{ user: ann, scope: [c/*]{risk} }}\n  tool: c/look\n  \
             expect: {{ {expect} }}\n"
        )
    };
    let cases = [
        case("undeclared", "", "verdict: permit"),
        case("medium", ", risk: medium", "verdict: permit"),
        case("high", ", risk: high", "verdict: deny, rules: [risky]"),
        case("number", ", risk: 75", "verdict: deny, rules: [risky]"),
    ];
    let pack = fixture::pack(
        "pack",
        &[
            ("catalog/c.json", catalog),
            ("catalog/c.toml", effects),
            ("rules.cedar", rules),
            ("tests/a.yaml", &cases.concat()),
        ],
    );
    // Opening it judges the self-test again, from its bytes: a risk that they lost would decide otherwise.
    for result in run_cases(&pack, &Arc::new(fixture::bundle(&[&pack]))) {
        assert!(result.passed, "{}: found {}", result.name, result.found);
    }
    let refused = read(&case("odd", ", risk: 101", "verdict: deny")).unwrap_err();
    assert!(refused.message.contains("`critical`"), "{}", refused.message);
}

#[test]
fn a_case_says_which_data_its_task_may_touch_and_the_self_test_carries_it() {
    let catalog = r#"[{"name": "look", "inputSchema": {"type": "object"}}, {"name": "now", "inputSchema": {"type": "object"}}]"#;
    let effects = "[look]\neffects = [\"read\"]\nreversibility = \"read_only\"\nyields = [\"pii\"]\n\
                   [now]\neffects = []\nreversibility = \"read_only\"\n";
    let case = |tool: &str, data: &str, expect: &str| {
        format!(
            "- name: \"{tool}{data}\"\n  agent: spiffe://a.example/agent/b\n  task: {{ user: ann, scope: [c/*]{data} }}\n  \
             tool: c/{tool}\n  expect: {{ {expect} }}\n"
        )
    };
    let outside = "verdict: deny, cause: out_of_scope, rules: []";
    let cases = [
        case("look", "", "verdict: permit"),
        case("look", ", data: [public, pii]", "verdict: permit"),
        case("look", ", data: [public]", outside),
        case("look", ", data: []", outside),
        case("now", ", data: []", "verdict: permit"),
    ];
    let pack = fixture::pack(
        "pack",
        &[
            ("catalog/c.json", catalog),
            ("catalog/c.toml", effects),
            (
                "rules.cedar",
                "@id(\"all\") permit (principal, action, resource);",
            ),
            ("tests/a.yaml", &cases.concat()),
        ],
    );
    // Opening it judges the self-test again, from its bytes: a data scope that they lost would decide otherwise.
    for result in run_cases(&pack, &Arc::new(fixture::bundle(&[&pack]))) {
        assert!(result.passed, "{}: found {}", result.name, result.found);
    }
}

#[test]
fn a_case_puts_its_agent_into_teams_as_the_register_would() {
    let catalog = r#"[{"name": "look", "inputSchema": {"type": "object"}}]"#;
    let effects = "[look]\neffects = [\"read\"]\nreversibility = \"read_only\"\n";
    let rules = "@id(\"team\") permit (principal in Team::\"all\", action, resource);";
    let entities = r#"[{"uid": {"type": "Team", "id": "billing"}, "attrs": {}, "parents": [{"type": "Team", "id": "all"}]}]"#;
    let case = |teams: &str, verdict: &str| {
        format!(
            "- name: {verdict}\n  agent: spiffe://a.example/agent/new\n  {teams}task: {{ user: ann, scope: [c/*] }}\n  \
             tool: c/look\n  expect: {{ verdict: {verdict} }}\n"
        )
    };
    let cases = [
        case("teams: [billing]\n  ", "permit"),
        case("teams: [sales]\n  ", "deny"),
        case("", "deny"),
    ];
    let pack = fixture::pack(
        "pack",
        &[
            ("catalog/c.json", catalog),
            ("catalog/c.toml", effects),
            ("rules.cedar", rules),
            ("entities.json", entities),
            ("tests/a.yaml", &cases.concat()),
        ],
    );
    let results = run_cases(&pack, &Arc::new(fixture::bundle(&[&pack])));
    assert_eq!(results.len(), 3);
    for result in results {
        assert!(result.passed, "{}: found {}", result.name, result.found);
    }
}
