//! A decision says what the task carried when it was made, and what the call brings into it.

use checkrein_proto::decision::v1::{Drawn, Outcome, SeenLedger};
use checkrein_proto::task::v1::Amount;
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

#[test]
fn a_decision_shows_what_it_was_paid_from_and_what_its_call_used_up() {
    let tokens = |amount: &str| Amount {
        meter: "tokens".to_owned(),
        amount: amount.to_owned(),
    };
    let mut stored = decided(None, &[], 1);
    stored.decision.as_mut().unwrap().drawn = Some(Drawn {
        slice_id: "slice_1".to_owned(),
        cost: vec![tokens("10")],
    });
    stored.outcome = Some(Outcome {
        spent: vec![tokens("7")],
        ..Outcome::default()
    });
    assert_eq!(line(&stored, "paid").unwrap(), "10 tokens from slice_1");
    assert_eq!(line(&stored, "used up").unwrap(), "7 tokens");
    let json = to_value(DecisionView::of(&stored)).unwrap();
    assert_eq!(
        json["drawn"],
        json!({"slice": "slice_1", "cost": {"tokens": "10"}})
    );
    assert_eq!(json["outcome"]["spent"], json!({"tokens": "7"}));
    let plain = decided(None, &[], 1);
    assert_eq!((line(&plain, "paid"), line(&plain, "used up")), (None, None));
}
