//! What was held when an enforcer crashed stays held: nobody knows whether the call was made.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_when_an_enforcer_went_down_stays_held_when_it_is_back() {
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
