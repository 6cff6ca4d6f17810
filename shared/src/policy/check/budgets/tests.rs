//! A budget that counts less than it seems to is warned of where it stands.

use crate::policy::{Finding, check, fixture};

const TOOLS: &str = r#"[
  {"name": "pay", "inputSchema": {"type": "object"}},
  {"name": "list", "inputSchema": {"type": "object"}},
  {"name": "close", "inputSchema": {"type": "object"}}
]"#;
const CATALOG: &str = r#"
pay = { effects = ["spend"], reversibility = "irreversible", cost = { money = 5 } }
list = { effects = ["read"], reversibility = "read_only", cost = { money = 0 } }
close = { effects = ["write"], reversibility = "irreversible" }
"#;

fn found(budget: &str) -> Vec<Finding> {
    let settings =
        format!("namespace = \"org\"\n[[budget]]\nname = \"day\"\nper = \"user\"\nlimit = \"9\"\n{budget}\n");
    let pack = fixture::pack(
        "pack",
        &[
            ("checkrein.toml", &settings),
            ("catalog/bank.json", TOOLS),
            ("catalog/bank.toml", CATALOG),
        ],
    );
    check(&[&pack])
}

/// Every finding: line, message.
fn said(budget: &str) -> Vec<(u32, String)> {
    let findings = found(budget);
    let lines = findings.into_iter().map(|finding| {
        assert!(
            !finding.is_error() && finding.file == "checkrein.toml",
            "{finding}"
        );
        (finding.line, finding.message)
    });
    lines.collect()
}

#[test]
fn a_budget_of_tools_that_cost_nothing_in_its_meter_is_warned_of() {
    let nothing = |meter: &str| {
        let message =
            format!("the budget `day` counts nothing: no catalog says what its tools cost in `{meter}`");
        vec![(3, message)]
    };
    assert_eq!(said("meter = \"tokens\""), nothing("tokens"));
    assert_eq!(
        said("meter = \"money\"\ntools = [\"bank/close\"]"),
        nothing("money")
    );
    let help = &found("meter = \"tokens\"")[0].help;
    assert!(help.contains("`cost = { tokens = … }`"), "{help}");
}

#[test]
fn the_tools_whose_calls_are_not_counted_are_named() {
    let message = "calls of `bank/close` are not counted in the budget `day`: no catalog says what they cost in `money`";
    let expected = vec![(3, message.to_owned())];
    assert_eq!(said("meter = \"money\"\ntools = [\"bank/*\"]"), expected);
    let listed = "meter = \"money\"\ntools = [\"bank/pay\", \"bank/close\"]";
    assert_eq!(said(listed), expected);
}

#[test]
fn a_budget_that_counts_what_it_names_and_one_of_calls_are_not_warned_of() {
    for budget in [
        "meter = \"money\"",
        "meter = \"money\"\ntools = [\"bank/pay\", \"bank/list\"]",
        "meter = \"calls\"",
        "meter = \"calls\"\ntools = [\"bank/close\"]",
    ] {
        assert_eq!(said(budget), [], "{budget}");
    }
}

#[test]
fn a_name_in_a_budget_that_no_tool_has_is_warned_of_at_its_place() {
    for (tools, name) in [("bank/pay\", \"bank/pya", "bank/pya"), ("bonk/*", "bonk/*")] {
        let expected = format!("`{name}` of the budget `day` is no tool of any catalog");
        let budget = format!("meter = \"calls\"\ntools = [\"{tools}\"]");
        assert_eq!(said(&budget), [(7, expected)]);
    }
}
