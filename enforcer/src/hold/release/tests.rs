//! What people approved is released once, as it was, under the policy of the moment; everything else is denied.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use checkrein_shared::Generation;
use checkrein_shared::decision::{Decision, OutcomeResult, Record};
use checkrein_shared::hold::State;
use checkrein_shared::ledger::Ledger;

use super::*;
use crate::control_plane::{AskError, Charge, Confirmation, Known, Noted, Opened, Refusal};
use crate::fixture::{Bench, FROZEN, Offer, notice};
use crate::gate::Request;
use crate::hold::View;

const A_MINUTE: Duration = Duration::from_mins(1);

fn bench_with_hold(state: State) -> (Bench, HoldId) {
    bench_of(Bench::new(), state)
}

fn bench_of(bench: Bench, state: State) -> (Bench, HoldId) {
    let id = HoldId::new(&bench.clock);
    bench.authority.holds_as(id, state);
    bench.authority.bob_approves();
    (bench, id)
}

fn big(bench: &Bench) -> Request {
    bench.pay(500).call_id("call-1").wait(A_MINUTE)
}

/// Presents the call, and once it waits lets the control plane say this of its hold.
async fn answered_with(bench: &Bench, id: HoldId, state: State, said: &str) -> Answer {
    let (gate, request) = (bench.gate.clone(), big(bench));
    let mut asking = Box::pin(gate.authorize(request));
    assert!(futures_util::poll!(&mut asking).is_pending());
    assert_eq!(bench.holds.open(), [id]);
    tell(bench, id, state, said);
    asking.await.unwrap()
}

fn tell(bench: &Bench, id: HoldId, state: State, said: &str) {
    let view = View::new(state, 2, said);
    bench.holds.tell(id, view);
}

fn decisions(bench: &Bench) -> Vec<Decision> {
    let decision = |record| {
        if let Record::Decision(decision) = record {
            Some(*decision)
        } else {
            None
        }
    };
    bench.records().into_iter().filter_map(decision).collect()
}

#[tokio::test]
async fn an_approved_action_is_held_released_and_settled_and_all_of_it_is_recorded() {
    let (bench, id) = bench_with_hold(State::Open);
    let answer = answered_with(&bench, id, State::Approved, "").await;
    let Answer::Permit(permit) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (permit.decided().cause, permit.decided().hold),
        (Cause::Approved, Some(id))
    );
    permit.complete(OutcomeResult::Done, "").await.unwrap();
    let recorded = decisions(&bench);
    let words: Vec<_> = recorded
        .iter()
        .map(|decision| (decision.verdict, decision.cause))
        .collect();
    assert_eq!(
        words,
        [(Verdict::Hold, Cause::Held), (Verdict::Permit, Cause::Approved)]
    );
    assert_eq!(recorded[0].action, recorded[1].action);
    assert!(recorded.iter().all(|decision| decision.hold == Some(id)));
    let Some(Record::Outcome(outcome)) = bench.records().pop() else {
        panic!("no outcome")
    };
    assert_eq!((outcome.hold, outcome.decision), (Some(id), recorded[1].id));
    assert!(bench.journal.progress().borrow().synced >= 3);
}

#[tokio::test]
async fn a_caller_that_does_not_wait_is_told_at_once_and_finds_its_hold_again() {
    let (bench, id) = bench_with_hold(State::Open);
    let answer = bench
        .gate
        .authorize(bench.pay(500).call_id("call-1"))
        .await
        .unwrap();
    let Answer::Hold(held) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (held.decided.hold, held.groups.as_slice()),
        (Some(id), ["treasury".to_owned()].as_slice())
    );
    bench.authority.holds_as(id, State::Approved);
    let answer = bench
        .gate
        .authorize(bench.pay(500).call_id("call-1"))
        .await
        .unwrap();
    assert_eq!(answer.decided().cause, Cause::Approved);
    bench.authority.holds_as(id, State::Consumed);
    let answer = bench
        .gate
        .authorize(bench.pay(500).call_id("call-1"))
        .await
        .unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::AlreadyReleased)
    );
    assert_eq!(bench.authority.consumed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_no_longer_than_it_said() {
    let (bench, _) = bench_with_hold(State::Open);
    let answer = bench.gate.authorize(big(&bench)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Hold);
    assert_eq!(decisions(&bench).len(), 1);
    assert!(bench.holds.open().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_person_asks_meanwhile_is_told_as_theirs_and_nothing_of_it_is_recorded_or_let_through() {
    let (bench, id) = bench_with_hold(State::Open);
    let before = bench
        .gate
        .authorize(bench.pay(500).call_id("call-1"))
        .await
        .unwrap();
    let answer = answered_with(
        &bench,
        id,
        State::Open,
        "`bob` asks: \u{201c}which invoice?\u{201d}",
    )
    .await;
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Hold, Cause::Held)
    );
    let told = &answer.decided().reason;
    assert!(told.starts_with(&before.decided().reason), "{told}");
    assert!(
        told.contains("A person has a question first: `bob` asks: \u{201c}which invoice?\u{201d}"),
        "{told}"
    );
    let recorded = decisions(&bench);
    assert!(
        recorded
            .iter()
            .all(|decision| decision.reason == before.decided().reason)
    );
    assert_eq!(bench.authority.consumed(), 0);
}

#[tokio::test]
async fn every_end_but_approval_denies_with_its_own_words() {
    let ends = [
        (State::Denied, Cause::DeniedByPerson),
        (State::Withdrawn, Cause::DeniedByPerson),
        (State::Expired, Cause::HoldExpired),
        (State::Lapsed, Cause::HoldLapsed),
        (State::Cancelled, Cause::HoldCancelled),
        (State::Consumed, Cause::AlreadyReleased),
        (State::Unknown, Cause::AlreadyReleased),
    ];
    for (state, cause) in ends {
        let (bench, id) = bench_with_hold(State::Open);
        let answer = answered_with(&bench, id, state, "wrong account").await;
        assert_eq!(
            (answer.verdict(), answer.decided().cause),
            (Verdict::Deny, cause),
            "{state}"
        );
        assert_eq!(bench.authority.consumed(), 0);
        if matches!(state, State::Denied | State::Withdrawn | State::Cancelled) {
            let reason = answer.decided().reason.to_lowercase();
            assert!(reason.contains("wrong account"), "{state}: {reason}");
            assert!(reason.contains("do not try again"), "{state}: {reason}");
        }
    }
}

#[tokio::test]
async fn an_approved_action_that_policy_forbids_by_now_is_denied_and_its_approval_is_not_used() {
    let (bench, id) = bench_with_hold(State::Open);
    let (gate, request) = (bench.gate.clone(), big(&bench));
    let mut asking = Box::pin(gate.authorize(request));
    assert!(futures_util::poll!(&mut asking).is_pending());
    bench.install(&Offer::of(FROZEN, 1, 2, &bench.keys.bundle));
    bench.holds.tell(id, View::new(State::Approved, 2, ""));
    let answer = asking.await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::Forbidden)
    );
    assert_eq!(
        (answer.decided().generation, answer.decided().hold),
        (Generation(2), Some(id))
    );
    assert_eq!(bench.authority.consumed(), 0);
}

#[tokio::test]
async fn an_approved_call_of_a_tool_that_was_defined_anew_is_another_action() {
    let (bench, id) = bench_with_hold(State::Open);
    let (gate, request) = (bench.gate.clone(), big(&bench));
    let mut asking = Box::pin(gate.authorize(request));
    assert!(futures_util::poll!(&mut asking).is_pending());
    bench.install(&Offer::redefining_pay(2, &bench.keys.bundle));
    tell(&bench, id, State::Approved, "");
    let answer = asking.await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::ActionChanged)
    );
    assert_eq!(bench.authority.consumed(), 0);
}

#[tokio::test]
async fn an_approval_is_not_used_up_for_a_release_that_could_not_be_recorded() {
    let (bench, id) = bench_of(Bench::with_journal(1 << 20), State::Approved);
    let text = "x".repeat(8_000);
    while bench.journal.has_room(ROOM_BYTES) {
        let note = format!("{{\"text\":\"{text}\"}}");
        let note = Request::new(bench.grant(), "bank/note", note.as_bytes());
        let answer = bench.gate.authorize(note).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Permit);
        if let Answer::Permit(permit) = answer {
            permit.detach();
        }
    }
    let answer = bench.gate.authorize(big(&bench)).await.unwrap();
    assert_eq!(
        (answer.decided().cause, answer.decided().hold),
        (Cause::JournalFull, Some(id))
    );
    assert_eq!(bench.authority.consumed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hold_of_which_nothing_was_heard_by_its_deadline_is_asked_about_once_more() {
    let (bench, id) = bench_with_hold(State::Open);
    bench.clock.advance_ms(1_799_000);
    bench.confirm_fresh();
    let (gate, request) = (bench.gate.clone(), big(&bench));
    let mut asking = Box::pin(gate.authorize(request));
    assert!(futures_util::poll!(&mut asking).is_pending());
    bench.clock.advance_ms(1_000);
    bench.authority.holds_as(id, State::Expired);
    let answer = asking.await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::HoldExpired)
    );
}

#[tokio::test]
async fn an_approval_is_presented_again_under_the_newest_policy() {
    let (bench, id) = bench_with_hold(State::Open);
    let tries = AtomicUsize::new(0);
    bench.authority.on_consume(move |ask| {
        if tries.fetch_add(1, Ordering::Relaxed) == 0 {
            assert_eq!(ask.generation, Generation(1));
            return Ok(Consumption::Refresh(Generation(2), None));
        }
        assert_eq!(ask.generation, Generation(2));
        Ok(Consumption::Consumed {
            approvers: vec!["bob".into()],
        })
    });
    let (gate, request) = (bench.gate.clone(), big(&bench));
    let asking = tokio::spawn(async move { gate.authorize(request).await });
    bench.holds.tell(id, View::new(State::Approved, 2, ""));
    tokio::task::yield_now().await;
    bench.install(&bench.keys.offer(2));
    let answer = asking.await.unwrap().unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().generation),
        (Verdict::Permit, Generation(2))
    );
}

#[tokio::test]
async fn an_approval_that_can_not_be_used_for_certain_releases_nothing() {
    for said in [
        Err(AskError::Deadline),
        Ok(Consumption::Refused(Refusal::new(Cause::HoldLapsed, "too late"))),
    ] {
        let (bench, id) = bench_with_hold(State::Approved);
        bench.authority.on_consume(move |_| said.clone());
        let answer = bench.gate.authorize(big(&bench)).await.unwrap();
        assert_eq!(
            (answer.verdict(), answer.decided().hold),
            (Verdict::Deny, Some(id))
        );
        assert!(matches!(
            answer.decided().cause,
            Cause::ControlPlaneUnreachable | Cause::HoldLapsed
        ));
        assert_eq!(bench.authority.consumed(), 1, "never presented again by itself");
    }
}

#[tokio::test]
async fn the_deny_of_a_release_that_nothing_was_heard_of_names_it_and_that_of_a_refused_one_does_not() {
    for is_heard in [false, true] {
        let (bench, id) = bench_with_hold(State::Approved);
        let asked = Arc::new(std::sync::Mutex::new(None));
        let seen = Arc::clone(&asked);
        bench.authority.on_consume(move |ask| {
            *seen.lock().unwrap() = Some(ask.attempt);
            if is_heard {
                return Ok(Consumption::Refused(Refusal::new(Cause::HoldLapsed, "too late")));
            }
            Err(AskError::Deadline)
        });
        let answer = bench.gate.authorize(big(&bench)).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Deny);
        let recorded = decisions(&bench);
        let [denied] = &recorded[..] else {
            panic!("{recorded:?}")
        };
        let named = asked.lock().unwrap().filter(|_| !is_heard);
        assert_eq!((denied.hold, denied.release), (Some(id), named));
        assert_eq!(named.is_none(), is_heard);
    }
}

#[tokio::test]
async fn a_call_that_was_confirmed_before_it_was_to_be_held_is_given_back_when_its_approval_is_used() {
    const READER: &str = r#"@id("all") permit (principal, action, resource);
        @id("reader") @hold("treasury") @quorum("1") @decide_within("30m") @reason("this task has read mail")
        forbid (principal, action == Action::"bank/pay", resource)
        when { context.task.labels.contains("untrusted_content") };"#;
    let (bench, id) = bench_with_hold(State::Approved);
    bench.install(&Offer::of(READER, 1, 2, &bench.keys.bundle));
    let known = |labels: &[&str]| Known {
        ledger: Arc::new(Ledger {
            labels: labels.iter().map(|label| label.parse().unwrap()).collect(),
            revision: 1,
            ..Ledger::default()
        }),
        from: Vec::new(),
    };
    // Somebody else read mail just before the payment was confirmed.
    bench.authority.on_note(move |_| Ok(Noted::Known(known(&[]))));
    let confirmed = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&confirmed);
    bench.authority.on_confirm(move |ask| {
        *seen.lock().unwrap() = Some(ask.release);
        Ok(Confirmation {
            slice: None,
            refused: None,
            live: true,
            generation: ask.generation,
            charge: Charge::None,
            known: Some(known(&["untrusted_content"])),
        })
    });
    let answer = bench.gate.authorize(bench.pay(10).call_id("call")).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit, "{answer:?}");
    let confirmed = *confirmed.lock().unwrap();
    let recorded = decisions(&bench);
    let words: Vec<_> = recorded
        .iter()
        .map(|decision| (decision.verdict, decision.hold, decision.release))
        .collect();
    assert!(confirmed.is_some());
    assert_eq!(
        words,
        [
            (Verdict::Hold, Some(id), confirmed),
            (Verdict::Permit, Some(id), None)
        ]
    );
}

#[tokio::test]
async fn an_action_that_may_not_even_wait_is_denied() {
    let bench = Bench::new();
    let answer = bench.gate.authorize(big(&bench)).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::ControlPlaneUnreachable)
    );
    bench
        .authority
        .on_open(|_| Ok(Opened::Refused(Refusal::new(Cause::HoldsExhausted, "too many"))));
    let answer = bench.gate.authorize(big(&bench)).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::HoldsExhausted)
    );
}

#[tokio::test]
async fn a_hold_of_another_action_under_the_same_name_releases_nothing() {
    let bench = Bench::new();
    let id = HoldId::new(&bench.clock);
    bench.authority.on_open(move |ask| {
        let mut of_another = notice(id, State::Approved, ask);
        of_another.action_sha256 = Sha256::of(b"another");
        Ok(Opened::Held(of_another))
    });
    let answer = bench.gate.authorize(big(&bench)).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::ActionChanged)
    );
    assert_eq!(bench.authority.consumed(), 0);
}

#[tokio::test]
async fn a_release_whose_caller_went_away_is_recorded_and_its_outcome_is_unknown() {
    let (bench, id) = bench_with_hold(State::Approved);
    let (gate, request) = (bench.gate.clone(), big(&bench));
    let mut asking = Box::pin(gate.authorize(request));
    assert!(futures_util::poll!(&mut asking).is_pending());
    drop(asking);
    let recorded = async {
        while bench.records().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(A_MINUTE, recorded).await.unwrap();
    let records = bench.records();
    assert!(matches!(&records[0], Record::Decision(decision) if decision.cause == Cause::Approved));
    assert!(matches!(&records[1], Record::Outcome(outcome)
        if outcome.result == OutcomeResult::Unknown && outcome.hold == Some(id)));
}
