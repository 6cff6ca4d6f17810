//! The self-test asks rules about every tool, and notices a build that decides anything otherwise.

use std::collections::BTreeSet;

use super::*;
use crate::policy::{Composition, SegmentKind, compose, fixture};

fn derived(packs: &[&Pack]) -> Vec<SelfTest> {
    let bundle = fixture::bundle(packs);
    let mut packs = packs.to_vec();
    packs.sort_by(|left, right| left.name.cmp(&right.name));
    SelfTests::derive(&packs, &bundle).0
}

/// Another pack under the self-test of this one: what an enforcer would run that reads a pack otherwise.
fn read_otherwise(tested: &Pack, run: &Pack) -> Result<Bundle, BundleError> {
    let (tested, mut run) = (compose(&[tested]).unwrap(), compose(&[run]).unwrap());
    let of = |composition: &Composition| {
        let mut segments = composition.segments.iter();
        segments
            .position(|segment| segment.kind == SegmentKind::SelfTest)
            .unwrap()
    };
    let at = of(&run);
    run.segments[at] = tested.segments[of(&tested)].clone();
    run.self_test = tested.self_test;
    run.open()
}

const JSON: &str = r#"{"tools": [
    {"name": "pay", "inputSchema": {"type": "object", "required": ["to", "amount", "kind", "when", "from"], "properties": {
        "to": {"type": "string"}, "amount": {"type": "number"}, "kind": {"type": "string", "enum": ["now", "later"]},
        "when": {"type": "string", "format": "date-time"}, "from": {"type": "string", "format": "ipv4"},
        "parts": {"type": "array", "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}},
        "note": {"type": ["string", "null"]}, "dry": {"type": "boolean"}, "how": {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    }}},
    {"name": "look", "inputSchema": {"type": "object"}}]}"#;
const TOML: &str = "[pay]\neffects = [\"spend\"]\nreversibility = \"irreversible\"\nresource = { type = \"Account\", id = \"to\" }\n\
                    [look]\neffects = [\"read\"]\nreversibility = \"read_only\"\n";
const ENTITIES: &str = r#"[
    {"uid": {"type": "Team", "id": "desk"}, "attrs": {}, "parents": []},
    {"uid": {"type": "Account", "id": "one"}, "attrs": {}, "parents": []},
    {"uid": {"type": "Agent", "id": "spiffe://a.example/agent/ann"}, "attrs": {}, "parents": [{"type": "Team", "id": "desk"}]},
    {"uid": {"type": "Agent", "id": "spiffe://a.example/agent/ben"}, "attrs": {}, "parents": [{"type": "Team", "id": "desk"}]}]"#;

fn pack(rules: &str) -> Pack {
    let settings = "namespace = \"org\"\n[groups]\npeople = [\"spiffe://a.example/approver/cy\", \"spiffe://a.example/approver/di\"]\n";
    fixture::pack(
        "pack",
        &[
            ("checkrein.toml", settings),
            ("catalog/c.json", JSON),
            ("catalog/c.toml", TOML),
            ("entities.json", ENTITIES),
            ("rules.cedar", rules),
        ],
    )
}

#[test]
fn every_probe_reaches_the_rules() {
    let tests = derived(&[&pack("@id(\"all\") permit (principal, action, resource);")]);
    let tools: BTreeSet<_> = tests.iter().map(|test| test.trial.action.tool.as_str()).collect();
    assert_eq!(tools, BTreeSet::from(["c/look", "c/pay"]));
    for test in &tests {
        assert_eq!(test.outcome.cause, Cause::Permitted, "{}", test.trial.name);
    }
}

#[test]
fn agents_of_rules_and_of_entities_are_probed_with_and_without_what_the_user_named() {
    let rules = "@id(\"desk\") permit (principal in Team::\"desk\", action, resource);\n\
                 @id(\"eve\") permit (principal == Agent::\"spiffe://a.example/agent/eve\", action, resource);\n\
                 @id(\"unnamed\") @hold(\"people\") forbid (principal, action in Action::\"spend\", resource)\n\
                 unless { context.arguments_from_intent.contains(\"to\") && resource == Account::\"one\" };";
    let tests = derived(&[&pack(rules)]);
    let seen: BTreeSet<_> = tests
        .iter()
        .filter(|test| test.trial.action.tool == "c/pay")
        .map(|test| (test.trial.grant.agent.name(), test.outcome.rules.join(" ")))
        .collect();
    let expected = [
        ("ann", "desk"),
        ("ann", "unnamed"),
        ("eve", "eve"),
        ("eve", "unnamed"),
    ]
    .into_iter()
    .chain([("self-test", "")])
    .map(|(agent, rules)| (agent, rules.to_owned()));
    assert_eq!(seen, expected.collect());
}

#[test]
fn a_build_that_reads_a_quorum_a_team_a_deadline_or_an_effect_otherwise_is_refused() {
    let rules = "@id(\"desk\") permit (principal in Team::\"desk\", action, resource);\n\
                 @id(\"two\") @hold(\"people\") @quorum(\"2\") @decide_within(\"1h\") forbid (principal, action, resource);";
    let tested = pack(rules);
    assert!(read_otherwise(&tested, &pack(rules)).is_ok());
    for (from, to) in [
        ("@quorum(\"2\")", "@quorum(\"1\")"),
        ("@decide_within(\"1h\")", "@decide_within(\"2h\")"),
        ("Team::\"desk\"", "Team::\"disk\""),
    ] {
        let refused = read_otherwise(&tested, &pack(&rules.replace(from, to)));
        assert!(
            matches!(refused, Err(BundleError::SelfTest(_))),
            "{to}: {refused:?}"
        );
    }
    let mut untiered = pack(rules);
    for tool in &mut untiered.tools {
        tool.effects.clear();
        tool.reversibility = crate::policy::Reversibility::ReadOnly;
    }
    assert!(matches!(
        read_otherwise(&tested, &untiered),
        Err(BundleError::SelfTest(_))
    ));
}

#[test]
fn a_build_that_reads_what_a_tool_yields_otherwise_is_refused() {
    let yielding = |labels: &[&str]| {
        let mut pack = pack("@id(\"all\") permit (principal, action, resource);");
        for tool in &mut pack.tools {
            tool.yields = labels.iter().map(|label| label.parse().unwrap()).collect();
        }
        pack
    };
    let tested = yielding(&["pii"]);
    assert!(read_otherwise(&tested, &yielding(&["pii"])).is_ok());
    for labels in [&[][..], &["pii", "secret"], &["public"]] {
        let refused = read_otherwise(&tested, &yielding(labels));
        assert!(
            matches!(refused, Err(BundleError::SelfTest(_))),
            "{labels:?}: {refused:?}"
        );
    }
    let causes: BTreeSet<_> = derived(&[&tested])
        .iter()
        .map(|test| test.outcome.cause.to_string())
        .collect();
    assert_eq!(
        causes,
        ["out_of_scope", "permitted"].map(ToOwned::to_owned).into()
    );
}

#[test]
fn a_pack_of_many_cases_leaves_room_for_every_other_pack_and_tool() {
    let case = "- name: one\n  agent: spiffe://a.example/agent/ann\n  task: { user: ann, scope: [d/e] }\n  tool: d/e\n  \
                expect: { verdict: deny }\n";
    let cases = case.repeat(SELF_TESTS_MAX + 1);
    let many = fixture::pack("a-many", &[("tests/all.yaml", &cases)]);
    let small = pack("@id(\"all\") permit (principal, action, resource);");
    let tests = derived(&[&many, &small]);
    assert_eq!(tests.len(), SELF_TESTS_MAX);
    for tool in ["c/pay", "c/look", "d/e"] {
        assert!(
            tests.iter().any(|test| test.trial.action.tool == tool),
            "{tool} is not tested"
        );
    }
}
