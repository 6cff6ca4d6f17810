//! What was held when an enforcer crashed stays held: nobody knows whether the call was made.

use checkrein_proto::task::v1::SettleRequest;

use super::*;

/// A task of 10 of which 4 are held for a call whose end nobody knows, since its enforcer went down.
async fn crashed() -> (Scene, String, String) {
    let mut scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.task("10").await;
    permitted(scene.pay(&grant, "4").await).detach();
    let edge = scene.enforcers.remove(0);
    let directory = scene.world.path().join("edge");
    drop(edge);
    let address = scene.world.address(0);
    let back = scene
        .world
        .start_enforcer(&directory, AGENT, &[address])
        .await
        .unwrap();
    scene.enforcers.push(back);
    let sql = scene.world.sql().await.unwrap();
    until(
        &sql,
        "SELECT count(*) FROM reservation WHERE state = 'unknown'",
        &[],
    )
    .await;
    (scene, grant, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_when_an_enforcer_went_down_stays_held_when_it_is_back() {
    let (scene, grant, task) = crashed().await;
    assert_eq!(scene.money(&task).await, ["0", "0", "4"]);
    let too_much = scene.pay(&grant, "7").await;
    assert_eq!(denied(&too_much), Cause::Budget);
    assert!(
        too_much.decided().reason.contains("tell the user"),
        "{too_much:?}"
    );
    done(permitted(scene.pay(&grant, "6").await)).await;
    scene.home().await;
    assert_eq!(scene.money(&task).await, ["6", "0", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_settles_once_what_nobody_knew() {
    for (spent, returned, money) in [
        (Some("1.5"), false, ["1.5", "0", "0"]),
        (None, false, ["4", "0", "0"]),
        (None, true, ["0", "0", "0"]),
    ] {
        let (scene, _, task) = crashed().await;
        let [unknown] = &scene.shown(&task).await.unknown[..] else {
            panic!("one")
        };
        assert_eq!((&*unknown.tool, &*unknown.amounts[0].amount), (PAY, "4"));
        let spent = spent.map(|amount| Amount {
            meter: "money".to_owned(),
            amount: amount.to_owned(),
        });
        let good = SettleRequest {
            task_id: task.clone(),
            use_id: unknown.use_id.clone(),
            spent: spent.into_iter().collect(),
            returned,
            reason: "the bank says so".to_owned(),
        };
        for bad in [
            SettleRequest {
                reason: String::new(),
                ..good.clone()
            },
            SettleRequest {
                use_id: "x".to_owned(),
                ..good.clone()
            },
        ] {
            let refused = scene.operator.tasks().settle(bad).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
        let other = SettleRequest {
            use_id: "0193f1c2-a4b8-7d3e-9f00-a1b2c3d4e5f7".to_owned(),
            ..good.clone()
        };
        let unheard = scene.operator.tasks().settle(other).await.unwrap_err();
        assert_eq!(unheard.code(), Code::FailedPrecondition);
        let settled = scene.operator.tasks().settle(good.clone()).await.unwrap();
        assert!(settled.into_inner().task.unwrap().unknown.is_empty());
        assert_eq!(scene.money(&task).await, money);
        let again = scene.operator.tasks().settle(good).await.unwrap_err();
        assert_eq!(again.code(), Code::FailedPrecondition);
        assert_eq!(scene.money(&task).await, money);
        let sql = scene.world.sql().await.unwrap();
        let said = sql
            .query_one(
                "SELECT settled_by, reason FROM reservation WHERE settled_by IS NOT NULL",
                &[],
            )
            .await
            .unwrap();
        assert!(said.get::<_, &str>(0).contains("/operator/"));
        assert_eq!(said.get::<_, &str>(1), "the bank says so");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_is_settled_by_nobody_but_its_journal() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.task("10").await;
    let permit = permitted(scene.pay(&grant, "4").await);
    let request = SettleRequest {
        task_id: task.clone(),
        use_id: permit.decided().id.uuid().to_string(),
        returned: true,
        reason: "impatience".to_owned(),
        ..SettleRequest::default()
    };
    let refused = scene.operator.tasks().settle(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(scene.money(&task).await, ["0", "4", "0"]);
    done(permit).await;
}
