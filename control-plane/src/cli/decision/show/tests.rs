//! A decision says what the task carried when it was made, and what the call brings into it.

use checkrein_proto::decision::v1::SeenLedger;
use serde_json::{json, to_value};

use super::super::view::DecisionView;
use super::*;

fn decided(ledger: Option<SeenLedger>, yields: &[&str], reversibility: u32) -> StoredDecision {
    StoredDecision {
        decision: Some(Decision {
            ledger,
            yields: yields.iter().map(ToString::to_string).collect(),
            reversibility,
            ..Decision::default()
        }),
        ..StoredDecision::default()
    }
}

fn line(stored: &StoredDecision, label: &str) -> Option<String> {
    let card = card(stored, 0, Paint::new(false));
    let value = card.lines().find_map(|line| line.trim().strip_prefix(label));
    value.map(|value| value.trim().to_owned())
}

#[test]
fn a_decision_shows_the_labels_that_it_saw_and_those_that_its_call_brings() {
    let seen = SeenLedger {
        revision: 4,
        labels: vec!["finance".to_owned(), "pii".to_owned()],
    };
    let stored = decided(Some(seen), &["pii"], 4);
    let said = line(&stored, "task carried").unwrap();
    assert_eq!(said, "finance, pii (revision 4 of its ledger)");
    assert_eq!(line(&stored, "brings").unwrap(), "pii");
    assert_eq!(line(&stored, "reversibility").unwrap(), "irreversible");
    let json = to_value(DecisionView::of(&stored)).unwrap();
    assert_eq!(
        json["ledger"],
        json!({"revision": 4, "labels": ["finance", "pii"]})
    );
    assert_eq!(
        (&json["yields"], &json["reversibility"]),
        (&json!(["pii"]), &json!("irreversible"))
    );
}

#[test]
fn a_ledger_that_was_empty_is_another_thing_than_one_that_nobody_looked_at() {
    let empty = decided(Some(SeenLedger::default()), &[], 1);
    assert!(line(&empty, "task carried").unwrap().starts_with("no labels"));
    let unseen = decided(None, &[], 0);
    assert_eq!(line(&unseen, "task carried"), None);
    let json = to_value(DecisionView::of(&unseen)).unwrap();
    assert_eq!(
        (&json["ledger"], &json["reversibility"]),
        (&json!(null), &json!(null))
    );
}
