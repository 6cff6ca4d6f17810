//! A rule says what it is, or is refused where it stands.

use super::*;
use crate::policy::fixture;

fn read(text: &str) -> Result<Rule, String> {
    let (mut rules, findings) = Rule::parse_file(Place::new("rules.cedar", text));
    match findings.as_slice() {
        [] => Ok(rules.remove(0)),
        [first, ..] => Err(first.message.clone()),
    }
}

#[test]
fn annotations_say_what_a_rule_is() {
    let rule = read(
        "// before\n@id(\"pay\") @hold(\"treasury\") @quorum(\"2\") @decide_within(\"30m\") @use_within(\"90s\")\n\
         @reason(\"why\") @controls(\"ASI02, PR.AA-05\") forbid (principal, action, resource);",
    )
    .unwrap();
    let terms = HoldTerms {
        group: "treasury".to_owned(),
        quorum: 2,
        decide_within_ms: 1_800_000,
        use_within_ms: 90_000,
    };
    assert_eq!(
        (rule.id.as_str(), &rule.kind, rule.reason.as_str()),
        ("pay", &RuleKind::Hold(terms), "why")
    );
    assert_eq!(rule.controls, ["ASI02", "PR.AA-05"]);
    assert_eq!((rule.origin.line, rule.origin.column), (2, 1));
    assert!(rule.text.starts_with("@id(\"pay\")") && rule.text.ends_with(';'));
}

#[test]
fn a_hold_that_does_not_say_otherwise_waits_for_one_person_for_a_while() {
    let rule = read("@id(\"a\") @hold(\"g\") forbid (principal, action, resource);").unwrap();
    let RuleKind::Hold(terms) = rule.kind else {
        panic!("not a hold")
    };
    assert_eq!(
        (terms.quorum, terms.decide_within_ms, terms.use_within_ms),
        (1, 900_000, 300_000)
    );
}

#[test]
fn what_an_annotation_can_t_mean_is_refused() {
    let forbid = "forbid (principal, action, resource);";
    let permit = "permit (principal, action, resource);";
    for (head, rule, said) in [
        ("", forbid, "no `@id`"),
        ("@id(\"\")", forbid, "can't be the id"),
        ("@id(\"a b\")", forbid, "can't be the id"),
        ("@id(\"a\") @holt(\"g\")", forbid, "`@holt` is not an annotation"),
        ("@id(\"a\") @hold(\"g\")", permit, "`@hold` on a permit"),
        ("@id(\"a\") @hold", forbid, "names no group"),
        (
            "@id(\"a\") @quorum(\"2\")",
            forbid,
            "`@quorum` says nothing without `@hold`",
        ),
        ("@id(\"a\") @decide_within(\"2m\")", forbid, "without `@hold`"),
        ("@id(\"a\") @use_within(\"2m\")", permit, "without `@hold`"),
        (
            "@id(\"a\") @hold(\"g\") @quorum(\"0\")",
            forbid,
            "not a number of people",
        ),
        (
            "@id(\"a\") @hold(\"g\") @quorum(\"two\")",
            forbid,
            "not a number of people",
        ),
        (
            "@id(\"a\") @hold(\"g\") @decide_within(\"2 minutes\")",
            forbid,
            "is not a duration",
        ),
        (
            "@id(\"a\") @hold(\"g\") @use_within(\"0s\")",
            forbid,
            "out of range",
        ),
        ("@id(\"a\") @controls(\"x,,y\")", forbid, "has no name"),
        ("@id(\"a\") @id(\"b\")", forbid, "duplicate annotation: @id"),
        (
            "@id(\"a\")",
            "permit (principal == ?principal, action, resource);",
            "template",
        ),
        ("@id(\"a\")", "permit (principal, action);", ""),
    ] {
        let refused = read(&format!("{head} {rule}")).unwrap_err();
        assert!(refused.contains(said), "{head} {rule}: {refused}");
    }
    let long = format!("@id(\"a\") @reason(\"{}\") {forbid}", "x".repeat(513));
    assert!(read(&long).unwrap_err().contains("reason"));
}

#[test]
fn every_wrong_rule_of_a_file_is_reported_at_its_own_place() {
    let text = "permit (principal, action, resource);\n@id(\"ok\") permit (principal, action, resource);\n\
                @id(\"x\") @nope forbid (principal, action, resource);";
    let (rules, findings) = Rule::parse_file(Place::new("rules.cedar", text));
    assert_eq!(rules.len(), 1);
    let places: Vec<_> = findings
        .iter()
        .map(|finding| (finding.line, finding.column))
        .collect();
    assert_eq!(places, [(1, 1), (3, 10)], "{}", fixture::rendered(&findings));
}
