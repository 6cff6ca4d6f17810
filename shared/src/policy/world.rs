//! A small world for tests of the verdict: every kind of scope and condition, agents and resources that exist and that don't.
//!
//! Rules are drawn at random from it and are not validated, so that they may err in every way Cedar can.

use proptest::prelude::*;
use proptest::sample::select;

use super::trial::{Authority, Trial};
use super::{Bundle, CASE_NOW_MS_DEFAULT, Pack, Reversibility, fixture};
use crate::action::Arguments;
use crate::ledger::{Ledger, Pedigree};

const TOOLS_JSON: &str = r#"[
  {"name": "look", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
  {"name": "pay", "inputSchema": {"type": "object", "required": ["account", "n"], "properties": {
    "account": {"type": "string"}, "n": {"type": "integer"}, "amount": {"type": "number"}}}},
  {"name": "close", "inputSchema": {"type": "object", "required": ["account", "n"], "properties": {
    "account": {"type": "string"}, "n": {"type": "integer"}, "amount": {"type": "number"}}}}
]"#;
const TOOLS_TOML: &str = r#"
[look]
effects = ["read"]
reversibility = "read_only"
[pay]
effects = ["send", "spend"]
reversibility = "irreversible"
resource = { type = "Account", id = "account" }
[close]
effects = ["destroy"]
reversibility = "irreversible"
resource = { type = "Account", id = "account" }
"#;
const SCHEMA: &str = "entity Region in [Region]; entity Account in [Region, Account] { level?: Long };";
pub(super) const ENTITIES: &str = r#"[
  {"uid": {"type": "Team", "id": "staff"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Team", "id": "desk"}, "attrs": {}, "parents": [{"type": "Team", "id": "staff"}]},
  {"uid": {"type": "Agent", "id": "spiffe://a.example/agent/ann"}, "attrs": {}, "parents": [{"type": "Team", "id": "desk"}]},
  {"uid": {"type": "Agent", "id": "spiffe://a.example/agent/ben"}, "attrs": {}, "parents": [{"type": "Team", "id": "staff"}]},
  {"uid": {"type": "Agent", "id": "spiffe://a.example/agent/cy"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Region", "id": "world"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Region", "id": "north"}, "attrs": {}, "parents": [{"type": "Region", "id": "world"}]},
  {"uid": {"type": "Account", "id": "one"}, "attrs": {"level": 1}, "parents": [{"type": "Region", "id": "north"}]},
  {"uid": {"type": "Account", "id": "two"}, "attrs": {}, "parents": [{"type": "Account", "id": "one"}]}
]"#;

const PRINCIPALS: [&str; 9] = [
    "principal",
    r#"principal == Agent::"spiffe://a.example/agent/ann""#,
    r#"principal == Agent::"spiffe://a.example/agent/ghost""#,
    r#"principal in Team::"desk""#,
    r#"principal in Team::"staff""#,
    r#"principal in Agent::"spiffe://a.example/agent/ghost""#,
    "principal is Agent",
    r#"principal is Agent in Team::"staff""#,
    r#"principal is User in Team::"staff""#,
];
const ACTIONS: [&str; 9] = [
    "action",
    r#"action == Action::"c/pay""#,
    r#"action == Action::"spend""#,
    r#"action in Action::"spend""#,
    r#"action in Action::"irreversible""#,
    r#"action in [Action::"read", Action::"destroy"]"#,
    r#"action in [Action::"c/look", Action::"c/pay"]"#,
    r#"action in Action::"c/close""#,
    r#"action in Action::"publish""#,
];
const RESOURCES: [&str; 10] = [
    "resource",
    r#"resource == Account::"one""#,
    r#"resource == Account::"ghost""#,
    r#"resource == Tool::"c/look""#,
    r#"resource in Region::"world""#,
    r#"resource in Account::"one""#,
    r#"resource in Account::"ghost""#,
    "resource is Account",
    r#"resource is Account in Region::"north""#,
    r#"resource is Tool in Region::"north""#,
];
const CONDITIONS: [&str; 20] = [
    "",
    "when { context.input.n > 1 }",
    "unless { context.input.n > 1 }",
    r#"when { context.environment == "production" }"#,
    r#"unless { context.arguments_from_intent.contains("account") }"#,
    "when { resource.level > 0 }",
    "when { resource has level && resource.level == 1 }",
    "when { context.input.n * 9223372036854775807 > 0 }",
    "when { context.input.nothing }",
    r#"when { context.input has amount && context.input.amount.greaterThan(decimal("2.0")) }"#,
    r#"when { principal in Team::"desk" }"#,
    r#"when { context.input.n == "one" }"#,
    r#"when { context.task.labels.contains("pii") }"#,
    r#"when { context.arguments_from.untrusted.contains("account") }"#,
    r#"unless { context.arguments_from.user.contains("account") || context.arguments_from.trusted.contains("account") }"#,
    r#"unless { context.task.calls > 0 && context.task.used has "c/look" }"#,
    r#"when { context.task.used["c/look"].times > 0 }"#,
    "when { context.risk > 20 }",
    "unless { context.risk >= 60 && context.chain.depth == 0 }",
    r#"when { context.task.sensitivity < 1 && context.task.id like "task_*" }"#,
];
const HEADS: [&str; 4] = ["permit", "permit", "forbid", "@hold(\"people\") forbid"];

/// A rule without its id.
pub(super) fn rule() -> impl Strategy<Value = String> {
    let parts = (
        select(&HEADS[..]),
        select(&PRINCIPALS[..]),
        select(&ACTIONS[..]),
        select(&RESOURCES[..]),
    );
    (parts, select(&CONDITIONS[..])).prop_map(|((head, principal, action, resource), condition)| {
        format!("{head} ({principal}, {action}, {resource}) {condition};")
    })
}

/// Rules with their ids.
pub(super) fn rules(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(rule(), count).prop_map(|rules| {
        rules
            .iter()
            .enumerate()
            .map(|(at, rule)| format!("@id(\"r{at:03}\") {rule}"))
            .collect()
    })
}

/// The world's pack, with these rules.
pub(super) fn pack(rules: &[String]) -> Pack {
    pack_with(rules, ENTITIES)
}

/// The same, with other entities.
pub(super) fn pack_with(rules: &[String], entities: &str) -> Pack {
    fixture::pack(
        "world",
        &[
            ("catalog/c.json", TOOLS_JSON),
            ("catalog/c.toml", TOOLS_TOML),
            ("s.cedarschema", SCHEMA),
            ("entities.json", entities),
            ("rules.cedar", &rules.join("\n")),
        ],
    )
}

/// The world's bundle, with these rules.
pub(super) fn bundle(rules: &[String]) -> Bundle {
    fixture::bundle(&[&pack(rules)])
}

/// What a task has done that has read what it should not take out.
fn tainted() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.labels.insert("pii".parse().unwrap());
    ledger.count("c/look", Reversibility::ReadOnly, CASE_NOW_MS_DEFAULT - 1_000);
    ledger
}

/// What a task has seen that read a page which names accounts.
fn stranger() -> Pedigree {
    Pedigree {
        untrusted: ["ghost".to_owned()].into(),
        ..Pedigree::default()
    }
}

/// Every call that could make a difference.
pub(super) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for agent in ["ann", "ben", "cy", "ghost"] {
        for (tool, account) in [
            ("c/look", ""),
            ("c/pay", "one"),
            ("c/pay", "two"),
            ("c/pay", "ghost"),
            ("c/close", "one"),
            ("c/close", "ghost"),
        ] {
            for n in [0, 1, 2] {
                trials.push(trial(agent, tool, account, n, ""));
            }
        }
        for amount in ["1", "2.5", "2.00001"] {
            trials.push(trial(agent, "c/pay", "two", 1, amount));
        }
    }
    trials
}

fn trial(agent: &str, tool: &str, account: &str, n: u64, amount: &str) -> Trial {
    let mut members = vec![format!("\"n\":{n}")];
    if !account.is_empty() {
        members.push(format!("\"account\":\"{account}\""));
    }
    if !amount.is_empty() {
        members.push(format!("\"amount\":{amount}"));
    }
    let arguments = format!("{{{}}}", members.join(","));
    let authority = Authority {
        user: "ann".to_owned(),
        scope: vec!["c/*".to_owned()],
        data: None,
        named: vec!["one".to_owned()],
        intent: String::new(),
        environment: if n == 2 {
            "production".to_owned()
        } else {
            "staging".to_owned()
        },
        risk: 0,
        delegated_by: if n == 3 {
            vec!["spiffe://a.example/agent/planner".parse().unwrap()]
        } else {
            Vec::new()
        },
        ledger: if n == 1 { tainted() } else { Ledger::default() },
        pedigree: if n == 2 { stranger() } else { Pedigree::default() },
    };
    Trial::new(
        format!("{agent} {tool} {arguments}"),
        format!("spiffe://a.example/agent/{agent}").parse().unwrap(),
        tool.to_owned(),
        Arguments::parse(arguments.as_bytes()).unwrap(),
        authority,
        1_000_000,
    )
    .unwrap()
}
