//! Whatever is missing or fails, the answer is a deny that names it, and it is in the journal.

use std::sync::Arc;

use checkrein_shared::decision::{Cause, Decision, Outcome, Record};
use checkrein_shared::grant::{Revocation, Revoked};
use checkrein_shared::id::TaskId;
use checkrein_shared::{Clock, Generation};

use super::*;
use crate::control_plane::{AskError, Charge, Confirmation};
use crate::fixture::{AGENT, Bench, FROZEN, Offer};
use crate::snapshot::{Revocations, Snapshot};

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

fn outcomes(bench: &Bench) -> Vec<Outcome> {
    let outcome = |record| {
        if let Record::Outcome(outcome) = record {
            Some(outcome)
        } else {
            None
        }
    };
    bench.records().into_iter().filter_map(outcome).collect()
}

/// Asks, expects a deny, and checks that exactly this deny was recorded.
async fn denied(bench: &Bench, gate: &Gate, request: Request) -> Cause {
    let before = decisions(bench).len();
    let answer = gate.authorize(request).await.unwrap();
    let Answer::Deny(denied) = answer else {
        panic!("expected a deny, found {answer:?}")
    };
    let recorded = decisions(bench);
    assert_eq!(recorded.len(), before + 1);
    let last = recorded.last().unwrap();
    assert_eq!(
        (last.id, last.verdict, last.cause),
        (denied.decided.id, Verdict::Deny, denied.decided.cause)
    );
    assert!(!denied.decided.reason.is_empty());
    denied.decided.cause
}

#[tokio::test]
async fn a_permitted_call_is_recorded_with_what_it_was_decided_under_and_then_its_outcome() {
    let bench = Bench::new();
    let answer = bench
        .gate
        .authorize(bench.look().call_id("call-1"))
        .await
        .unwrap();
    let Answer::Permit(permit) = answer else {
        panic!("{answer:?}")
    };
    let recorded = decisions(&bench).remove(0);
    assert_eq!(recorded.id, permit.decided().id);
    assert_eq!(
        (recorded.verdict, recorded.cause, recorded.tier),
        (Verdict::Permit, Cause::Permitted, Tier::Light)
    );
    assert_eq!(
        (recorded.generation, recorded.epoch, recorded.call_id.as_str()),
        (Generation(1), 1, "call-1")
    );
    assert_eq!(
        (recorded.user.as_str(), recorded.task),
        ("alice", Some(bench.task))
    );
    assert!(recorded.agent_asserted && recorded.action.is_some() && recorded.arguments.0 == "{}");
    permit.complete(OutcomeResult::Done, "").await.unwrap();
    let outcome = outcomes(&bench).remove(0);
    assert_eq!(
        (outcome.decision, outcome.result),
        (recorded.id, OutcomeResult::Done)
    );
}

#[tokio::test]
async fn a_full_tier_permit_is_on_stable_storage_before_it_is_answered() {
    let bench = Bench::new();
    let answer = bench.gate.authorize(bench.pay(10)).await.unwrap();
    let Answer::Permit(permit) = answer else {
        panic!("{answer:?}")
    };
    assert!(bench.journal.progress().borrow().synced >= 1);
    permit.complete(OutcomeResult::Done, "").await.unwrap();
    assert!(
        bench.journal.progress().borrow().synced >= 2,
        "and so is its outcome"
    );
}

#[tokio::test]
async fn what_cannot_be_believed_is_denied_by_name() {
    let bench = Bench::new();
    let gate = &bench.gate;
    let look = |grant: &str| Request::new(grant, "bank/look", b"{}");
    assert_eq!(denied(&bench, gate, look("nonsense")).await, Cause::InvalidGrant);
    let of_another = bench.grant_of("spiffe://acme.example/agent/other", bench.task);
    assert_eq!(denied(&bench, gate, look(&of_another)).await, Cause::WrongAgent);
    let stranger = bench.gate_of("spiffe://acme.example/agent/other");
    assert_eq!(
        denied(&bench, &stranger, look(&of_another)).await,
        Cause::UnknownAgent
    );
    let twice = Request::new(bench.grant(), "bank/look", br#"{"account":"a","account":"b"}"#);
    assert_eq!(denied(&bench, gate, twice).await, Cause::InvalidArguments);
    let unknown = Request::new(bench.grant(), "bank/rob", b"{}");
    assert_eq!(denied(&bench, gate, unknown).await, Cause::UnknownTool);
    let elsewhere = Request::new(bench.grant(), "mail/send", b"{}");
    assert_eq!(denied(&bench, gate, elsewhere).await, Cause::UnknownTool);
    assert_eq!(denied(&bench, gate, bench.pay(5_000)).await, Cause::Forbidden);
    let grant = bench.grant();
    bench.clock.advance_ms(86_400_001);
    bench.confirm_fresh();
    assert_eq!(denied(&bench, gate, look(&grant)).await, Cause::TaskEnded);
}

#[tokio::test]
async fn without_policy_or_keys_everything_is_denied() {
    let bench = Bench::new();
    bench.snapshots.install(|next| next.policy = None);
    assert_eq!(denied(&bench, &bench.gate, bench.look()).await, Cause::NoPolicy);
    bench.snapshots.install(|next| *next = Snapshot::default());
    assert_eq!(denied(&bench, &bench.gate, bench.look()).await, Cause::NoPolicy);
}

#[tokio::test]
async fn a_revoked_task_is_over_at_once() {
    let bench = Bench::new();
    let entry = Revocation {
        what: Revoked::Task(bench.task),
        expires_ms: bench.clock.wall_ms() + 1_000_000,
        cause: "revoked by olga".into(),
    };
    let revocations = Revocations::default().extended(1, [entry], bench.clock.wall_ms());
    bench
        .snapshots
        .install(|next| next.revocations = Arc::new(revocations));
    assert_eq!(denied(&bench, &bench.gate, bench.look()).await, Cause::TaskEnded);
    assert_eq!(decisions(&bench)[0].revocation_sequence, 1);
    let other = Request::new(
        bench.grant_of(AGENT, TaskId::new(&bench.clock)),
        "bank/look",
        b"{}",
    );
    assert!(matches!(
        bench.gate.authorize(other).await.unwrap(),
        Answer::Permit(_)
    ));
}

#[tokio::test]
async fn each_tier_has_its_own_bound_on_the_age_of_policy_and_a_deny_stays_a_deny() {
    let bench = Bench::new();
    bench.clock.advance_ms(30_000);
    assert_eq!(
        bench.gate.authorize(bench.pay(10)).await.unwrap().verdict(),
        Verdict::Permit
    );
    bench.clock.advance_ms(1);
    assert_eq!(
        denied(&bench, &bench.gate, bench.pay(10)).await,
        Cause::PolicyStale
    );
    assert_eq!(
        denied(&bench, &bench.gate, bench.pay(500)).await,
        Cause::PolicyStale,
        "people are not asked either"
    );
    assert_eq!(
        denied(&bench, &bench.gate, bench.pay(5_000)).await,
        Cause::Forbidden
    );
    assert_eq!(
        bench.gate.authorize(bench.look()).await.unwrap().verdict(),
        Verdict::Permit
    );
    bench.clock.advance_ms(15 * 60_000);
    assert_eq!(
        denied(&bench, &bench.gate, bench.look()).await,
        Cause::PolicyStale
    );
    bench.confirm_fresh();
    assert_eq!(
        bench.gate.authorize(bench.look()).await.unwrap().verdict(),
        Verdict::Permit
    );
}

#[tokio::test]
async fn a_full_tier_action_needs_a_live_task_from_the_primary_and_light_ones_need_nobody() {
    let bench = Bench::new();
    bench.authority.on_confirm(|_| Err(AskError::Deadline));
    assert_eq!(
        denied(&bench, &bench.gate, bench.pay(10)).await,
        Cause::ControlPlaneUnreachable
    );
    assert_eq!(
        bench.gate.authorize(bench.look()).await.unwrap().verdict(),
        Verdict::Permit
    );
    bench.authority.on_confirm(|ask| {
        Ok(Confirmation {
            slice: None,
            refused: None,
            live: false,
            generation: ask.generation,
            charge: Charge::None,
            known: Some(crate::control_plane::Known::default()),
        })
    });
    assert_eq!(denied(&bench, &bench.gate, bench.pay(10)).await, Cause::TaskEnded);
}

#[tokio::test]
async fn newer_policy_is_waited_for_and_judged_under() {
    let bench = Bench::new();
    bench.authority.on_confirm(|_| {
        Ok(Confirmation {
            slice: None,
            refused: None,
            live: true,
            generation: Generation(2),
            charge: Charge::None,
            known: Some(crate::control_plane::Known::default()),
        })
    });
    let (gate, request) = (bench.gate.clone(), bench.pay(10));
    let mut asking = Box::pin(gate.authorize(request));
    assert!(futures_util::poll!(&mut asking).is_pending(), "it waits");
    bench.install(&Offer::of(FROZEN, 1, 2, &bench.keys.bundle));
    let answer = asking.await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::Forbidden)
    );
    assert_eq!(answer.decided().generation, Generation(2));
}

#[tokio::test(start_paused = true)]
async fn newer_policy_that_does_not_come_is_a_stale_policy() {
    let bench = Bench::new();
    bench.authority.on_confirm(|_| {
        Ok(Confirmation {
            slice: None,
            refused: None,
            live: true,
            generation: Generation(9),
            charge: Charge::None,
            known: Some(crate::control_plane::Known::default()),
        })
    });
    assert_eq!(
        denied(&bench, &bench.gate, bench.pay(10)).await,
        Cause::PolicyStale
    );
}

#[tokio::test]
async fn a_secret_is_masked_or_the_call_is_denied_and_never_written_down() {
    let bench = Bench::new();
    let note = || Request::new(bench.grant(), "bank/note", br#"{"text":"hi","pin":"hunter2"}"#);
    assert_eq!(denied(&bench, &bench.gate, note()).await, Cause::NoMaskingKey);
    let open = Request::new(bench.grant(), "bank/note", br#"{"text":"hi"}"#);
    assert_eq!(
        bench.gate.authorize(open).await.unwrap().verdict(),
        Verdict::Permit,
        "nothing to mask"
    );
    bench
        .snapshots
        .install(|next| next.masking = Some(checkrein_shared::action::MaskingKey::new(b"key")));
    let answer = bench.gate.authorize(note()).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit);
    let written = format!("{:?}", decisions(&bench));
    assert!(written.contains("masked") && !written.contains("hunter2"));
}

#[tokio::test]
async fn a_journal_that_is_full_denies_everything_and_takes_outcomes() {
    let bench = Bench::with_journal(1 << 20);
    let text = "x".repeat(20_000);
    let note = || {
        Request::new(
            bench.grant(),
            "bank/note",
            format!("{{\"text\":\"{text}\"}}").as_bytes(),
        )
    };
    let mut permits = Vec::new();
    let denied = loop {
        match bench.gate.authorize(note()).await.unwrap() {
            Answer::Permit(permit) => permits.push(permit),
            Answer::Deny(denied) => break denied,
            Answer::Hold(held) => panic!("{held:?}"),
        }
    };
    assert_eq!(denied.decided.cause, Cause::JournalFull);
    assert_eq!(decisions(&bench).len(), permits.len());
    let permit = permits.pop().unwrap();
    permit
        .complete(OutcomeResult::Done, "")
        .await
        .expect("there is room left for outcomes");
}

/// None of the verdicts that these calls would get can be recorded.
async fn denies_everything(bench: &Bench) {
    let before = decisions(bench).len();
    for request in [bench.look(), bench.pay(10), bench.pay(5_000)] {
        let answer = bench.gate.authorize(request).await.unwrap();
        assert_eq!(
            (answer.verdict(), answer.decided().cause),
            (Verdict::Deny, Cause::JournalFull)
        );
    }
    assert_eq!(decisions(bench).len(), before);
}

#[tokio::test]
async fn a_journal_whose_write_failed_denies_everything_until_a_restart_even_if_the_disk_is_well_again() {
    let bench = Bench::new();
    drop(bench.gate.authorize(bench.look()).await.unwrap());
    let disk = bench.journal.break_disk();
    denies_everything(&bench).await;
    bench.journal.mend_disk(disk);
    denies_everything(&bench).await;
    let bench = bench.restarted();
    drop(bench.gate.authorize(bench.look()).await.unwrap());
    assert_eq!(decisions(&bench).len(), 1, "of this run");
    bench.journal.examine(1).unwrap();
    assert_eq!(bench.journal.end_of(1), 2, "and what was answered before is kept");
}

#[tokio::test]
async fn a_journal_whose_sync_failed_denies_the_release_that_waited_and_everything_after() {
    let bench = Bench::new();
    bench.journal.break_next_sync();
    let answer = bench.gate.authorize(bench.pay(10)).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::JournalFull)
    );
    denies_everything(&bench).await;
    let bench = bench.restarted();
    let answer = bench.gate.authorize(bench.pay(10)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit);
}

#[tokio::test]
async fn an_outcome_is_said_once_by_the_agent_whose_call_it_was() {
    let bench = Bench::new();
    let answer = bench.gate.authorize(bench.look()).await.unwrap();
    let Answer::Permit(permit) = answer else {
        panic!("{answer:?}")
    };
    let id = permit.detach().id;
    let stranger = bench.gate_of("spiffe://acme.example/agent/other");
    let done = OutcomeResult::Done;
    assert!(matches!(
        stranger.complete(id, done, "").await,
        Err(CompleteError::Unknown(_))
    ));
    let long = "x".repeat(1_025);
    assert!(matches!(
        bench.gate.complete(id, done, &long).await,
        Err(CompleteError::DetailTooLong(1_025))
    ));
    bench.gate.complete(id, done, "").await.unwrap();
    assert!(matches!(
        bench.gate.complete(id, done, "").await,
        Err(CompleteError::Twice(_))
    ));
    let never = DecisionId::new(&bench.clock);
    assert!(matches!(
        bench.gate.complete(never, done, "").await,
        Err(CompleteError::Unknown(_))
    ));
    assert_eq!(outcomes(&bench).len(), 1);
}

#[tokio::test]
async fn a_permit_let_go_without_a_word_is_recorded_as_unknown() {
    let bench = Bench::new();
    drop(bench.gate.authorize(bench.look()).await.unwrap());
    assert_eq!(outcomes(&bench)[0].result, OutcomeResult::Unknown);
}

#[tokio::test]
async fn run_calls_the_tool_only_when_permitted_and_records_how_it_ended() {
    let bench = Bench::new();
    let done = bench
        .gate
        .run(bench.look(), || async { Ok::<_, std::io::Error>(7) })
        .await;
    assert_eq!(done.unwrap(), 7);
    let failed = bench
        .gate
        .run(bench.look(), || async {
            Err::<(), _>(std::io::Error::other("secret"))
        })
        .await;
    assert!(matches!(failed, Err(RunError::Tool(_))));
    let mut called = false;
    let denied = bench
        .gate
        .run(bench.pay(5_000), || {
            called = true;
            async { Ok::<_, std::io::Error>(()) }
        })
        .await;
    assert!(!called);
    assert!(
        matches!(denied, Err::<(), _>(RunError::Denied(denied)) if denied.decided.cause == Cause::Forbidden)
    );
    let results: Vec<OutcomeResult> = outcomes(&bench).iter().map(|outcome| outcome.result).collect();
    assert_eq!(results, [OutcomeResult::Done, OutcomeResult::Failed]);
    assert!(
        outcomes(&bench)
            .iter()
            .all(|outcome| !outcome.detail.contains("secret"))
    );
}

#[tokio::test]
async fn a_call_that_is_none_is_refused_and_not_recorded() {
    let bench = Bench::new();
    let long = "x".repeat(CALL_ID_BYTES_MAX + 1);
    let error = bench
        .gate
        .authorize(bench.look().call_id(long))
        .await
        .unwrap_err();
    assert_eq!(error, GateError::CallIdTooLong(CALL_ID_BYTES_MAX + 1));
    let nobody = Gate::new(Arc::clone(&bench.gate.core), None);
    assert_eq!(
        nobody.authorize(bench.look()).await.unwrap_err(),
        GateError::NoAgent
    );
    assert!(bench.records().is_empty());
}

#[tokio::test]
async fn a_name_with_a_control_character_is_no_call_and_poisons_no_record() {
    let bench = Bench::new();
    for name in ["x\0", "a\nb", "\u{9b}31m"] {
        let shown = name.escape_debug().to_string();
        let called = bench.gate.authorize(bench.look().call_id(name)).await;
        assert_eq!(called.unwrap_err(), GateError::CallIdControl(shown.clone()));
        let request = Request::new(bench.grant(), name, b"{}");
        let named = bench.gate.authorize(request).await;
        assert_eq!(named.unwrap_err(), GateError::ToolControl(shown));
    }
    assert!(bench.records().is_empty());
}

#[tokio::test]
async fn one_task_can_not_have_calls_under_way_without_end() {
    let bench = Bench::new();
    for _ in 0..1_030 {
        let answer = bench.gate.authorize(bench.look()).await.unwrap();
        let Answer::Permit(permit) = answer else {
            panic!("{answer:?}")
        };
        permit.detach();
    }
    let given_up = outcomes(&bench);
    assert_eq!(given_up.len(), 6);
    assert!(
        given_up
            .iter()
            .all(|outcome| outcome.result == OutcomeResult::Unknown)
    );
}
