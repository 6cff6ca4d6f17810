//! Push: from an operator to every enforcer.

mod change;

use std::time::Duration;

use checkrein_enforcer::Request;
use checkrein_proto::fleet::v1::{Enforcer, Instance, ShowRequest, Stage};
use checkrein_proto::policy::v1::{ListRequest, RollbackRequest};
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::id::Generation;
use checkrein_tests::{Cut, WAIT_MAX, World, fresh_key, payments, payments_with};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const FREEZE: &str = r#"@id("frozen") @reason("payments are frozen") forbid (principal, action in Action::"spend", resource);"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_policy_decides_and_the_fleet_shows_who_runs_it() {
    let world = World::start().await.unwrap();
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
        .start("alice", AGENT, &["bank/*"], &[])
        .await
        .unwrap();
    let answer = enforcer
        .gate()
        .authorize(Request::new(&task.grant, "bank/get_balance", b"{}"))
        .await
        .unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit);
    assert_eq!(answer.decided().generation, Generation(generation));
    let runs = |instance: &Instance| instance.generation == generation && instance.connected;
    until_shown(&world, |enforcer| enforcer.instances.iter().any(runs)).await;
}

/// Waits until the register shows this of the enforcer.
async fn until_shown(world: &World, is_so: impl Fn(&Enforcer) -> bool) -> Enforcer {
    let mut fleet = world.operator().await.unwrap().fleet();
    let looking = async {
        loop {
            let request = ShowRequest {
                name: "edge".to_owned(),
            };
            let shown = fleet.show(request).await.unwrap().into_inner();
            if let Some(enforcer) = shown.enforcer.filter(&is_so) {
                return enforcer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, looking)
        .await
        .unwrap_or_else(|_| panic!("the register never shows it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_an_enforcer_refused_is_shown_with_its_reason_and_not_offered_again() {
    let world = World::start().await.unwrap();
    let wire = Cut::before(world.address(0)).await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let enforcer = world
        .start_enforcer(&directory, AGENT, &[wire.address])
        .await
        .unwrap();
    let good = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.generation == Generation(good), WAIT_MAX)
        .await
        .unwrap();
    // The second is signed by nobody when the enforcer comes to hear of it.
    wire.cut();
    enforcer
        .wait_until(|status| !status.connected(), WAIT_MAX)
        .await
        .unwrap();
    let harmless = r#"@id("harmless") permit (principal, action == Action::"bank/get_balance", resource);"#;
    let bad = world.push(&payments_with(harmless).unwrap()).await.unwrap();
    let forge = "UPDATE bundle SET signature = sha256('forged') || sha256('again') WHERE generation = $1";
    let forged = world.sql().await.unwrap();
    assert!(
        forged
            .execute(forge, &[&i64::try_from(bad).unwrap()])
            .await
            .unwrap()
            > 0
    );
    // Another replica has not read it before.
    let mut world = world;
    world.stop_replica(0).await;
    world.restart_replica(0).await.unwrap();
    wire.heal();
    let shown = until_shown(&world, |enforcer| !enforcer.nacks.is_empty()).await;
    assert_eq!(shown.nacks[0].generation, bad, "{shown:?}");
    assert_eq!(shown.nacks[0].stage(), Stage::Verify, "{shown:?}");
    assert!(!shown.nacks[0].reason.is_empty(), "{shown:?}");
    assert_eq!(enforcer.status().generation, Generation(good));

    // Connected once more, it is offered the next good one and nothing before.
    wire.cut();
    enforcer
        .wait_until(|status| !status.connected(), WAIT_MAX)
        .await
        .unwrap();
    wire.heal();
    enforcer
        .wait_until(checkrein_enforcer::Status::connected, WAIT_MAX)
        .await
        .unwrap();
    let next = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.generation == Generation(next), WAIT_MAX)
        .await
        .unwrap();
    assert_eq!(enforcer.status().nacks, 1);
    let shown = until_shown(&world, |_| true).await;
    assert_eq!(shown.nacks.len(), 1, "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_pushed_through_one_replica_reaches_an_enforcer_on_another() {
    let mut world = World::start().await.unwrap();
    let second = world.add_replica().await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let enforcer = world
        .start_enforcer(&directory, AGENT, &[world.address(second)])
        .await
        .unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_breaks_its_own_promise_or_can_not_be_read_changes_nothing() {
    let world = World::start().await.unwrap();
    let before = world.push(&payments().unwrap()).await.unwrap();
    // It denies what a test of the pack says is paid.
    let broken_promise = world.push(&payments_with(FREEZE).unwrap()).await;
    assert!(
        broken_promise
            .unwrap_err()
            .to_string()
            .contains("an account the user named is paid")
    );
    let unreadable = world
        .push(&payments_with("permit (principal, action == Action::").unwrap())
        .await;
    assert!(unreadable.is_err());
    let unknown = r#"@id("typo") permit (principal, action == Action::"bank/send_mony", resource);"#;
    assert!(world.push(&payments_with(unknown).unwrap()).await.is_err());
    let listed = world
        .operator()
        .await
        .unwrap()
        .policies()
        .list(ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.generation, before);
    assert_eq!(listed.revisions[0].revision, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_packs_that_name_the_same_tool_are_refused() {
    let world = World::start().await.unwrap();
    world.push(&payments().unwrap()).await.unwrap();
    let mut other = payments().unwrap();
    other.name = "other".to_owned();
    let refused = world.push(&other).await.unwrap_err();
    let status = refused.downcast_ref::<tonic::Status>().unwrap();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_a_new_generation_with_the_old_rules() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let mut frozen = payments_with(FREEZE).unwrap();
    frozen.files.remove("tests/pay.yaml");
    let first = world.push(&payments().unwrap()).await.unwrap();
    let second = world.push(&frozen).await.unwrap();
    let operator = world.operator().await.unwrap();
    let request = RollbackRequest {
        pack: "payments".to_owned(),
        idempotency_key: fresh_key(),
        ..Default::default()
    };
    let third = operator
        .policies()
        .rollback(request)
        .await
        .unwrap()
        .into_inner()
        .revision
        .unwrap();
    assert!(first < second && second < third.generation);
    assert_eq!(third.revision, 3);
    enforcer
        .wait_until(|status| status.decides_by(Generation(third.generation)), WAIT_MAX)
        .await
        .unwrap();
    let named = ["GB29NWBK60161331926819"];
    let task = operator
        .start("alice", AGENT, &["bank/send_money"], &named)
        .await
        .unwrap();
    let pay = br#"{"recipient":"GB29NWBK60161331926819","amount":10}"#;
    let answer = enforcer
        .gate()
        .authorize(Request::new(&task.grant, "bank/send_money", pay))
        .await
        .unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Permit, Cause::Permitted),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_push_twice_is_one_revision() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let pack = payments().unwrap();
    let file = |(path, content): (&String, &Vec<u8>)| checkrein_proto::policy::v1::PackFile {
        path: path.clone(),
        content: content.clone().into(),
    };
    let request = checkrein_proto::policy::v1::PushRequest {
        pack: pack.name.clone(),
        files: pack.files.iter().map(file).collect(),
        note: String::new(),
        idempotency_key: "once".to_owned(),
        validate_only: false,
    };
    let once = operator
        .policies()
        .push(request.clone())
        .await
        .unwrap()
        .into_inner()
        .revision
        .unwrap();
    let twice = operator
        .policies()
        .push(request)
        .await
        .unwrap()
        .into_inner()
        .revision
        .unwrap();
    assert_eq!(once, twice);
}
