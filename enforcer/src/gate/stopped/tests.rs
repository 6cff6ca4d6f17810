//! A call under way hears of the end of its own authority, and of no other's.

use std::sync::Arc;

use checkrein_shared::Clock;
use checkrein_shared::decision::{Cause, OutcomeResult, Record};
use checkrein_shared::grant::{Revocation, Revoked};
use checkrein_shared::id::TaskId;
use futures_util::poll;

use super::*;
use crate::fixture::Bench;
use crate::gate::Answer;

fn revoke(bench: &Bench, what: Revoked) {
    let now_ms = bench.clock.wall_ms();
    let entry = Revocation {
        what,
        expires_ms: now_ms + 1_000_000,
        cause: "revoked".into(),
    };
    bench.snapshots.install(|next| {
        let sequence = next.revocations.sequence + 1;
        next.revocations = Arc::new(next.revocations.extended(sequence, [entry], now_ms));
    });
}

async fn permitted(bench: &Bench) -> Permit {
    match bench.gate.authorize(bench.look()).await.unwrap() {
        Answer::Permit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_under_way_is_told_when_its_task_ends_or_is_amended_and_not_when_another_does() {
    let bench = Bench::new();
    let permit = permitted(&bench).await;
    let mut stopped = Box::pin(permit.stopped());
    assert!(poll!(&mut stopped).is_pending());
    revoke(&bench, Revoked::Task(TaskId::new(&bench.clock)));
    assert!(poll!(&mut stopped).is_pending());
    let (task, epoch) = (bench.task, 1);
    revoke(&bench, Revoked::Before { task, epoch });
    assert_eq!(stopped.await.cause, Cause::TaskAmended);
    revoke(&bench, Revoked::Task(task));
    assert_eq!(
        permit.stopped().await.cause,
        Cause::TaskEnded,
        "asked later, it is told what was before"
    );
    permit.complete(OutcomeResult::Failed, "stopped").await.unwrap();
}

#[tokio::test]
async fn a_call_is_told_of_the_end_of_its_grant_and_of_its_agent() {
    for by_agent in [true, false] {
        let bench = Bench::new();
        let permit = permitted(&bench).await;
        let grant = permit.chain.as_ref().unwrap().grants().next().unwrap().clone();
        let what = if by_agent {
            let (agent, until_ms) = (grant.agent, grant.issued_ms);
            Revoked::Agent { agent, until_ms }
        } else {
            let (task, grant) = (grant.task, grant.id);
            Revoked::Grant { task, grant }
        };
        let mut stopped = Box::pin(permit.stopped());
        assert!(poll!(&mut stopped).is_pending());
        let expected = what.stopped("revoked");
        revoke(&bench, what);
        assert_eq!(stopped.await, expected);
    }
}

#[tokio::test]
async fn a_tool_is_cut_off_when_its_task_ends_and_nobody_claims_to_know_how_far_it_got() {
    let bench = Bench::new();
    let run = bench
        .gate
        .run_until_stopped(bench.look(), pending::<Result<(), ()>>);
    let mut run = Box::pin(run);
    assert!(poll!(&mut run).is_pending());
    revoke(&bench, Revoked::Task(bench.task));
    let Err(RunError::Stopped(stopped)) = run.await else {
        panic!("it is cut off");
    };
    assert_eq!(stopped.cause, Cause::TaskEnded);
    let records = bench.records();
    let Some(Record::Outcome(outcome)) = records.last() else {
        panic!("{records:?}");
    };
    assert_eq!(outcome.result, OutcomeResult::Unknown);
}

#[tokio::test]
async fn a_call_named_twice_is_told_once_and_watches_are_bounded() {
    let bench = Bench::new();
    let permit = permitted(&bench).await;
    let id = permit.decided().id;
    let mut watched = bench.gate.watch([id, id]).unwrap();
    revoke(&bench, Revoked::Task(bench.task));
    assert_eq!(watched.next().await.unwrap().0, id);
    assert_eq!(watched.next().await, None);
    let others = (1..WATCHES_MAX).map(|_| bench.gate.watch([id]).unwrap());
    let others = others.collect::<Vec<_>>();
    assert_eq!(bench.gate.watch([id]).unwrap_err(), TooManyWatches);
    drop(others);
    bench.gate.watch([id]).unwrap();
}
