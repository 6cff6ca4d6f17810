//! What was permitted ends with one word, also when the enforcer stops meanwhile.

use std::sync::Arc;

use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::hold::State as HoldState;
use checkrein_shared::ledger::Meter;
use futures_util::FutureExt;

use super::*;
use crate::control_plane::{Charge, Confirmation, Opened};
use crate::fixture::{Bench, notice};
use crate::gate::Answer;

fn outcomes(bench: &Bench) -> Vec<(DecisionId, OutcomeResult)> {
    let outcome = |record| match record {
        Record::Outcome(outcome) => Some((outcome.decision, outcome.result)),
        Record::Decision(_) | Record::SliceClosed(_) => None,
    };
    bench.records().into_iter().filter_map(outcome).collect()
}

/// A permitted call whose outcome will come by its id.
async fn under_way(bench: &Bench) -> DecisionId {
    let answer = bench.gate.authorize(bench.look()).await.unwrap();
    let Answer::Permit(permit) = answer else {
        panic!("{answer:?}")
    };
    permit.detach().id
}

#[tokio::test]
async fn an_enforcer_that_stops_permits_nothing_more_and_lets_calls_under_way_end() {
    let bench = Bench::new();
    let (core, done) = (&bench.gate.core, OutcomeResult::Done);
    let (first, second) = (under_way(&bench).await, under_way(&bench).await);
    core.refuse_permits();
    for request in [bench.look(), bench.pay(10), bench.pay(500)] {
        let answer = bench.gate.authorize(request).await.unwrap();
        assert_eq!(
            (answer.verdict(), answer.decided().cause),
            (Verdict::Deny, Cause::Stopping)
        );
    }
    bench.gate.complete(first, done, "").await.unwrap();
    assert!(core.permits_settled().now_or_never().is_none());
    bench.gate.complete(second, done, "").await.unwrap();
    core.permits_settled().await;
    core.abandon_permits();
    assert_eq!(outcomes(&bench), [(first, done), (second, done)]);
}

#[tokio::test]
async fn the_wait_for_calls_under_way_ends_with_the_last_outcome() {
    let bench = Bench::new();
    let id = under_way(&bench).await;
    let core = Arc::clone(&bench.gate.core);
    let waiting = tokio::spawn(async move { core.permits_settled().await });
    tokio::task::yield_now().await;
    bench.gate.complete(id, OutcomeResult::Done, "").await.unwrap();
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_call_that_does_not_end_in_time_is_unknown_and_a_later_word_is_its_second() {
    let bench = Bench::new();
    let id = under_way(&bench).await;
    bench.gate.core.abandon_permits();
    assert_eq!(outcomes(&bench), [(id, OutcomeResult::Unknown)]);
    assert!(matches!(
        bench.gate.complete(id, OutcomeResult::Done, "").await,
        Err(CompleteError::Twice(_))
    ));
    assert_eq!(outcomes(&bench).len(), 1);
}

#[tokio::test]
async fn a_permit_decided_too_late_is_not_given_out_and_recorded_as_not_done() {
    let bench = Bench::new();
    let core = Arc::clone(&bench.gate.core);
    bench.authority.on_confirm(move |ask| {
        core.abandon_permits();
        Ok(Confirmation {
            slice: None,
            refused: None,
            live: true,
            generation: ask.generation,
            charge: Charge::None,
            known: Some(crate::control_plane::Known::default()),
        })
    });
    let answer = bench.gate.authorize(bench.pay(10)).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::Stopping)
    );
    assert_eq!(outcomes(&bench), [(answer.decided().id, OutcomeResult::Failed)]);
}

#[tokio::test]
async fn an_enforcer_that_stops_uses_up_no_approval() {
    let bench = Bench::new();
    let id = HoldId::new(&bench.clock);
    let core = Arc::clone(&bench.gate.core);
    bench.authority.on_open(move |ask| {
        core.refuse_permits();
        Ok(Opened::Held(notice(id, HoldState::Approved, ask)))
    });
    bench.authority.bob_approves();
    let answer = bench.gate.authorize(bench.pay(500)).await.unwrap();
    assert_eq!(answer.decided().cause, Cause::Stopping);
    assert_eq!(bench.authority.consumed(), 0);
}

#[tokio::test]
async fn after_the_journal_was_closed_the_cause_is_that_the_enforcer_stopped() {
    let bench = Bench::new();
    bench.journal.close();
    let answer = bench.gate.authorize(bench.look()).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::Stopping)
    );
}

#[tokio::test]
async fn what_a_call_used_up_and_no_catalog_prices_is_recorded_and_told_of() {
    let bench = Bench::new();
    let id = under_way(&bench).await;
    let found = Found {
        spent: Amounts::none().with(Meter::Tokens, 7),
        ..Found::default()
    };
    let done = OutcomeResult::Done;
    bench.gate.complete_with(id, done, "", &found).await.unwrap();
    let recorded = bench.records().into_iter().find_map(|record| match record {
        Record::Outcome(outcome) => Some(outcome.spent),
        Record::Decision(_) | Record::SliceClosed(_) => None,
    });
    assert_eq!(recorded, Some(found.spent));
    let tool = bench.look().tool;
    let unpriced = &bench.gate.core.permits.unpriced;
    assert_eq!(
        unpriced.first(&tool, &Amounts::none(), &found.spent),
        None,
        "told"
    );
}
