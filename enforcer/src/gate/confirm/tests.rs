//! A call of a counted task goes ahead only if the control plane says that it charged it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use checkrein_shared::decision::{Cause, Record, Verdict};
use checkrein_shared::grant::Limits;
use checkrein_shared::id::Generation;
use checkrein_shared::ledger::{Amounts, Meter};

use crate::control_plane::{AskError, Charge, Confirmation};
use crate::fixture::{AGENT, Bench};
use crate::gate::{Answer, Request};

/// A read, of which a task that is not counted makes any number without asking.
fn look(bench: &Bench, calls: Option<u64>) -> Request {
    let limits = Limits {
        calls,
        ..Limits::default()
    };
    Request::new(bench.grant_with(AGENT, bench.task, limits), "bank/look", b"{}")
}

fn said(generation: Generation, charge: Charge) -> Confirmation {
    Confirmation {
        slice: None,
        refused: None,
        live: true,
        generation,
        charge,
        known: Some(crate::control_plane::Known::default()),
    }
}

async fn answer(bench: &Bench, calls: Option<u64>) -> Answer {
    bench.gate.authorize(look(bench, calls)).await.unwrap()
}

#[tokio::test]
async fn a_light_call_of_a_counted_task_is_asked_about_and_of_another_is_not() {
    let bench = Bench::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    bench.authority.on_confirm(move |ask| {
        counting.fetch_add(1, Ordering::SeqCst);
        Ok(said(ask.generation, Charge::Charged))
    });
    assert_eq!(answer(&bench, None).await.verdict(), Verdict::Permit);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(answer(&bench, Some(9)).await.verdict(), Verdict::Permit);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_counted_call_that_was_not_charged_is_denied_by_the_reason() {
    let bench = Bench::new();
    let cases: [(Result<Charge, AskError>, Cause, &str); 4] = [
        (Ok(Charge::Exhausted), Cause::Budget, "all of the 9 calls"),
        (Ok(Charge::None), Cause::Budget, "did not charge"),
        (
            Err(AskError::NotConnected),
            Cause::ControlPlaneUnreachable,
            "is charged to a budget needs the control plane",
        ),
        (
            Err(AskError::Refused("no".into())),
            Cause::ControlPlaneRefused,
            "no",
        ),
    ];
    for (charge, cause, words) in cases {
        bench
            .authority
            .on_confirm(move |ask| charge.clone().map(|charge| said(ask.generation, charge)));
        let answer = answer(&bench, Some(9)).await;
        assert_eq!((answer.verdict(), answer.decided().cause), (Verdict::Deny, cause));
        assert!(answer.decided().reason.contains(words), "{answer:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_judged_again_under_newer_policy_is_one_release() {
    let bench = Bench::new();
    let releases = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&releases);
    bench.authority.on_confirm(move |ask| {
        let mut seen = seen.lock().unwrap();
        seen.push(ask.release);
        let is_first = seen.len() == 1;
        // A generation that is there already: it need not be waited for.
        let newest = Generation(ask.generation.0 + u64::from(is_first));
        Ok(said(
            newest,
            if is_first { Charge::None } else { Charge::Charged },
        ))
    });
    let (gate, request) = (bench.gate.clone(), look(&bench, Some(1)));
    let mut asking = Box::pin(gate.authorize(request));
    assert!(
        futures_util::poll!(&mut asking).is_pending(),
        "it waits for the policy"
    );
    bench.install(&crate::fixture::Offer::of(
        crate::fixture::FROZEN,
        1,
        2,
        &bench.keys.bundle,
    ));
    assert_eq!(asking.await.unwrap().verdict(), Verdict::Permit);
    let first = releases.lock().unwrap().clone();
    assert_eq!((first.len(), first[0]), (2, first[1]));
    assert_eq!(answer(&bench, Some(1)).await.verdict(), Verdict::Permit);
    assert_ne!(
        releases.lock().unwrap()[2],
        first[0],
        "another call is another release"
    );
}

/// A read that costs so many tokens.
fn ask(bench: &Bench, tokens: u64) -> Request {
    let arguments = format!("{{\"tokens\":{tokens}}}");
    Request::new(bench.grant(), "bank/ask", arguments.as_bytes())
}

#[tokio::test]
async fn a_light_call_that_costs_something_goes_ahead_only_if_that_was_charged() {
    let bench = Bench::new();
    for (charge, verdict) in [
        (Charge::Charged, Verdict::Permit),
        (Charge::None, Verdict::Deny),
        (Charge::Exhausted, Verdict::Deny),
    ] {
        bench.authority.on_confirm(move |ask| {
            assert_eq!(ask.cost, Amounts::none().with(Meter::Tokens, 7));
            assert_eq!(ask.tool, "bank/ask", "and it is counted with that");
            Ok(said(ask.generation, charge))
        });
        let answer = bench.gate.authorize(ask(&bench, 7)).await.unwrap();
        assert_eq!(answer.verdict(), verdict, "{answer:?}");
    }
}

#[tokio::test]
async fn only_a_deny_that_leaves_something_held_names_the_release() {
    let bench = Bench::new();
    let asked = Arc::new(Mutex::new(None));
    for (answer, is_named) in [
        (Ok(Charge::Charged), false),
        (Ok(Charge::None), false),
        (Err(AskError::Deadline), true),
    ] {
        let seen = Arc::clone(&asked);
        bench.authority.on_confirm(move |ask| {
            *seen.lock().unwrap() = Some(ask.release);
            answer.clone().map(|charge| said(ask.generation, charge))
        });
        drop(bench.gate.authorize(ask(&bench, 7)).await.unwrap());
        let mut decisions = bench
            .records()
            .into_iter()
            .rev()
            .filter_map(|record| match record {
                Record::Decision(decision) => Some(decision),
                Record::Outcome(_) | Record::SliceClosed(_) => None,
            });
        let named = decisions.next().unwrap().release;
        assert_eq!(named, asked.lock().unwrap().filter(|_| is_named));
    }
}
