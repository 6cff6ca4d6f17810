//! Calls are paid from what is held here, as far as it goes and no further; where parts fail, nothing is permitted.

use std::sync::atomic::{AtomicUsize, Ordering};

use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::grant::Limits;
use checkrein_shared::ledger::{Amounts, Meter};

use super::*;
use crate::control_plane::{AskError, Charge, Confirmation, Known};
use crate::fixture::{AGENT, Bench, Offer};
use crate::gate::{Answer, Permit, Request};
use crate::slices::Given;

/// Whoever has asked a model pays no more, by a rule that every call of it looks at.
const LOOKING: &str = r#"
@id("all") permit (principal, action, resource);
@id("tainted") @reason("this task has read mail") forbid (principal, action == Action::"bank/ask", resource)
when { context.task.labels.contains("untrusted_content") };
"#;

/// An enforcer whose control plane charges all calls, and lets it hold a slice for three more, of 7 tokens each.
struct Desk {
    bench: Bench,
    grant: String,
    confirmed: Arc<AtomicUsize>,
}

impl Desk {
    fn new(bench: Bench) -> Self {
        let limits = Limits {
            calls: Some(100),
            ..Limits::default()
        };
        let grant = bench.grant_with(AGENT, bench.task, limits);
        let confirmed = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&confirmed);
        bench.authority.on_confirm(move |ask| {
            counting.fetch_add(1, Ordering::SeqCst);
            let given = Given {
                calls: 3,
                amounts: Amounts::default().with(Meter::Tokens, 21),
                lasts_ms: 60_000,
            };
            Ok(Confirmation {
                slice: ask.slice.map(|_| given),
                refused: None,
                live: true,
                generation: ask.generation,
                charge: Charge::Charged,
                known: Some(Known::default()),
            })
        });
        Self {
            bench,
            grant,
            confirmed,
        }
    }

    /// One that holds a slice.
    async fn holding() -> Self {
        let desk = Self::new(Bench::new());
        drop(desk.permit("bank/ask").await);
        drop(desk.permit("bank/ask").await);
        assert_eq!(desk.confirmed(), 2);
        desk
    }

    fn confirmed(&self) -> usize {
        self.confirmed.load(Ordering::SeqCst)
    }

    fn away(&self) {
        self.bench.authority.connected(false);
        self.bench.authority.on_confirm(|_| Err(AskError::NotConnected));
    }

    async fn answer(&self, tool: &str) -> Answer {
        let arguments: &[u8] = match tool {
            "bank/ask" => br#"{"tokens":7}"#,
            "bank/pay" => br#"{"to":"GB29","amount":1}"#,
            _ => b"{}",
        };
        let request = Request::new(self.grant.clone(), tool, arguments);
        self.bench.gate.authorize(request).await.unwrap()
    }

    async fn permit(&self, tool: &str) -> Permit {
        match self.answer(tool).await {
            Answer::Permit(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    /// Which records there are: what was drawn by each permit, and the ends of slices.
    fn records(&self) -> Vec<Result<Option<SliceId>, SliceId>> {
        let of = |record| match record {
            Record::Decision(decision) => Some(Ok(decision.drawn.map(|drawn| drawn.slice))),
            Record::SliceClosed(closed) => Some(Err(closed.slice)),
            Record::Outcome(_) => None,
        };
        self.bench.records().into_iter().filter_map(of).collect()
    }
}

#[tokio::test]
async fn calls_are_paid_from_a_slice_and_the_record_says_from_which_until_it_is_used_up() {
    let desk = Desk::holding().await;
    for _ in 0..3 {
        drop(desk.permit("bank/ask").await);
    }
    assert_eq!(desk.confirmed(), 2);
    let records = desk.records();
    let slice = records[2].unwrap().unwrap();
    assert_eq!(
        records,
        [
            Ok(None),
            Ok(None),
            Ok(Some(slice)),
            Ok(Some(slice)),
            Ok(Some(slice))
        ]
    );
    drop(desk.permit("bank/ask").await);
    assert_eq!(desk.confirmed(), 3);
}

#[tokio::test]
async fn while_the_control_plane_is_away_what_is_held_pays_and_nothing_else_does() {
    let desk = Desk::holding().await;
    desk.away();
    for _ in 0..3 {
        drop(desk.permit("bank/ask").await);
    }
    let answer = desk.answer("bank/ask").await;
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::ControlPlaneUnreachable)
    );
}

#[tokio::test]
async fn a_full_tier_call_is_confirmed_whatever_is_held() {
    let desk = Desk::holding().await;
    for confirmed in 3..6 {
        drop(desk.permit("bank/pay").await);
        assert_eq!(desk.confirmed(), confirmed);
    }
    assert!(desk.records().iter().all(|record| *record == Ok(None)));
}

#[tokio::test]
async fn a_call_that_a_rule_judges_by_the_ledger_is_confirmed_every_time() {
    let bench = Bench::new();
    bench.install(&Offer::of(LOOKING, 1, 2, &bench.keys.bundle));
    bench
        .authority
        .on_note(|_| Ok(crate::control_plane::Noted::Known(Known::default())));
    let desk = Desk::new(bench);
    for confirmed in 1..5 {
        drop(desk.permit("bank/ask").await);
        assert_eq!(desk.confirmed(), confirmed);
    }
}

#[tokio::test]
async fn under_another_policy_a_slice_pays_nothing() {
    let desk = Desk::holding().await;
    desk.bench.install(&desk.bench.keys.offer(2));
    desk.away();
    assert_eq!(desk.answer("bank/ask").await.verdict(), Verdict::Deny);
}

#[tokio::test]
async fn what_is_denied_by_a_rule_or_by_a_revoked_grant_draws_nothing() {
    let desk = Desk::holding().await;
    let frozen = r#"@id("frozen") @reason("no") forbid (principal, action, resource);"#;
    desk.bench
        .install(&Offer::of(frozen, 1, 1, &desk.bench.keys.bundle));
    assert_eq!(desk.answer("bank/ask").await.decided().cause, Cause::Forbidden);
    desk.bench.install(&desk.bench.keys.offer(1));
    for _ in 0..3 {
        drop(desk.permit("bank/ask").await);
    }
    assert_eq!(desk.confirmed(), 2, "all three were left");
}

#[tokio::test]
async fn the_end_of_a_slice_stands_after_all_that_was_drawn_from_it() {
    let desk = Desk::holding().await;
    drop(desk.permit("bank/ask").await);
    desk.bench.gate.core.end_slices();
    let records = desk.records();
    let slice = records[2].unwrap().unwrap();
    assert_eq!(records[2..], [Ok(Some(slice)), Err(slice)]);
    desk.away();
    assert_eq!(desk.answer("bank/ask").await.verdict(), Verdict::Deny);
}

#[tokio::test]
async fn a_slice_that_may_have_been_given_is_given_up_in_the_journal() {
    let desk = Desk::new(Bench::new());
    drop(desk.permit("bank/ask").await);
    let asked = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&asked);
    desk.bench.authority.on_confirm(move |ask| {
        *seen.lock().unwrap() = ask.slice;
        Err(AskError::Deadline)
    });
    assert_eq!(desk.answer("bank/ask").await.verdict(), Verdict::Deny);
    desk.bench.gate.core.end_slices();
    let asked = asked.lock().unwrap().unwrap();
    assert_eq!(desk.records().last(), Some(&Err(asked)));
}

#[tokio::test(start_paused = true)]
async fn a_slice_that_nobody_uses_is_ended_by_itself() {
    let desk = Desk::holding().await;
    let stop = CancellationToken::new();
    let tending = tokio::spawn(Arc::clone(&desk.bench.gate.core).tend_slices(stop.clone()));
    desk.bench.clock.advance_ms(1_100);
    while desk.records().len() < 3 {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    assert!(desk.records()[2].is_err());
    stop.cancel();
    tending.await.unwrap();
}
