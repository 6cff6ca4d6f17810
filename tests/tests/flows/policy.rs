//! Push: from an operator to every enforcer.

use checkrein_enforcer::Request;
use checkrein_proto::policy::v1::{ListRequest, RollbackRequest};
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::id::Generation;
use checkrein_tests::{WAIT_MAX, World, fresh_key, payments, payments_with};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const FREEZE: &str = r#"@id("frozen") @reason("payments are frozen") forbid (principal, action in Action::"spend", resource);"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_policy_decides_and_the_fleet_shows_who_runs_it() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.generation == Generation(generation), WAIT_MAX)
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
    let acked = async {
        loop {
            let fleet = world
                .operator()
                .await
                .unwrap()
                .fleet()
                .list(checkrein_proto::fleet::v1::ListRequest {})
                .await;
            let instances = fleet.unwrap().into_inner().enforcers.remove(0).instances;
            if instances
                .iter()
                .any(|instance| instance.generation == generation && instance.connected)
            {
                return;
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, acked)
        .await
        .expect("the ack reaches the register");
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
        .wait_until(|status| status.generation == Generation(generation), WAIT_MAX)
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
        .wait_until(
            |status| status.generation == Generation(third.generation),
            WAIT_MAX,
        )
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
