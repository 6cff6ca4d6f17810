//! Absence: what goes on without the control plane, and what does not.

use checkrein_enforcer::{Answer, Enforcer, Request};
use checkrein_proto::decision::v1::CountRequest;
use checkrein_shared::decision::{Cause, OutcomeResult, Verdict};
use checkrein_shared::id::Generation;
use checkrein_tests::{Cut, WAIT_MAX, World, payments};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const NAMED: &str = "GB29NWBK60161331926819";
const NOTE: &[u8] = br#"{"transaction":7,"text":"lunch"}"#;
const PAY: &[u8] = br#"{"recipient":"GB29NWBK60161331926819","amount":10}"#;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_plane_reads_and_notes_go_on_and_payments_are_denied_by_name() {
    let mut world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let task = world
        .operator()
        .await
        .unwrap()
        .start("alice", AGENT, &["bank/*"], &[NAMED])
        .await
        .unwrap();
    world.stop_replica(0).await;
    for _ in 0..10 {
        let answer = enforcer
            .gate()
            .authorize(Request::new(&task.grant, "bank/get_balance", b"{}"))
            .await
            .unwrap();
        let Answer::Permit(permit) = answer else {
            panic!("{answer:?}")
        };
        permit.complete(OutcomeResult::Done, "").await.unwrap();
        // A reversible write needs no one's word either.
        let answer = enforcer
            .gate()
            .authorize(Request::new(&task.grant, "bank/set_note", NOTE))
            .await
            .unwrap();
        let Answer::Permit(permit) = answer else {
            panic!("{answer:?}")
        };
        permit.complete(OutcomeResult::Done, "").await.unwrap();
        let answer = enforcer
            .gate()
            .authorize(Request::new(&task.grant, "bank/send_money", PAY))
            .await
            .unwrap();
        assert_eq!(
            (answer.verdict(), answer.decided().cause),
            (Verdict::Deny, Cause::ControlPlaneUnreachable)
        );
    }
    world.restart_replica(0).await.unwrap();
    enforcer
        .wait_until(
            |status| status.connected() && status.journal_pending() == 0,
            WAIT_MAX,
        )
        .await
        .unwrap();
    let counted = world
        .operator()
        .await
        .unwrap()
        .decisions()
        .count(CountRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((counted.decisions, counted.duplicates), (30, 0));
    let answer = enforcer
        .gate()
        .authorize(Request::new(&task.grant, "bank/send_money", PAY))
        .await
        .unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_restarted_alone_decides_from_what_it_kept() {
    let mut world = World::start().await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let address = world.address(0);
    let enforcer = world.start_enforcer(&directory, AGENT, &[address]).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    let task = world
        .operator()
        .await
        .unwrap()
        .start("alice", AGENT, &["bank/*"], &[])
        .await
        .unwrap();
    let revoked = world
        .operator()
        .await
        .unwrap()
        .start("alice", AGENT, &["bank/*"], &[])
        .await
        .unwrap();
    world
        .operator()
        .await
        .unwrap()
        .revoke(&revoked.task.as_ref().unwrap().task_id)
        .await
        .unwrap();
    let told = |status: &checkrein_enforcer::Status| {
        status.generation == Generation(generation)
            && status.revocation_sequence == 1
            && status.policy_age_ms < 5_000
    };
    enforcer.wait_until(told, WAIT_MAX).await.unwrap();
    enforcer.shutdown().await;
    world.stop_replica(0).await;

    let config = world.enforcer_config(&directory, AGENT, &[address]).unwrap();
    let alone = Enforcer::connect(config).await.unwrap();
    let look = |grant: &str| Request::new(grant, "bank/get_balance", b"{}");
    let answer = alone.gate().authorize(look(&task.grant)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit, "{answer:?}");
    assert_eq!(answer.decided().generation, Generation(generation));
    // Revocations are kept with the policy.
    let answer = alone.gate().authorize(look(&revoked.grant)).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::TaskEnded)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_that_never_had_a_policy_denies_and_says_so() {
    let mut world = World::start().await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let task = world
        .operator()
        .await
        .unwrap()
        .start("alice", AGENT, &["bank/*"], &[])
        .await
        .unwrap();
    world.stop_replica(0).await;
    let config = world
        .enforcer_config(&directory, AGENT, &[world.address(0)])
        .unwrap();
    let alone = Enforcer::connect(config).await.unwrap();
    let answer = alone
        .gate()
        .authorize(Request::new(&task.grant, "bank/get_balance", b"{}"))
        .await
        .unwrap();
    assert_eq!(answer.verdict(), Verdict::Deny, "{answer:?}");
    // Without a key set there is not even a grant to believe.
    assert!(
        matches!(answer.decided().cause, Cause::NoPolicy | Cause::InvalidGrant),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_pushed_while_the_wire_is_cut_arrives_when_it_heals() {
    let world = World::start().await.unwrap();
    let wire = Cut::before(world.address(0)).await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let enforcer = world
        .start_enforcer(&directory, AGENT, &[wire.address])
        .await
        .unwrap();
    wire.cut();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| !status.connected(), WAIT_MAX)
        .await
        .unwrap();
    assert!(enforcer.status().generation < Generation(generation));
    wire.heal();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
}
