//! What was held when an enforcer crashed stays held: nobody knows whether the call was made.

use checkrein_control_plane::task::sweep_budgets;
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

#[tokio::test(flavor = "multi_thread")]
async fn of_an_enforcer_that_is_removed_nobody_knows_how_its_calls_end_and_a_person_settles_them() {
    let scene = Scene::set(&["edge", "other"]).await;
    let (grant, task) = scene.task("10").await;
    let permit = permitted(scene.pay(&grant, "4").await);
    let other = permitted(scene.call(1, &grant, PAY, "{\"amount\":3}").await);
    scene
        .operator
        .remove("spiffe://acme.example/enforcer/edge")
        .await
        .unwrap();
    assert_eq!(scene.money(&task).await, ["0", "3", "4"]);
    let [unknown] = &scene.shown(&task).await.unknown[..] else {
        panic!("one")
    };
    let settle = SettleRequest {
        task_id: task.clone(),
        use_id: unknown.use_id.clone(),
        returned: true,
        reason: "the machine never sent it".to_owned(),
        ..SettleRequest::default()
    };
    scene.operator.tasks().settle(settle).await.unwrap();
    assert_eq!(scene.money(&task).await, ["0", "3", "0"]);
    permit.detach();
    done(other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_while_an_enforcer_was_removed_is_found_later_and_old_windows_are_cleared_away() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.task("10").await;
    let permit = permitted(scene.pay(&grant, "4").await);
    let sql = scene.world.sql().await.unwrap();
    // As if the confirmation had been on its way.
    let removed = "INSERT INTO removed_identity (spiffe_id, removed_by, reason, tasks_revoked)
        VALUES ('spiffe://acme.example/enforcer/edge', 'spiffe://acme.example/operator/olga', 'lost', 0)";
    sql.execute(removed, &[]).await.unwrap();
    let windows = "INSERT INTO budget_use (key, window_start, spent, unknown)
        VALUES ('pack p/old money ann', 1, 5, 0), ('pack p/held money ann', 1, 5, 1), ('pack p/now money ann', 4e12::bigint, 5, 0)";
    sql.execute(windows, &[]).await.unwrap();
    let database = scene.world.database().unwrap();
    assert_eq!(sweep_budgets(&database).await.unwrap(), 1);
    assert_eq!(scene.money(&task).await, ["0", "0", "4"]);
    let left =
        "SELECT string_agg(split_part(key, ' ', 2), ',' ORDER BY key) FROM budget_use WHERE window_start > 0";
    let left = sql.query_one(left, &[]).await.unwrap();
    assert_eq!(left.get::<_, &str>(0), "p/held,p/now");
    permit.detach();
}
