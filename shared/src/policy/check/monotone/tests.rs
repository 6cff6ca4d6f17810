//! A rule that the analysis lets pass lowers no verdict, whatever its task has done; and what lowers one is found, at its place.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::decision::Verdict;
use crate::label::Label;
use crate::ledger::{Ledger, Use};
use crate::policy::evaluate::Situation;
use crate::policy::trial::Trial;
use crate::policy::{Bundle, CASE_NOW_MS_DEFAULT, Reversibility, world};

const PERMIT_ALL: &str = r#"@id("all") permit (principal, action, resource);"#;

fn rule(text: &str) -> Rule {
    let (mut rules, findings) = Rule::parse_file(Place::new("rules.cedar", text));
    assert!(findings.is_empty(), "{text}: {findings:?}");
    rules.remove(0)
}

fn is_monotone(text: &str) -> bool {
    suspects(&rule(&format!("@id(\"r\") {text}"))).is_empty()
}

/// What a task has done, how risky it was declared, through how many hands it went, how old policy is.
#[derive(Debug, Clone)]
struct Point {
    labels: BTreeSet<Label>,
    floor: u8,
    depth: usize,
    age_ms: u64,
    /// How often, and how long ago the last time.
    used: Option<(u64, u64)>,
    class: Option<Reversibility>,
}

impl Point {
    /// Whether nothing about the other is better.
    fn is_at_most(&self, other: &Self) -> bool {
        let used = match (self.used, other.used) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((times, ago)), Some((more, later))) => times <= more && ago >= later,
        };
        used && self.labels.is_subset(&other.labels)
            && self.floor <= other.floor
            && self.depth <= other.depth
            && self.age_ms <= other.age_ms
            && self.class <= other.class
    }

    fn judge(&self, bundle: &Bundle, trial: &Trial) -> Verdict {
        let mut trial = trial.clone();
        let agent = trial.grant.agent.clone();
        trial.grant.limits.risk = self.floor;
        let ledger = Ledger {
            revision: 0,
            values_lost: false,
            spent: crate::ledger::Amounts::default(),
            labels: self.labels.clone(),
            calls: self.used.map_or(0, |(times, _)| times),
            used: self
                .used
                .map(|(times, ago)| {
                    (
                        "c/look".to_owned(),
                        Use {
                            times,
                            last_ms: CASE_NOW_MS_DEFAULT - ago,
                        },
                    )
                })
                .into_iter()
                .collect(),
            reversibility: self.class,
        };
        trial.now_ms = CASE_NOW_MS_DEFAULT;
        let delegated_by = vec![agent; self.depth];
        let situation = Situation {
            ledger: Some(&ledger),
            delegated_by: &delegated_by,
            policy_age_ms: self.age_ms,
            ..trial.situation()
        };
        bundle.judge(&situation).verdict
    }
}

/// Every combination of what makes a difference to the grammar below.
fn points() -> Vec<Point> {
    let mut points = Vec::new();
    for labels in [
        vec![],
        vec!["confidential"],
        vec!["untrusted_content"],
        vec!["confidential", "untrusted_content"],
    ] {
        for (floor, depth) in [(0, 0), (70, 0), (0, 2), (100, 2)] {
            for age_ms in [0, 600_000] {
                for used in [None, Some((1, 3_600_000)), Some((1, 1_000)), Some((3, 1_000))] {
                    for class in [None, Some(Reversibility::Irreversible)] {
                        let labels = labels.iter().map(|word| word.parse().unwrap()).collect();
                        points.push(Point {
                            labels,
                            floor,
                            depth,
                            age_ms,
                            used,
                            class,
                        });
                    }
                }
            }
        }
    }
    points
}

/// Where a verdict falls, if it does.
fn fall(rules: &[String]) -> Option<String> {
    let bundle = world::bundle(rules);
    let trials = world::trials();
    // An account that exists, one that does not, and a tool that touches none.
    let chosen = [
        "ann c/pay {\"n\":2,\"account\":\"one\"}",
        "ann c/pay {\"n\":2,\"account\":\"ghost\"}",
        "ann c/look {\"n\":2}",
    ];
    for name in chosen {
        let trial = trials.iter().find(|trial| trial.name == name).unwrap();
        let judged: Vec<_> = points()
            .into_iter()
            .map(|point| (point.judge(&bundle, trial), point))
            .collect();
        for (lower, better) in &judged {
            for (higher, worse) in &judged {
                if better.is_at_most(worse) && lower > higher {
                    return Some(format!("{name}: {lower} at {better:?}, {higher} at {worse:?}"));
                }
            }
        }
    }
    None
}

const ATOMS: [&str; 34] = [
    r#"context.task.labels.contains("confidential")"#,
    r#"context.task.labels.contains("untrusted_content")"#,
    r#"context.task.labels.containsAll(["confidential", "untrusted_content"])"#,
    r#"context.task.labels.containsAny(["confidential", "other"])"#,
    r#"["confidential"].containsAll(context.task.labels)"#,
    r#"["confidential"].containsAny(context.task.labels)"#,
    "context.task.labels.isEmpty()",
    "context.task.labels == []",
    r#"context.task.labels == ["confidential"]"#,
    "context.risk > 60",
    "context.risk <= 60",
    "context.risk - 10 < 60",
    "60 < context.risk * 2",
    "context.risk == 100",
    "context.risk == 70",
    "context.risk != 0",
    "context.task.sensitivity >= 2",
    "context.task.sensitivity == context.task.risk",
    "context.task.risk > context.task.sensitivity",
    r#"context.policy_age > duration("5m")"#,
    r#"context.policy_age <= duration("5m")"#,
    "context.policy_age.toMinutes() >= 5",
    "context.chain.depth == 0",
    "context.task.reversibility > 1",
    "context.task.calls + context.chain.depth > 2",
    "context.task.calls * 9223372036854775807 > 1",
    "-context.task.calls < -1",
    r#"context.task.used has "c/look""#,
    r#"(context.task.used has "c/look" && context.task.used["c/look"].ago < duration("1m"))"#,
    r#"(context.task.used has "c/look" && context.task.used["c/look"].times > 2)"#,
    r#"context.task.used["c/look"].times > 2"#,
    "resource.level > 0",
    "(resource has level && resource.level > 0)",
    r#"context.environment == "production""#,
];

fn condition() -> impl Strategy<Value = String> {
    select(&ATOMS[..])
        .prop_map(str::to_owned)
        .prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|a| format!("!({a})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
                (inner.clone(), inner.clone(), inner.clone())
                    .prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(if {a} then {b} else false)")),
                (inner.clone(), inner).prop_map(|(a, b)| format!("(if {a} then true else {b})")),
            ]
        })
}

const HEADS: [&str; 3] = ["permit", "forbid", "@hold(\"people\") forbid"];

fn some_rule() -> impl Strategy<Value = String> {
    (select(&HEADS[..]), select(&["when", "unless"][..]), condition()).prop_map(|(head, when, condition)| {
        format!("{head} (principal, action, resource) {when} {{ {condition} }};")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_the_analysis_lets_pass_never_lowers_a_verdict(
        rules in prop::collection::vec(some_rule(), 4..10),
        all in any::<bool>(),
    ) {
        let passed: Vec<String> = rules.into_iter().filter(|rule| is_monotone(rule)).collect();
        let named = passed.iter().enumerate().map(|(at, rule)| format!("@id(\"r{at}\") {rule}"));
        let rules: Vec<String> = named.chain(all.then(|| PERMIT_ALL.to_owned())).collect();
        prop_assert_eq!(fall(&rules), None, "{:#?}", rules);
    }
}

const FALLING: [&str; 18] = [
    r#"forbid (principal, action, resource) unless { context.task.labels.contains("confidential") };"#,
    r#"permit (principal, action, resource) when { context.task.labels.contains("confidential") };"#,
    "forbid (principal, action, resource) when { context.risk < 60 };",
    "forbid (principal, action, resource) when { context.risk == 70 };",
    "permit (principal, action, resource) when { context.task.risk > 60 };",
    "permit (principal, action, resource) when { context.task.sensitivity == 2 };",
    "@hold(\"people\") forbid (principal, action, resource) when { context.task.labels.isEmpty() };",
    "@hold(\"people\") forbid (principal, action, resource) when { context.chain.depth == 0 };",
    "permit (principal, action, resource) when { context.chain.depth > 0 };",
    r#"forbid (principal, action, resource) when { context.policy_age < duration("5m") };"#,
    "permit (principal, action, resource) when { context.policy_age.toSeconds() > 5 };",
    r#"permit (principal, action, resource) when { context.task.used has "c/look" };"#,
    r#"forbid (principal, action, resource) when { context.task.used has "c/look" && context.task.used["c/look"].ago > duration("1m") };"#,
    r#"forbid (principal, action, resource) when { context.task.used has "c/look" && context.task.used["c/look"].times < 2 };"#,
    "forbid (principal, action, resource) when { context.task.calls < 1 };",
    "permit (principal, action, resource) unless { context.task.reversibility < 2 };",
    r#"forbid (principal, action, resource) when { if context.task.labels.contains("confidential") then context.environment == "x" else true };"#,
    r#"@hold("people") forbid (principal, action, resource) when { context.task.labels.contains("confidential") || resource.level > 5 };"#,
];

#[test]
fn what_lowers_a_verdict_is_found() {
    for text in FALLING {
        let rules = [format!("@id(\"r\") {text}"), PERMIT_ALL.to_owned()];
        let rules = if text.starts_with("permit") {
            &rules[..1]
        } else {
            &rules
        };
        assert!(fall(rules).is_some(), "it lowers none: {text}");
        assert!(!is_monotone(text), "{text}");
    }
}

#[test]
fn a_verdict_that_falls_as_more_is_found_to_come_from_strangers_is_found() {
    for text in [
        r#"forbid (principal, action, resource) unless { context.arguments_from.untrusted.contains("to") };"#,
        r#"permit (principal, action, resource) when { context.arguments_from.untrusted.contains("to") };"#,
        "forbid (principal, action, resource) when { context.arguments_from == {} };",
    ] {
        assert!(!is_monotone(text), "{text}");
    }
}

#[test]
fn what_people_write_against_risky_tasks_passes() {
    for text in [
        r#"forbid (principal, action, resource) when { context.task.labels.contains("pii") && context.environment == "production" };"#,
        r#"@hold("people") forbid (principal, action, resource) when { context.risk >= 60 } unless { context.arguments_from_intent.contains("to") };"#,
        r#"forbid (principal, action, resource) when { context.arguments_from.untrusted.contains("to") };"#,
        r#"forbid (principal, action, resource) unless { context.arguments_from.user.contains("to") || context.arguments_from.trusted.contains("to") };"#,
        "permit (principal, action, resource) when { context.risk < 40 && context.task.calls < 100 };",
        "permit (principal, action, resource) when { context.chain.depth == 0 } unless { context.task.sensitivity > 1 };",
        r#"permit (principal, action, resource) unless { context.task.labels.containsAny(["pii", "credentials"]) };"#,
        r#"forbid (principal, action, resource) when { context.policy_age > duration("5m") };"#,
        r#"forbid (principal, action, resource) when { context.task.used has "c/look" && context.task.used["c/look"].ago < duration("5m") };"#,
        r#"@hold("people") forbid (principal, action, resource) when { context.task.labels.contains("pii") && resource.level > 5 };"#,
        r#"@hold("people") forbid (principal, action, resource) when { context.task.labels.contains("pii") || (resource has level && resource.level > 5) };"#,
        r#"@hold("people") forbid (principal, action, resource) when { resource.level > 5 || context.task.labels.contains("pii") };"#,
        "forbid (principal, action, resource) when { if context.input has n then context.risk > 3 else context.risk > 5 };",
        "forbid (principal, action, resource) when { context.task has data && context.task.data.contains(\"pii\") };",
        "forbid (principal, action, resource) when { context has task.used && 3 <= context.task.sensitivity };",
        "permit (principal, action, resource) when { context.task.spent.money.lessThan(decimal(\"5.0\")) };",
    ] {
        assert!(
            is_monotone(text),
            "{text}: {:?}",
            suspects(&rule(&format!("@id(\"r\") {text}")))
        );
    }
}

#[test]
fn what_is_not_understood_may_not_be_monotone() {
    for condition in [
        "context == {}",
        "context.task == {}",
        "{x: context.risk}.x > 3",
        "(if true then context else context).risk > 3",
        "[context.risk].contains(3)",
        "[1, 2].contains(context.task.sensitivity)",
        "context.task.used == {}",
        r#"context.task.used["c/look"] == {times: 1}"#,
        "context.risk * -1 > 3",
        "context.risk == resource.level",
    ] {
        for head in ["permit", "forbid"] {
            let text = format!("{head} (principal, action, resource) when {{ {condition} }};");
            assert!(!is_monotone(&text), "{text}");
        }
    }
}

#[test]
fn a_finding_stands_at_the_part_that_is_to_blame() {
    let text = "@id(\"calm\") forbid (principal, action, resource)\n\
                when { context.task.calls > 3 && context.risk < 40 }\n\
                unless { context.task.labels.contains(\"pii\") };";
    let parsed = rule(text);
    let found = findings(&parsed, Place::new("rules.cedar", text));
    let shown: Vec<_> = found
        .iter()
        .map(|finding| (finding.line, finding.column, finding.message.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            (
                2,
                34,
                "rule `calm` may not be monotone in `context.risk`: with more of it the rule could cease to apply"
            ),
            (
                3,
                10,
                "rule `calm` may not be monotone in `context.task.labels`: with more of it the rule could cease to apply"
            ),
        ]
    );
    assert!(
        found
            .iter()
            .all(|finding| finding.is_error() && !finding.help.is_empty())
    );
}

#[test]
fn a_rule_that_labels_never_ceases_to_as_its_task_gets_worse() {
    let found = |condition: &str| {
        let text = format!(
            "@id(\"l\") @yields(\"pii\") permit (principal, action, resource) when {{ {condition} }};"
        );
        let (rules, findings) = Rule::parse_file(Place::new("labels.cedar", &text));
        assert!(findings.is_empty(), "{findings:?}");
        suspects(&rules[0])
            .into_iter()
            .map(|suspect| suspect.message)
            .collect::<Vec<_>>()
    };
    assert!(found("context.risk > 20 || context.input.limit > 100").is_empty());
    let lost = found("context.risk < 20");
    assert_eq!(
        lost,
        ["rule `l` may not be monotone in `context.risk`: with more of it the rule could cease to label"]
    );
}
