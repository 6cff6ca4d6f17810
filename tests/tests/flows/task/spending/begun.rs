//! Whatever gives a grant says what its task may use up.

use checkrein_proto::task::v1::{AmendRequest, Task};
use checkrein_tests::fresh_key;

use super::{Scene, done, permitted};

#[tokio::test(flavor = "multi_thread")]
async fn starting_and_amending_a_task_say_what_it_may_use_up_and_what_is_used() {
    let scene = Scene::set(&["edge"]).await;
    let started = scene.start(&[("money", "50"), ("tokens", "900")]).await.unwrap();
    let task = started.task.unwrap();
    assert_eq!(said(&task), ["money 0 of 50", "tokens 0 of 900"]);

    done(permitted(scene.pay(&started.grant, "20").await)).await;
    scene.home().await;
    let amend = AmendRequest {
        task_id: task.task_id,
        intent: Some("pay the April invoice".to_owned()),
        idempotency_key: fresh_key(),
        ..AmendRequest::default()
    };
    let amended = scene.operator.tasks().amend(amend).await.unwrap().into_inner();
    assert_eq!(
        said(&amended.task.unwrap()),
        ["money 20 of 50", "tokens 0 of 900"]
    );
}

fn said(task: &Task) -> Vec<String> {
    let budgets = task.budgets.iter();
    budgets
        .map(|budget| format!("{} {} of {}", budget.meter, budget.spent, budget.limit))
        .collect()
}
