//! A release that was given back never goes ahead, however late it is asked for.

use checkrein_proto::hold::v1::consume_response::Result as Consuming;
use checkrein_proto::hold::v1::{ConsumeRequest, Hold, State as HoldState};
use checkrein_proto::task::v1::{Amount, Charge, ConfirmRequest};
use checkrein_shared::SystemClock;
use checkrein_shared::decision::Decision;
use checkrein_shared::id::{DecisionId, HoldId, InstanceId};

use super::{LOOK, PAY, confirm, ledger, release, used};
use crate::flows::asking::Asking;
use crate::flows::task::home::{Home, unheard};

fn four() -> Vec<Amount> {
    vec![Amount {
        meter: "money".to_owned(),
        amount: "4".to_owned(),
    }]
}

/// A payment of 4 under this name, from the opening whose journal comes home.
fn paying(scene: &Asking, name: DecisionId) -> ConfirmRequest {
    ConfirmRequest {
        use_id: name.uuid().to_string(),
        cost: four(),
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
    let id: HoldId = hold.hold_id.parse().unwrap();
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
    assert!(matches!(consumed, Consuming::Consumed(_)), "{consumed:?}");
    confirm(&scene, release(&scene, 7, LOOK, 1)).await;
}

/// An approved payment of 4.
async fn approved(scene: &Asking) -> Hold {
    let hold = scene.held("call", "US13").await;
    scene.approve(&hold).await.unwrap();
    hold
}

async fn consume(scene: &Asking, hold: &Hold, attempt: DecisionId) -> Consuming {
    let request = ConsumeRequest {
        attempt_id: attempt.to_string(),
        cost: four(),
        ..scene.consume_request(hold)
    };
    scene.consume(request).await.unwrap()
}

/// The deny of an attempt to use an approval that nothing was heard of.
fn unused(scene: &Asking, hold: &Hold, attempt: DecisionId) -> Decision {
    Decision {
        hold: Some(hold.hold_id.parse().unwrap()),
        ..unheard(&scene.task.task_id, attempt)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_whose_use_was_not_heard_of_gives_back_all_that_it_took() {
    let scene = Asking::set().await;
    let mut home = Home::open(&scene).await;
    let hold = approved(&scene).await;
    let (attempt, other) = (DecisionId::new(&SystemClock), DecisionId::new(&SystemClock));
    let consumed = consume(&scene, &hold, attempt).await;
    assert!(matches!(consumed, Consuming::Consumed(_)), "{consumed:?}");
    assert_eq!(held(&scene).await, (1, 40_000));
    // An attempt that came to nothing says nothing of the one that used the approval.
    home.bring([unused(&scene, &hold, other)]).await;
    assert_eq!(held(&scene).await, (1, 40_000));
    assert_eq!(scene.state(&hold).await, HoldState::Consumed);
    home.bring([unused(&scene, &hold, attempt)]).await;
    assert_eq!(held(&scene).await, (0, 0));
    assert_eq!(used(&ledger(&scene).await), vec![]);
    assert_eq!(scene.state(&hold).await, HoldState::Failed);
    home.bring([unused(&scene, &hold, attempt)]).await;
    assert_eq!(held(&scene).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_given_up_does_not_use_its_approval_later_and_the_next_one_does() {
    let scene = Asking::set().await;
    let mut home = Home::open(&scene).await;
    let hold = approved(&scene).await;
    let (late, next) = (DecisionId::new(&SystemClock), DecisionId::new(&SystemClock));
    home.bring([unused(&scene, &hold, late)]).await;
    let refused = consume(&scene, &hold, late).await;
    assert!(matches!(refused, Consuming::Refused(_)), "{refused:?}");
    assert_eq!(held(&scene).await, (0, 0));
    assert_eq!(scene.state(&hold).await, HoldState::Approved);
    let consumed = consume(&scene, &hold, next).await;
    assert!(matches!(consumed, Consuming::Consumed(_)), "{consumed:?}");
    assert_eq!(held(&scene).await, (1, 40_000));
    let unnamed = ConsumeRequest {
        attempt_id: "x".to_owned(),
        ..scene.consume_request(&hold)
    };
    let refused = scene.consume(unnamed).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}
