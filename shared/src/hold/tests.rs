//! The state machine has no way out of a terminal state, and one way to a release.

use super::*;

const STEPS: [Step; 8] = [
    Step::Approve,
    Step::Deny,
    Step::Expire,
    Step::Cancel,
    Step::Consume,
    Step::Settle(OutcomeResult::Done),
    Step::Settle(OutcomeResult::Failed),
    Step::Settle(OutcomeResult::Unknown),
];

#[test]
fn no_step_leads_out_of_a_terminal_state() {
    for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
        for step in STEPS {
            assert_eq!(state.after(step), Err(InvalidTransition { from: state, step }));
        }
    }
}

#[test]
fn every_other_state_can_still_end() {
    for state in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
        assert!(state.after(Step::Expire).is_ok_and(State::is_terminal), "{state}");
    }
}

#[test]
fn only_an_approved_hold_can_be_consumed_and_only_once() {
    for state in State::ALL {
        assert_eq!(
            state.after(Step::Consume).is_ok(),
            state == State::Approved,
            "{state}"
        );
    }
    assert!(
        State::Approved
            .after(Step::Consume)
            .and_then(|used| used.after(Step::Consume))
            .is_err()
    );
}

#[test]
fn a_state_is_named_as_it_is_parsed() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
}

#[test]
fn nobody_who_asked_may_answer_whatever_hat_they_wear() {
    let id = |text: &str| text.parse::<SpiffeId>().unwrap();
    let agent = id("spiffe://acme.example/agent/billing");
    let starter = id("spiffe://acme.example/operator/olga");
    let askers = Askers {
        agent: &agent,
        delegated_by: &[id("spiffe://acme.example/agent/planner")],
        started_by: &starter,
        user: "alice",
    };
    for asker in [
        "agent/billing",
        "agent/planner",
        "operator/olga",
        "approver/olga",
        "approver/alice",
    ] {
        assert!(
            askers.include(&id(&format!("spiffe://acme.example/{asker}"))),
            "{asker}"
        );
    }
    assert!(!askers.include(&id("spiffe://acme.example/approver/bob")));
}

#[test]
fn a_person_is_an_asker_however_their_name_is_written() {
    let id = |text: &str| text.parse::<SpiffeId>().unwrap();
    let agent = id("spiffe://acme.example/agent/billing");
    let starter = id("spiffe://acme.example/operator/Olga");
    let include = |user: &str, person: &str| {
        let askers = Askers {
            agent: &agent,
            delegated_by: &[],
            started_by: &starter,
            user,
        };
        askers.include(&id(&format!("spiffe://acme.example/{person}")))
    };
    for user in [
        "Alice",
        "ALICE",
        " alice ",
        "alice@acme.example",
        "Alice@Acme.Example",
        "alice+tasks@acme.example",
    ] {
        assert!(include(user, "approver/alice"), "{user}");
        assert!(include(user, "operator/ALICE"), "{user}");
        assert!(!include(user, "approver/bob"), "{user}");
    }
    assert!(include("alice", "approver/olga"), "the starter, in another case");
    for other in [
        "malice@acme.example",
        "alice.b@acme.example",
        "bob@alice",
        "@alice",
        "",
    ] {
        assert!(!include(other, "approver/alice"), "{other}");
    }
}
