//! Who answered for a decision, and under whose authority it was made.

use checkrein_proto::hold::v1::{Requirement, Vote};
use checkrein_proto::task::v1::Delegation;
use serde_json::{json, to_value};

use super::*;
use crate::cli::output::Paint;

const BOB: &str = "spiffe://acme.example/approver/bob";
const PLANNER: &str = "spiffe://acme.example/agent/planner";

fn whole(by_standing: &str) -> (Whole, Decision) {
    let decision = Decision {
        decision_id: "dec_2".to_owned(),
        grant_id: "grant_1".to_owned(),
        ..Decision::default()
    };
    let requirement = |group: &str| Requirement {
        group: group.to_owned(),
        ..Requirement::default()
    };
    let hold = Hold {
        hold_id: "hold_1".to_owned(),
        decision_id: "dec_1".to_owned(),
        state: hold::State::Done.into(),
        requirements: vec![
            requirement("treasury"),
            requirement("legal"),
            requirement("legal"),
        ],
        votes: vec![Vote {
            approver: BOB.to_owned(),
            approve: true,
            reason: "our supplier".to_owned(),
            voted_unix_ms: 60_000,
            standing_id: by_standing.to_owned(),
            ..Vote::default()
        }],
        ..Hold::default()
    };
    let task = Task {
        state: task::State::Live.into(),
        delegations: vec![Delegation {
            grant_id: "grant_1".to_owned(),
            delegated_by: PLANNER.to_owned(),
            ..Delegation::default()
        }],
        ..Task::default()
    };
    let whole = Whole {
        hold: Some(hold),
        task: Some(task),
        stored: StoredDecision {
            decision: Some(decision.clone()),
            ..StoredDecision::default()
        },
    };
    (whole, decision)
}

#[test]
fn a_decision_names_who_approved_it_and_how_its_agent_came_by_the_grant() {
    let (whole, decision) = whole("");
    let page = whole.fields(&decision, 60_000).render(Paint::new(false));
    for said in [
        "legal, treasury",
        &format!("yes by {BOB} now: our supplier"),
        "held by      dec_1",
        &format!("grant_1, passed on by {PLANNER}"),
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
    let json = to_value(whole.view(&decision)).unwrap();
    assert_eq!(json["held"]["answers"][0]["approver"], json!(BOB));
    assert_eq!(json["authority"]["task_state"], json!("live"));
}

#[test]
fn a_word_that_was_given_for_several_says_so() {
    let (whole, decision) = whole("appr_1");
    let page = whole.fields(&decision, 60_000).render(Paint::new(false));
    assert!(page.contains("(once, for what is like it)"), "{page}");
}

#[test]
fn who_was_asked_by_nobody_shows_nothing_of_people() {
    let alone = Whole::default();
    let decision = Decision::default();
    assert_eq!(alone.fields(&decision, 0).render(Paint::new(false)), "");
    let json = to_value(alone.view(&decision)).unwrap();
    assert_eq!((&json["held"], &json["authority"]), (&json!(null), &json!(null)));
}
