//! What the control plane was not told is not released, and what it did not tell is not guessed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use checkrein_shared::decision::{Decision, OutcomeResult, Record};
use checkrein_shared::id::TaskId;

use super::*;
use crate::control_plane::Confirmation;
use crate::fixture::{Bench, Offer};
use crate::gate::{Answer, CompleteError, Request, RunError};

/// Whoever has read mail pays nobody, and writes no notes.
const RULES: &str = r#"
@id("all") permit (principal, action, resource);
@id("tainted") @reason("this task has read mail") forbid (principal, action in [Action::"bank/pay", Action::"bank/note"], resource)
when { context.task.labels.contains("untrusted_content") };
@id("once") @reason("one payment for each task") forbid (principal, action == Action::"bank/pay", resource)
when { context.task.used has "bank/pay" };
"#;

/// A control plane's ledger of one task, as far as these tests need it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Ledger>>);

impl Kept {
    /// The bench whose control plane keeps this.
    fn bench() -> (Bench, Self) {
        let (bench, kept) = (Bench::new(), Self::default());
        bench.install(&Offer::of(RULES, 1, 2, &bench.keys.bundle));
        kept.answer(&bench);
        (bench, kept)
    }

    fn answer(&self, bench: &Bench) {
        let (noting, confirming) = (self.clone(), self.clone());
        bench.authority.on_note(move |note| {
            let mut ledger = noting.0.lock().unwrap();
            let new = ledger.lacks(&note.labels);
            ledger.revision += u64::from(!new.is_empty());
            ledger.labels.extend(new);
            Ok(Noted::Known(Known {
                ledger: Arc::new(ledger.clone()),
                from: Vec::new(),
            }))
        });
        bench.authority.on_confirm(move |ask| {
            let mut ledger = confirming.0.lock().unwrap();
            let before = ledger.clone();
            ledger.count(&ask.tool, ask.reversibility.unwrap(), 0);
            ledger.revision += 1;
            Ok(Confirmation {
                slice: None,
                refused: None,
                live: true,
                generation: ask.generation,
                charge: crate::control_plane::Charge::None,
                known: Some(Known {
                    ledger: Arc::new(before),
                    from: Vec::new(),
                }),
            })
        });
    }

    /// Another enforcer has released this.
    fn carry(&self, label: &str) {
        let mut ledger = self.0.lock().unwrap();
        ledger.labels.insert(label.parse().unwrap());
        ledger.revision += 1;
    }

    fn labels(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .labels
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

fn mail(bench: &Bench) -> Request {
    Request::new(bench.grant(), "bank/mail", b"{}")
}

fn note(bench: &Bench) -> Request {
    Request::new(bench.grant(), "bank/note", b"{}")
}

async fn cause(bench: &Bench, request: Request) -> Cause {
    bench.gate.authorize(request).await.unwrap().decided().cause
}

async fn permit(bench: &Bench, request: Request) -> crate::gate::Permit {
    match bench.gate.authorize(request).await.unwrap() {
        Answer::Permit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn last(bench: &Bench) -> Decision {
    let decisions = bench.records().into_iter().filter_map(|record| match record {
        Record::Decision(decision) => Some(*decision),
        Record::Outcome(_) | Record::SliceClosed(_) => None,
    });
    decisions.collect::<Vec<_>>().pop().unwrap()
}

#[tokio::test]
async fn the_first_data_of_its_kind_is_in_the_ledger_before_its_call_is_permitted_and_the_next_costs_nothing()
{
    let (bench, kept) = Kept::bench();
    drop(permit(&bench, mail(&bench)).await);
    assert_eq!(kept.labels(), ["untrusted_content"]);
    assert_eq!(last(&bench).yields.len(), 1);
    bench.authority.on_note(|_| panic!("it is written already"));
    drop(permit(&bench, mail(&bench)).await);
}

#[tokio::test]
async fn a_call_whose_labels_can_t_be_written_is_denied_and_so_is_one_that_the_control_plane_refuses() {
    let bench = Bench::new();
    assert_eq!(cause(&bench, mail(&bench)).await, Cause::LabelUnwritten);
    assert_eq!(last(&bench).cause, Cause::LabelUnwritten);
    bench
        .authority
        .on_note(|_| Ok(Noted::Refused(Refusal::new(Cause::TaskEnded, "over"))));
    assert_eq!(cause(&bench, mail(&bench)).await, Cause::TaskEnded);
}

#[tokio::test]
async fn a_call_that_a_rule_judges_by_the_ledger_asks_for_it_once_and_is_denied_if_it_can_t() {
    let (bench, kept) = Kept::bench();
    bench.authority.on_note(|_| Err(AskError::NotConnected));
    assert_eq!(cause(&bench, note(&bench)).await, Cause::LedgerUnknown);
    assert_eq!(
        cause(&bench, bench.look()).await,
        Cause::Permitted,
        "no rule about it asks"
    );
    kept.answer(&bench);
    assert_eq!(cause(&bench, note(&bench)).await, Cause::Permitted);
    assert_eq!(last(&bench).ledger.unwrap().revision, 0);
    bench
        .authority
        .on_note(|_| panic!("it was asked for a moment ago"));
    assert_eq!(cause(&bench, note(&bench)).await, Cause::Permitted);
}

#[tokio::test]
async fn what_was_released_elsewhere_is_asked_for_again_after_a_second_and_not_waited_for_when_nobody_is_there()
 {
    let (bench, kept) = Kept::bench();
    assert_eq!(cause(&bench, note(&bench)).await, Cause::Permitted);
    kept.carry("untrusted_content");
    bench.authority.connected(false);
    bench.clock.advance_ms(VIEW_AGE_MS_MAX + 1);
    bench.confirm_fresh();
    assert_eq!(
        cause(&bench, note(&bench)).await,
        Cause::Permitted,
        "what is known is young enough"
    );
    bench.authority.connected(true);
    assert_eq!(cause(&bench, note(&bench)).await, Cause::Forbidden);
}

#[tokio::test]
async fn a_view_that_is_older_than_policy_may_be_permits_nothing_that_a_rule_judges_by_it() {
    let (bench, _kept) = Kept::bench();
    assert_eq!(cause(&bench, note(&bench)).await, Cause::Permitted);
    bench.authority.connected(false);
    bench.clock.advance_ms(BOUNDS_DEFAULT.light_ms + 1);
    bench.confirm_fresh();
    assert_eq!(cause(&bench, note(&bench)).await, Cause::LedgerUnknown);
    assert_eq!(cause(&bench, bench.look()).await, Cause::Permitted);
    bench.authority.connected(true);
    assert_eq!(cause(&bench, note(&bench)).await, Cause::Permitted, "asked again");
}

#[tokio::test]
async fn a_full_tier_call_is_judged_by_the_ledger_of_its_confirmation_and_not_by_what_was_known() {
    let (bench, kept) = Kept::bench();
    drop(permit(&bench, bench.pay(10)).await);
    assert_eq!(
        cause(&bench, bench.pay(10)).await,
        Cause::Forbidden,
        "one payment for each task"
    );
    let (bench, kept_too) = Kept::bench();
    assert_eq!(
        cause(&bench, note(&bench)).await,
        Cause::Permitted,
        "nothing is known against it here"
    );
    kept_too.carry("untrusted_content");
    assert_eq!(cause(&bench, bench.pay(10)).await, Cause::Forbidden);
    drop(kept);
}

#[tokio::test]
async fn a_confirmation_that_does_not_say_what_the_task_has_done_lets_nothing_through_that_a_rule_judges_by_it()
 {
    let (bench, _kept) = Kept::bench();
    bench.authority.on_confirm(|ask| {
        Ok(Confirmation {
            slice: None,
            refused: None,
            live: true,
            generation: ask.generation,
            charge: crate::control_plane::Charge::None,
            known: None,
        })
    });
    assert_eq!(cause(&bench, bench.pay(10)).await, Cause::LedgerUnknown);
}

#[tokio::test]
async fn what_a_caller_finds_in_a_result_is_in_the_ledger_when_its_outcome_is_taken_or_it_is_not_taken() {
    let (bench, kept) = Kept::bench();
    let found = Found {
        labels: ["credentials"].map(|word| word.parse().unwrap()).into(),
        ..Found::default()
    };
    let id = permit(&bench, bench.look()).await.detach().id;
    let done = OutcomeResult::Done;
    bench.authority.on_note(|_| Err(AskError::Deadline));
    let refused = bench.gate.complete_with(id, done, "", &found).await;
    assert!(
        matches!(refused, Err(CompleteError::Unlabelled(_))),
        "{refused:?}"
    );
    kept.answer(&bench);
    bench.gate.complete_with(id, done, "", &found).await.unwrap();
    assert_eq!(kept.labels(), ["credentials"]);
    let stranger = bench.gate_of("spiffe://acme.example/agent/other");
    let id = permit(&bench, bench.look()).await.detach().id;
    assert!(matches!(
        stranger.complete_with(id, done, "", &found).await,
        Err(CompleteError::Unknown(_))
    ));
}

#[tokio::test]
async fn a_result_is_labelled_by_its_size_and_one_whose_size_nobody_tells_as_if_it_were_the_largest() {
    is_labelled_by_its_size(RULES).await;
}

#[tokio::test]
async fn a_result_is_labelled_by_its_size_too_if_a_rule_asks_where_the_arguments_came_from() {
    let rules = format!(
        r#"{RULES} @id("steered") @reason("a stranger named it") forbid (principal, action == Action::"bank/look", resource)
        when {{ context.arguments_from.untrusted.contains("account") }};"#
    );
    is_labelled_by_its_size(&rules).await;
}

async fn is_labelled_by_its_size(rules: &str) {
    let bench = Bench::new();
    let labels = r#"@id("large") @yields("bulk") permit (principal, action == Action::"bank/look", resource)
        when { context has result && context.result.bytes > 100 };"#;
    bench.install(&Offer::labelling(rules, labels, 2, &bench.keys.bundle));
    bench
        .snapshots
        .install(|next| next.masking = Some(checkrein_shared::action::MaskingKey::new(b"key")));
    let kept = Kept::default();
    kept.answer(&bench);
    for (bytes, expected) in [(Some(100), 0), (Some(101), 1), (None, 1)] {
        *kept.0.lock().unwrap() = Ledger::default();
        let request = Request::new(
            bench.grant_of(crate::fixture::AGENT, TaskId::new(&bench.clock)),
            "bank/look",
            b"{}",
        );
        let permit = permit(&bench, request).await;
        let found = Found {
            size: bytes.map(|bytes| ResultSize { bytes, rows: None }),
            ..Found::default()
        };
        permit
            .complete_with(OutcomeResult::Done, "", &found)
            .await
            .unwrap();
        assert_eq!(kept.labels().len(), expected, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_read_is_made_while_its_labels_are_written_and_what_it_gave_is_withheld_if_they_can_t_be() {
    let (bench, kept) = Kept::bench();
    let made = AtomicUsize::new(0);
    let read = || async {
        made.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>("mail")
    };
    assert_eq!(bench.gate.run(mail(&bench), read).await.unwrap(), "mail");
    assert_eq!(kept.labels(), ["untrusted_content"]);
    let (bench, _kept) = Kept::bench();
    bench.authority.on_note(|_| Err(AskError::Deadline));
    let withheld = bench.gate.run(mail(&bench), read).await;
    assert!(matches!(withheld, Err(RunError::Withheld(_))), "{withheld:?}");
    assert_eq!(made.load(Ordering::SeqCst), 2, "it was made all the same");
    let failed = || async { Err::<(), _>(std::io::Error::other("says what it read")) };
    let withheld = bench.gate.run(mail(&bench), failed).await;
    assert!(
        matches!(withheld, Err(RunError::Withheld(_))),
        "an error is a result, too"
    );
}
