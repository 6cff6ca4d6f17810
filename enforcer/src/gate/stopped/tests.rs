//! A call under way hears of the end of its own authority, and of no other's.

use std::sync::Arc;

use checkrein_shared::Clock;
use checkrein_shared::decision::{Cause, OutcomeResult};
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
