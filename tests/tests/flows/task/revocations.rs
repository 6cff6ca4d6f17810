//! The log of ended authority keeps what counts, and loses no enforcer by forgetting the rest.

use checkrein_control_plane::task;
use checkrein_tests::{WAIT_MAX, World};

use super::AGENT;

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_revocations_leave_no_gap_for_an_enforcer_that_comes_later() {
    let mut world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    for _ in 0..3 {
        let task = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
        operator.revoke(&task.task.unwrap().task_id).await.unwrap();
    }
    let sql = world.sql().await.unwrap();
    // The grants of two expired long ago; those of the third only just, and a clock that is behind still believes them.
    let aged = "UPDATE revocation SET expires_at = clock_timestamp()
        - CASE sequence WHEN 2 THEN interval '1 minute' ELSE interval '2 hours' END";
    sql.execute(aged, &[]).await.unwrap();
    assert_eq!(
        task::forget_revocations(&world.database().unwrap())
            .await
            .unwrap(),
        2
    );
    let left = sql.query("SELECT sequence FROM revocation", &[]).await.unwrap();
    assert_eq!(left.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [2]);

    // A replica that never knew the others.
    let fresh = world.add_replica().await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let enforcer = world
        .start_enforcer(&directory, AGENT, &[world.address(fresh)])
        .await
        .unwrap();
    enforcer
        .wait_until(|status| status.revocation_sequence == 3, WAIT_MAX)
        .await
        .unwrap();
}
