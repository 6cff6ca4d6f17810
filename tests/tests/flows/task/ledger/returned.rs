//! A release that was given back never goes ahead, however late it is asked for.

use checkrein_proto::task::v1::{Amount, Charge};
use checkrein_shared::SystemClock;
use checkrein_shared::id::{DecisionId, InstanceId};

use super::{LOOK, PAY, confirm, ledger, release, used};
use crate::flows::asking::Asking;
use crate::flows::task::home::{Home, unheard};

/// A payment of 4 under this name, from the opening whose journal comes home.
fn paying(scene: &Asking, name: DecisionId) -> checkrein_proto::task::v1::ConfirmRequest {
    checkrein_proto::task::v1::ConfirmRequest {
        use_id: name.uuid().to_string(),
        cost: vec![Amount {
            meter: "money".to_owned(),
            amount: "4".to_owned(),
        }],
        instance_id: scene.instance.to_string(),
        incarnation: 1,
        ..release(scene, 0, PAY, 4)
    }
}

/// What is held in the whole database: how many reservations, and how much.
async fn held(scene: &Asking) -> (i64, i64) {
    let read = "SELECT (SELECT count(*) FROM reservation WHERE state IN ('reserved', 'unknown')),
                       (SELECT coalesce(sum(spent + reserved + unknown), 0)::bigint FROM budget_use)";
    let row = scene.sql().await.query_one(read, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_is_later_than_its_deny_is_refused_and_holds_nothing() {
    let scene = Asking::set().await;
    let mut home = Home::open(&scene).await;
    let name = DecisionId::new(&SystemClock);
    home.bring([unheard(&scene.task.task_id, name)]).await;
    let late = confirm(&scene, paying(&scene, name)).await;
    assert_eq!((&*late.refused_cause, late.ledger), ("budget", None));
    assert_eq!(held(&scene).await, (0, 0));
    let nothing = ledger(&scene).await;
    assert_eq!((used(&nothing), nothing.revision), (vec![], 0));
    // Any other goes ahead, and comes back, once, when it is given back.
    let name = DecisionId::new(&SystemClock);
    let other = confirm(&scene, paying(&scene, name)).await;
    assert_eq!(other.charge(), Charge::Charged, "{other:?}");
    assert_eq!(held(&scene).await, (1, 40_000));
    home.bring([unheard(&scene.task.task_id, name)]).await;
    assert_eq!(held(&scene).await, (0, 0));
    assert_eq!(used(&ledger(&scene).await), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_back_what_another_asked_for_nor_an_approval_that_was_not_used() {
    let scene = Asking::set().await;
    let name = DecisionId::new(&SystemClock);
    confirm(&scene, paying(&scene, name)).await;
    let hold = scene.held("call", "US13").await;
    scene.approve(&hold).await.unwrap();
    let id: checkrein_shared::id::HoldId = hold.hold_id.parse().unwrap();
    scene.world.register("other", &[], &[]).await.unwrap();
    let mut home = Home::open_from(&scene.world, "other", InstanceId::new(&SystemClock)).await;
    let task = &scene.task.task_id;
    home.bring([
        unheard(task, name),
        unheard(task, DecisionId::from_uuid(id.uuid())),
    ])
    .await;
    assert_eq!(held(&scene).await, (1, 40_000));
    assert_eq!(used(&ledger(&scene).await), [(PAY, 1)]);
    let consumed = scene.consume(scene.consume_request(&hold)).await.unwrap();
    assert!(
        matches!(
            consumed,
            checkrein_proto::hold::v1::consume_response::Result::Consumed(_)
        ),
        "{consumed:?}"
    );
    confirm(&scene, release(&scene, 7, LOOK, 1)).await;
}
