//! A tool that is no longer what it was when people said yes.

use checkrein_proto::hold::v1::State;
use checkrein_shared::decision::Verdict;
use checkrein_shared::id::Generation;
use checkrein_tests::{WAIT_MAX, payments};

use super::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_whose_definition_changed_is_another_action_and_leaves_the_approval_alone() {
    let scene = Scene::set().await;
    assert_eq!(scene.pay("call").await.verdict(), Verdict::Hold);
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();

    let mut changed = payments().unwrap();
    let tools = changed.files.get_mut("catalog/bank.json").unwrap();
    let mut listed: serde_json::Value = serde_json::from_slice(tools).unwrap();
    let all = listed["tools"].as_array_mut().unwrap();
    let pay = all.iter_mut().find(|tool| tool["name"] == "send_money").unwrap();
    pay["description"] = "Sends money, and tells the world.".into();
    *tools = serde_json::to_vec(&listed).unwrap();
    let generation = scene.world.push(&changed).await.unwrap();
    let enforcer = &scene.enforcer;
    let swapped = enforcer.wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX);
    swapped.await.unwrap();

    let answer = scene.pay("call").await;
    assert_eq!(answer.verdict(), Verdict::Hold, "{answer:?}");
    assert_ne!(answer.decided().hold.unwrap().to_string(), hold.hold_id);
    assert_eq!(scene.hold(&hold.hold_id).await.state(), State::Approved);

    let generation = scene.world.push(&payments().unwrap()).await.unwrap();
    let enforcer = &scene.enforcer;
    let back = enforcer.wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX);
    back.await.unwrap();
    assert_eq!(scene.collect("call").await.verdict(), Verdict::Permit);
}
