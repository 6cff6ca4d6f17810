//! A call that was not made is given back to everybody it was charged to.

use checkrein_shared::id::{DecisionId, InstanceId};

use super::*;
use crate::flows::task::home::{Home, unheard};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_not_made_is_free_again_in_every_grant_of_its_chain() {
    let scene = Scene::set(Some(5)).await;
    let (child, _) = scene.pass_on(&[LOOK], Some(2));
    let edge = scene.world.person(Role::Enforcer, "one", 0).await.unwrap();
    let instance = InstanceId::new(&SystemClock);
    let mut home = Home::open_from(&scene.world, "one", instance).await;
    let ask = |name: DecisionId| {
        let request = ConfirmRequest {
            task_id: scene.task.task_id.clone(),
            generation: 1,
            use_id: name.uuid().to_string(),
            presented: child.clone(),
            ..ConfirmRequest::default()
        };
        let mut tasks = edge.tasks();
        async move { tasks.confirm(request).await.unwrap().into_inner().charge() }
    };
    let names = [(); 3].map(|()| DecisionId::new(&SystemClock));
    for name in &names[..2] {
        assert_eq!(ask(*name).await, Charge::Charged);
    }
    assert_eq!(ask(names[2]).await, Charge::Exhausted);
    // Both, so that the only row of the grant goes down to nothing; said again, it gives nothing.
    home.bring(names[..2].iter().map(|name| unheard(&scene.task.task_id, *name)))
        .await;
    home.bring([unheard(&scene.task.task_id, names[0])]).await;
    let left = "SELECT (SELECT calls_used FROM task), (SELECT calls_used FROM task_grant)";
    let sql = scene.world.sql().await.unwrap();
    let row = sql.query_one(left, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 0));
    for _ in 0..2 {
        assert_eq!(ask(DecisionId::new(&SystemClock)).await, Charge::Charged);
    }
    assert_eq!(ask(DecisionId::new(&SystemClock)).await, Charge::Exhausted);
}
