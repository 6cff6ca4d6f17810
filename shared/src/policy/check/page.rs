//! What the page about outcomes shows can be typed as it stands, and does what the page says.

use crate::policy::{Pack, check, fixture, run_cases};

const PAGE: &str = include_str!("../../../../docs/outcomes.md");

const TOOLS: &str = r#"[
  {"name": "customer", "inputSchema": {"type": "object"}},
  {"name": "account", "inputSchema": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}},
  {"name": "page", "inputSchema": {"type": "object"}},
  {"name": "send", "inputSchema": {"type": "object"}},
  {"name": "export", "inputSchema": {"type": "object"}},
  {"name": "pay", "inputSchema": {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}}}]"#;
const SETTINGS: &str = "namespace = \"org\"\n[groups]\noffice = [\"spiffe://acme.example/approver/pat\"]\n";

/// The indented block that begins with this line.
fn block(first: &str) -> String {
    let indented = |line: &&str| line.starts_with("    ") || line.is_empty();
    let lines = PAGE.lines().skip_while(|line| line.trim() != first).skip(1);
    let lines: Vec<_> = lines.take_while(indented).map(str::trim_start).collect();
    assert!(!lines.is_empty(), "the page shows `{first}`");
    lines.join("\n")
}

/// A case of this call, which the page says ends so.
fn case(tool: &str, arguments: &str, done: &str, expect: &str) -> String {
    format!(
        "- name: '{tool} {arguments} {done}'\n  agent: spiffe://acme.example/agent/desk\n  \
         task: {{ user: ann, scope: [desk/*], named: [NAMED], done: {{ {done} }} }}\n  \
         tool: desk/{tool}\n  arguments: {{ {arguments} }}\n  expect: {{ {expect} }}\n"
    )
}

#[test]
fn the_page_about_outcomes_can_be_typed_as_it_stands_and_does_what_it_says() {
    let hold = |rules: &str| format!("verdict: hold, rules: [{rules}]");
    let cases = [
        case("send", "", "", "verdict: permit"),
        case("send", "", "labels: [pii]", &hold("personal")),
        case(
            "send",
            "",
            "labels: [restricted]",
            "verdict: deny, rules: [restricted]",
        ),
        case("pay", "to: NAMED", "untrusted: [NAMED]", "verdict: permit"),
        case("pay", "to: BOOK1", "trusted: [BOOK1]", "verdict: permit"),
        case(
            "pay",
            "to: PAGE1",
            "untrusted: [PAGE1]",
            &hold("stranger, unknown"),
        ),
        case("pay", "to: WHO12", "", &hold("unknown")),
        case("pay", "to: NAMED", "used: { desk/pay: 5m }", &hold("twice")),
        case("customer", "", "", "verdict: permit, yields: [pii]"),
        case("page", "", "", "verdict: permit, yields: [untrusted_content]"),
    ];
    let pack: Pack = fixture::pack(
        "desk",
        &[
            ("checkrein.toml", SETTINGS),
            ("catalog/desk.json", TOOLS),
            ("catalog/desk.toml", &block("# catalog/desk.toml")),
            ("labels.cedar", &block("// labels.cedar")),
            ("rules.cedar", &block("// rules.cedar")),
            ("s.cedarschema", "entity Record { sensitivity?: String };"),
            ("tests/page.yaml", &cases.concat()),
        ],
    );
    let findings = check(&[&pack]);
    assert!(findings.is_empty(), "{}", fixture::rendered(&findings));
    for result in run_cases(&pack, &std::sync::Arc::new(fixture::bundle(&[&pack]))) {
        assert!(
            result.passed,
            "{}: expected {}, found {} because {}",
            result.name, result.expected, result.found, result.reason
        );
    }
}
