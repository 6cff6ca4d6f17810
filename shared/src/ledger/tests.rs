//! What a task has done is never less than it was.

use proptest::prelude::*;

use super::*;

fn label(word: &str) -> Label {
    word.parse().unwrap()
}

#[test]
fn a_task_is_as_sensitive_as_the_most_sensitive_data_released_in_it() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.sensitivity(), Sensitivity::Public);
    for (word, expected) in [
        ("pii", Sensitivity::Public),
        ("confidential", Sensitivity::Confidential),
        ("internal", Sensitivity::Confidential),
        ("restricted", Sensitivity::Restricted),
        ("public", Sensitivity::Restricted),
    ] {
        ledger.labels.insert(label(word));
        assert_eq!(ledger.sensitivity(), expected, "{word}");
    }
}

#[test]
fn every_sensitivity_but_public_is_a_label_of_its_own_name() {
    assert_eq!(Sensitivity::Public.label(), None);
    for sensitivity in &Sensitivity::ALL[1..] {
        let label = sensitivity.label().unwrap();
        assert_eq!(Sensitivity::of([&label]), *sensitivity);
    }
}

#[test]
fn only_labels_that_are_not_carried_yet_are_new() {
    let ledger = Ledger {
        labels: BTreeSet::from([label("pii")]),
        ..Ledger::default()
    };
    let (pii, other) = (label("pii"), label("credentials"));
    assert_eq!(ledger.lacks([&pii, &other]), BTreeSet::from([other]));
}

proptest! {
    #[test]
    fn counting_a_call_lowers_nothing(calls in prop::collection::vec((0usize..3, 0usize..4, any::<u64>()), 0..30)) {
        let mut ledger = Ledger::default();
        for (tool, class, at_ms) in calls {
            let before = ledger.clone();
            let tool = format!("c/{tool}");
            ledger.count(&tool, Reversibility::ALL[class], at_ms);
            prop_assert_eq!(ledger.calls, before.calls + 1);
            prop_assert!(ledger.reversibility >= before.reversibility);
            let (now, then) = (ledger.used[&tool], before.used.get(&tool).copied().unwrap_or_default());
            prop_assert_eq!(now.times, then.times + 1);
            prop_assert!(now.last_ms >= then.last_ms);
        }
    }
}
