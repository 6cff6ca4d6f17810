//! The verdict: deny wins, order does not matter, an error in a forbid is never skipped, and Cedar agrees.

use std::collections::HashMap;

use cedar_policy_core::ast::{self, PolicyID, PolicySet};
use cedar_policy_core::authorizer::{Authorizer, Decision};
use proptest::prelude::*;

use super::*;
use crate::grant::DataScope;
use crate::policy::trial::Trial;
use crate::policy::{compose, fixture, world};

/// What plain Cedar says of the same rules, and whether a forbid erred.
fn cedar(bundle: &Bundle, policies: &PolicySet, trial: &Trial) -> Option<(Decision, bool)> {
    let question = Question::new(&bundle.tools[&trial.action.tool], &trial.situation()).ok()?;
    let question = question.within(
        &bundle.tools,
        &trial.situation(),
        Known {
            ledger: Some(&trial.ledger),
            pedigree: Some(&trial.pedigree),
        },
        &bundle.entities,
    );
    let response = Authorizer::new().is_authorized(question.request(), policies, &bundle.entities);
    let forbids = |id: &PolicyID| {
        policies
            .get(id)
            .is_some_and(|policy| policy.effect() == ast::Effect::Forbid)
    };
    let erred = response.diagnostics.errors.iter().any(|error| {
        let cedar_policy_core::authorizer::AuthorizationError::PolicyEvaluationError { id, .. } = error;
        forbids(id)
    });
    Some((response.decision, erred))
}

fn policies(rules: &[String]) -> PolicySet {
    let mut set = PolicySet::new();
    for (at, rule) in rules.iter().enumerate() {
        let id = PolicyID::from_string(format!("r{at:03}"));
        set.add_static(cedar_policy_core::parser::parse_policy(Some(id), rule).unwrap())
            .unwrap();
    }
    set
}

fn judgements(bundle: &Bundle) -> HashMap<String, Judgement> {
    world::trials()
        .into_iter()
        .map(|trial| (trial.name.clone(), trial.judge(bundle)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn with_no_approvals_we_permit_exactly_what_plain_cedar_allows_unless_a_forbid_erred(rules in world::rules(0..25)) {
        let bundle = world::bundle(&rules);
        let policies = policies(&rules);
        for trial in world::trials() {
            let judged = trial.judge(&bundle);
            if judged.cause == Cause::InvalidArguments {
                continue;
            }
            let (decision, forbid_erred) = cedar(&bundle, &policies, &trial).unwrap();
            let expected = decision == Decision::Allow && !forbid_erred;
            prop_assert_eq!(judged.verdict == Verdict::Permit, expected, "{}: {:?}", trial.name, judged);
            prop_assert_eq!(judged.cause == Cause::RuleErred, forbid_erred, "{}: {:?}", trial.name, judged);
        }
    }

    #[test]
    fn neither_the_order_of_rules_nor_of_packs_matters(
        (rules, shuffled) in world::rules(1..20).prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle())),
        cut in any::<prop::sample::Index>(),
    ) {
        let bundle = world::bundle(&rules);
        let (left, right) = shuffled.split_at(cut.index(shuffled.len()));
        let (world, other) = (world::pack(left), fixture::pack("other", &[("rules.cedar", &right.join("\n"))]));
        let (forth, back) = (compose(&[&world, &other]).unwrap(), compose(&[&other, &world]).unwrap());
        prop_assert_eq!(&forth, &back);
        prop_assert_eq!(judgements(&bundle), judgements(&forth.open().unwrap()));
    }

    #[test]
    fn one_more_forbid_never_lowers_a_verdict(rules in world::rules(1..15), extra in world::rule()) {
        prop_assume!(!extra.starts_with("permit"));
        let before = judgements(&world::bundle(&rules));
        let mut more = rules;
        more.push(format!("@id(\"extra\") {extra}"));
        let after = judgements(&world::bundle(&more));
        for (name, judged) in before {
            prop_assert!(after[&name].verdict >= judged.verdict, "{}", name);
        }
    }

    #[test]
    fn a_satisfied_forbid_denies_whatever_else_permits(rules in world::rules(0..15)) {
        let mut rules = rules;
        rules.push("@id(\"stop\") forbid (principal, action, resource);".to_owned());
        rules.push("@id(\"go\") permit (principal, action, resource);".to_owned());
        for judged in judgements(&world::bundle(&rules)).values() {
            prop_assert_eq!(judged.verdict, Verdict::Deny);
        }
    }

    #[test]
    fn an_erring_forbid_denies_with_or_without_hold(rules in world::rules(0..15), hold in any::<bool>()) {
        let hold = if hold { "@hold(\"people\")" } else { "" };
        let mut rules = rules;
        rules.push(format!("@id(\"erring\") {hold} forbid (principal, action, resource) when {{ context.input.absent }};"));
        rules.push("@id(\"go\") permit (principal, action, resource);".to_owned());
        for (name, judged) in judgements(&world::bundle(&rules)) {
            prop_assert_eq!(judged.verdict, Verdict::Deny);
            if judged.cause != Cause::InvalidArguments {
                prop_assert_eq!(judged.cause, Cause::RuleErred, "{}", name);
                prop_assert!(judged.rules.contains(&"erring".to_owned()));
            }
        }
    }

    #[test]
    fn the_same_input_has_the_same_judgement(rules in world::rules(0..20)) {
        let (once, again) = (world::bundle(&rules), world::bundle(&rules));
        prop_assert_eq!(judgements(&once), judgements(&again));
        prop_assert_eq!(judgements(&once), judgements(&once));
    }
}

#[test]
fn the_world_has_every_verdict_so_that_these_tests_have_power() {
    let rules: Vec<String> = [
        "permit (principal in Team::\"staff\", action, resource);",
        "forbid (principal, action == Action::\"c/close\", resource) when { resource.level > 0 };",
        "forbid (principal, action, resource) when { context.input has amount && context.input.amount.greaterThan(decimal(\"2.0\")) };",
        "@hold(\"people\") forbid (principal, action in Action::\"spend\", resource) unless { context.arguments_from_intent.contains(\"account\") };",
    ]
    .iter()
    .enumerate()
    .map(|(at, rule)| format!("@id(\"r{at:03}\") {rule}"))
    .collect();
    let causes: std::collections::BTreeSet<_> = judgements(&world::bundle(&rules))
        .values()
        .map(|judged| judged.cause)
        .collect();
    for cause in [
        Cause::Permitted,
        Cause::Forbidden,
        Cause::NoPermit,
        Cause::RuleErred,
        Cause::Held,
        Cause::InvalidArguments,
    ] {
        assert!(causes.contains(&cause), "{cause}");
    }
}

#[test]
fn each_satisfied_hold_is_a_requirement_of_its_own() {
    let rules = [
        "@id(\"r0\") permit (principal, action, resource);",
        "@id(\"r2\") @hold(\"treasury\") @quorum(\"2\") @decide_within(\"30m\") @reason(\"large\") forbid (principal, action, resource);",
        "@id(\"r1\") @hold(\"legal\") forbid (principal, action, resource);",
        "@id(\"r3\") @hold(\"nobody\") forbid (principal, action, resource) when { false };",
    ];
    let bundle = world::bundle(&rules.map(ToOwned::to_owned));
    let judged = world::trials()[0].judge(&bundle);
    assert_eq!((judged.verdict, judged.cause), (Verdict::Hold, Cause::Held));
    assert_eq!(judged.rules, ["r1", "r2"]);
    let requirement = |rule: &str, group: &str, quorum, decide_within_ms, reason: &str| Requirement {
        rule: rule.to_owned(),
        group: group.to_owned(),
        quorum,
        decide_within_ms,
        use_within_ms: 300_000,
        reason: reason.to_owned(),
    };
    let expected = [
        requirement("r1", "legal", 1, 900_000, ""),
        requirement("r2", "treasury", 2, 1_800_000, "large"),
    ];
    assert_eq!(judged.requirements, expected);
}

#[test]
fn a_hold_without_a_permit_is_a_denial() {
    let hold = "@id(\"r\") @hold(\"people\") forbid (principal, action, resource);".to_owned();
    let judged = world::trials()[0].judge(&world::bundle(&[hold]));
    assert_eq!((judged.verdict, judged.cause), (Verdict::Deny, Cause::NoPermit));
    assert!(judged.requirements.is_empty());
}

#[test]
fn reasons_are_for_people_and_never_hold_a_value() {
    let go = "@id(\"go\") permit (principal, action, resource);".to_owned();
    let erring = "@id(\"sum\") forbid (principal, action, resource) when { context.input.n * 9223372036854775807 > 0 };";
    let bundle = world::bundle(&[go.clone(), erring.to_owned()]);
    let trial = world::trials()
        .into_iter()
        .find(|trial| trial.name.contains("\"n\":2"))
        .unwrap();
    assert_eq!(
        trial.judge(&bundle).reason,
        "rule `sum` could not be evaluated: a number overflowed"
    );
    let mut trial = trial;
    trial.action.arguments = crate::action::Arguments::parse(br#"{"n":"hunter2"}"#).unwrap();
    assert_eq!(trial.judge(&bundle).reason, "argument `n` must be a whole number");
    trial.action.tool = "x".repeat(4_000);
    let judged = trial.judge(&bundle);
    assert_eq!((judged.cause, judged.tier), (Cause::UnknownTool, Tier::Full));
    assert!(judged.reason.len() < 300);
}

/// The world, in which `c/look` yields two labels, `c/pay` one and `c/close` nothing; everything is permitted.
fn labelled() -> Bundle {
    let mut pack = world::pack(&["@id(\"go\") permit (principal, action, resource);".to_owned()]);
    for (tool, labels) in [("c/look", &["pii", "untrusted_content"][..]), ("c/pay", &["pii"])] {
        let tool = pack.tools.iter_mut().find(|one| one.id == tool).unwrap();
        tool.yields = labels.iter().map(|label| label.parse().unwrap()).collect();
    }
    fixture::bundle(&[&pack])
}

proptest! {
    #[test]
    fn no_call_of_a_tool_that_yields_a_label_outside_the_data_scope_is_permitted(
        labels in proptest::sample::subsequence(&["pii", "public", "untrusted_content"][..], 0..=3),
    ) {
        let bundle = labelled();
        for mut trial in world::trials() {
            let open = trial.judge(&bundle);
            trial.grant.data = Some(DataScope::parse(&labels).unwrap());
            let judged = trial.judge(&bundle);
            prop_assert_eq!(&judged, &bundle.judge_unindexed(&trial.situation()));
            let yields = &bundle.tool(&trial.action.tool).unwrap().yields;
            let outside = yields.iter().find(|label| !labels.contains(&label.as_str()));
            let Some(label) = outside else {
                prop_assert_eq!(judged, open);
                continue;
            };
            prop_assert_eq!((judged.verdict, judged.cause), (Verdict::Deny, Cause::OutOfScope));
            prop_assert_eq!(judged.reason, format!(
                "`{}` yields `{label}`, which is outside the data scope of this task", trial.action.tool
            ));
        }
    }
}

#[test]
fn a_tool_that_no_catalog_knows_is_outside_every_data_scope() {
    let bundle = labelled();
    let mut trial = world::trials().remove(0);
    trial.action.tool = "c/nothing".to_owned();
    for data in [
        None,
        Some(DataScope::default()),
        Some(DataScope::parse(["pii"]).unwrap()),
    ] {
        trial.grant.data = data;
        let judged = trial.judge(&bundle);
        assert_eq!(
            (judged.verdict, judged.cause),
            (Verdict::Deny, Cause::UnknownTool)
        );
    }
}
