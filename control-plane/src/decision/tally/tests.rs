//! What a batch adds to the counts.

use std::collections::BTreeSet;

use bytes::Bytes;
use checkrein_shared::SystemClock;
use checkrein_shared::action::MaskedArguments;
use checkrein_shared::decision::{Cause, Chain, Tier, Verdict};
use checkrein_shared::id::{DecisionId, Generation, HoldId, InstanceId};

use super::*;

const AGENT: &str = "spiffe://acme.example/agent/billing";

fn decided(at_ms: u64, verdict: Verdict, rules: &[&str]) -> Decision {
    Decision {
        id: DecisionId::new(&SystemClock),
        decided_ms: at_ms,
        agent: AGENT.parse().unwrap(),
        agent_asserted: false,
        user: "alice".to_owned(),
        task: None,
        grant: None,
        call_id: String::new(),
        tool: "bank/pay".to_owned(),
        arguments: MaskedArguments("{}".to_owned()),
        action: None,
        tier: Tier::Light,
        verdict,
        cause: Cause::Permitted,
        reason: String::new(),
        rules: rules.iter().map(ToString::to_string).collect(),
        mode: Mode::Enforce,
        epoch: 1,
        generation: Generation(1),
        revocation_sequence: 0,
        policy_age_ms: 0,
        hold: None,
        environment: String::new(),
        intent: String::new(),
        delegated_by: Vec::new(),
        ledger: None,
        yields: BTreeSet::new(),
        reversibility: None,
        release: None,
        drawn: None,
    }
}

fn tally(decisions: impl IntoIterator<Item = Decision>) -> Tally {
    let after = Chain::begin(InstanceId::new(&SystemClock), 1);
    let placed = |decision| Placed {
        record: Record::Decision(Box::new(decision)),
        bytes: Bytes::new(),
        after,
    };
    let placed: Vec<Placed> = decisions.into_iter().map(placed).collect();
    Tally::of(&placed)
}

#[test]
fn each_rule_is_counted_by_the_hour_and_the_verdict() {
    let tally = tally([
        decided(HOUR_MS + 1, Verdict::Deny, &["b", "a"]),
        decided(HOUR_MS + 2, Verdict::Deny, &["a"]),
        decided(HOUR_MS + 3, Verdict::Permit, &["a"]),
        decided(2 * HOUR_MS, Verdict::Deny, &["a"]),
    ]);
    let counted: Vec<_> = tally
        .rules
        .iter()
        .map(|((hour_ms, rule, verdict), count)| (*hour_ms / HOUR_MS, rule.as_str(), *verdict, *count))
        .collect();
    assert_eq!(
        counted,
        [
            (1, "a", "deny", 2),
            (1, "a", "permit", 1),
            (1, "b", "deny", 1),
            (2, "a", "deny", 1)
        ]
    );
    assert_eq!(tally.agents, [((0, AGENT.to_owned()), 4)].into());
}

#[test]
fn a_held_call_is_no_call_without_people_however_often_it_is_decided() {
    let hold = Some(HoldId::new(&SystemClock));
    let held = |verdict| Decision {
        hold,
        ..decided(1, verdict, &["ask"])
    };
    let tally = tally([held(Verdict::Hold), held(Verdict::Hold), held(Verdict::Permit)]);
    assert!(tally.agents.is_empty());
    assert_eq!(tally.rules.values().sum::<i64>(), 3);
}

#[test]
fn what_was_only_observed_decided_nothing() {
    let observed = Decision {
        mode: Mode::Observe,
        ..decided(1, Verdict::Deny, &["a"])
    };
    assert_eq!(tally([observed]), Tally::default());
}

#[test]
fn a_name_that_no_index_takes_is_cut_and_counted() {
    let long = "é".repeat(4_000);
    let tally = tally([decided(1, Verdict::Deny, &[&long, "x\0"])]);
    let rules: Vec<_> = tally.rules.keys().map(|(_, rule, _)| rule.as_str()).collect();
    assert_eq!(rules, ["x\u{fffd}", &"é".repeat(512)]);
}
