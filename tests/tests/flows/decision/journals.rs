//! An operator sees how far each journal has come home, and what is wrong with one.

use checkrein_control_plane::decision::{AppendError, Batch, Decisions, Journal};
use checkrein_proto::fleet::v1 as wire;
use checkrein_shared::SystemClock;
use checkrein_shared::decision::{Outcome, OutcomeResult, Record};
use checkrein_shared::id::{DecisionId, InstanceId};
use checkrein_tests::World;
use tokio_util::sync::CancellationToken;

use super::AGENT;

fn outcome() -> Vec<u8> {
    let outcome = Outcome {
        decision: DecisionId::new(&SystemClock),
        completed_ms: 1,
        result: OutcomeResult::Done,
        detail: String::new(),
        hold: None,
        task: None,
        spent: checkrein_shared::ledger::Amounts::default(),
    };
    Record::Outcome(outcome).encode()
}

async fn shown(world: &World) -> Vec<wire::Journal> {
    let request = wire::ShowRequest {
        name: "edge".to_owned(),
    };
    let shown = world
        .operator()
        .await
        .unwrap()
        .fleet()
        .show(request)
        .await
        .unwrap();
    shown.into_inner().journals
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_journal_and_one_whose_writer_vanished_are_shown() {
    let world = World::start().await.unwrap();
    world.register("edge", &[], &[AGENT]).await.unwrap();
    let decisions = Decisions::new(world.database().unwrap(), CancellationToken::new());
    let instance = InstanceId::new(&SystemClock);
    let journal = Journal {
        enforcer: "edge".to_owned(),
        instance,
        incarnation: 1,
    };
    let before = decisions.open(&journal, None).await.unwrap();
    let batch = || Batch {
        before,
        records: vec![outcome().into()],
    };
    decisions.append(&journal, &batch()).await.unwrap();
    let found = shown(&world).await.remove(0);
    assert_eq!(
        (
            found.incarnation,
            found.next_sequence,
            found.forked_unix_ms,
            found.unfinished
        ),
        (1, 1, 0, false)
    );

    // Its last beat spoke of more, and it is gone.
    let vanished =
        "INSERT INTO enforcer_instance (enforcer, instance_id, incarnation, build, journal_pending)
        SELECT 'edge', replace($1, 'inst_', '')::uuid, 1, 'test', 3";
    let sql = world.sql().await.unwrap();
    sql.execute(vanished, &[&instance.to_string()]).await.unwrap();
    assert!(shown(&world).await[0].unfinished);

    let forked = decisions.append(&journal, &batch()).await;
    assert!(matches!(forked, Err(AppendError::Forked(1))), "{forked:?}");
    assert!(shown(&world).await[0].forked_unix_ms > 0);
}
