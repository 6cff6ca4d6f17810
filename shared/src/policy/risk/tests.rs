//! A risk is the sum that the table says, and nothing that makes a call worse lowers it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::action::Sha256;
use crate::policy::RecordType;

fn tool(effects: &BTreeSet<Effect>, reversibility: Reversibility) -> Tool {
    Tool {
        id: "c/go".to_owned(),
        effects: effects.clone(),
        reversibility,
        resource: None,
        secret: Vec::new(),
        yields: BTreeSet::new(),
        trust: None,
        cost: crate::policy::catalog::Cost::new(),
        fails_without_effect: false,
        unstoppable: None,
        definition: Sha256::default(),
        arguments: RecordType::default(),
    }
}

const NOTHING: Exposure<'_> = Exposure {
    tool: None,
    carried: Sensitivity::Public,
    resource: None,
    depth: 0,
    is_untrusted: false,
    floor: 0,
};

fn ledger(labels: &[&str]) -> Ledger {
    Ledger {
        labels: labels.iter().map(|word| word.parse().unwrap()).collect(),
        ..Ledger::default()
    }
}

#[test]
fn each_term_adds_what_the_table_says() {
    let read = tool(&BTreeSet::from([Effect::Read]), Reversibility::ReadOnly);
    let pay = tool(
        &BTreeSet::from([Effect::Send, Effect::Spend]),
        Reversibility::Irreversible,
    );
    let idle = tool(&BTreeSet::new(), Reversibility::ReadOnly);
    let of = |tool, labels: &[&str], resource, depth, floor| {
        Exposure::of(tool, &ledger(labels), resource, depth, floor).total()
    };
    assert_eq!(of(Some(&idle), &[], None, 0, 0), 0);
    assert_eq!(of(Some(&read), &[], None, 0, 0), 5);
    assert_eq!(of(Some(&read), &["pii"], Some(Sensitivity::Public), 0, 0), 5);
    assert_eq!(of(Some(&pay), &[], None, 0, 0), 25 + 25);
    assert_eq!(of(Some(&pay), &["confidential"], None, 0, 0), 50 + 15);
    assert_eq!(of(Some(&pay), &[], Some(Sensitivity::Internal), 0, 0), 50 + 5);
    assert_eq!(of(Some(&pay), &[UNTRUSTED_CONTENT], None, 3, 0), 50 + 20 + 6);
    assert_eq!(
        of(None, &[], None, 0, 0),
        30 + 25,
        "an unknown tool may do anything"
    );
    assert_eq!(of(Some(&read), &[], None, 0, 75), 75, "the floor");
    assert_eq!(of(Some(&pay), &[], None, 0, 25), 50, "over the floor");
    let all = ["restricted", UNTRUSTED_CONTENT];
    assert_eq!(of(None, &all, Some(Sensitivity::Restricted), 8, 0), RISK_MAX);
    assert_eq!(of(Some(&idle), &[], None, usize::MAX, 255), RISK_MAX);
}

#[test]
fn the_terms_add_up_to_the_risk_and_each_says_why() {
    let risk = Exposure {
        carried: Sensitivity::Internal,
        floor: 10,
        ..NOTHING
    }
    .risk();
    let sum: u8 = risk.terms.iter().map(|term| term.points).sum();
    assert_eq!((sum, risk.total, risk.floor), (60, 60, 10));
    assert_eq!(risk.terms.len(), TERMS);
    assert!(risk.terms.iter().all(|term| !term.why.is_empty()));
    assert_eq!(risk.terms[2].why, "the task has read what is `internal`");
}

prop_compose! {
    fn inputs()(
        effects in prop::collection::btree_set(prop::sample::select(&Effect::ALL[..]), 0..5),
        more in prop::collection::btree_set(prop::sample::select(&Effect::ALL[..]), 0..5),
        ranks in prop::array::uniform3((0usize..4, 0usize..4)),
        depth in (0usize..12, 0usize..12),
        untrusted in (any::<bool>(), any::<bool>()),
        floor in (0u8..=100, 0u8..=100),
        known in any::<bool>(),
    ) -> [(BTreeSet<Effect>, [usize; 3], usize, bool, u8, bool); 2] {
        let worse = effects.union(&more).copied().collect();
        let low = ranks.map(|(a, b)| a.min(b));
        let high = ranks.map(|(a, b)| a.max(b));
        [
            (effects, low, depth.0.min(depth.1), untrusted.0 && untrusted.1, floor.0.min(floor.1), true),
            (worse, high, depth.0.max(depth.1), untrusted.0 || untrusted.1, floor.0.max(floor.1), known),
        ]
    }
}

proptest! {
    #[test]
    fn raising_any_input_never_lowers_the_risk(inputs in inputs()) {
        let [low, high] = inputs.map(|(effects, [class, carried, resource], depth, is_untrusted, floor, known)| {
            let tool = tool(&effects, Reversibility::ALL[class]);
            Exposure {
                tool: known.then_some(&tool),
                carried: Sensitivity::ALL[carried],
                resource: Some(Sensitivity::ALL[resource]),
                depth,
                is_untrusted,
                floor,
            }
            .total()
        });
        prop_assert!(low <= high, "{low} > {high}");
        prop_assert!(high <= RISK_MAX);
    }
}

#[test]
fn the_page_about_risk_says_what_the_code_does() {
    let page = include_str!("../../../../docs/risk.md");
    let says = |row: String| assert!(page.contains(&row), "{row}");
    for effect in Effect::ALL {
        says(format!("| `{effect}` | {} |", points_of_effect(effect)));
    }
    for class in Reversibility::ALL {
        says(format!("| `{class}` | {} |", points_of_reversibility(class)));
    }
    for sensitivity in Sensitivity::ALL {
        let (carried, resource) = (points_of_carried(sensitivity), points_of_resource(sensitivity));
        says(format!("| `{sensitivity}` | {carried} | {resource} |"));
    }
    says(format!("**chain**: {POINTS_PER_HOP} for each"));
    says(format!("**untrusted**: {POINTS_UNTRUSTED} if"));
    says(format!("`{UNTRUSTED_CONTENT}`"));
}
