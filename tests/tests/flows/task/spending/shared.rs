//! Budgets that more than one bounds: of users, agents and tools over all their tasks, and of grants that were passed on.

use checkrein_proto::task::v1::DelegateRequest;
use checkrein_shared::identity::Role;

use super::*;

const CHILD: &str = "spiffe://acme.example/agent/search";

fn daily(per: &str) -> PackSource {
    let budget = format!(
        "[[budget]]\nname = \"daily\"\nper = \"{per}\"\nmeter = \"money\"\nlimit = \"100\"\nwindow = \"24h\"\ntools = [\"bank/*\"]\n"
    );
    bank_with(&budget)
}

async fn free(scene: &Scene, user: &str) -> String {
    scene.start_for(user, &[]).await.unwrap().grant
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tasks_of_one_user_have_one_budget_and_another_user_has_another() {
    let scene = Scene::under(&daily("user"), &["edge"]).await;
    let (one, two) = (free(&scene, "alice").await, free(&scene, "alice").await);
    done(permitted(scene.pay(&one, "60").await)).await;
    scene.home().await;
    let refused = scene.pay(&two, "41").await;
    assert_eq!(denied(&refused), Cause::Budget);
    let reason = &refused.decided().reason;
    assert!(
        reason.contains("`daily`") && reason.contains("`alice`") && reason.contains("60 are spent"),
        "{reason}"
    );
    done(permitted(scene.pay(&two, "40").await)).await;
    let other = free(&scene, "bob").await;
    done(permitted(scene.pay(&other, "100").await)).await;
    // Of another tool, and of another meter, it bounds nothing.
    done(permitted(scene.call(0, &one, ASK, "{}").await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_bounded_over_all_tasks_of_a_user() {
    let budget =
        "[[budget]]\nname = \"asks\"\nper = \"user\"\nmeter = \"calls\"\nlimit = \"2\"\nwindow = \"1h\"\n";
    let scene = Scene::under(&bank_with(budget), &["edge"]).await;
    for _ in 0..2 {
        let grant = free(&scene, "alice").await;
        done(permitted(scene.call(0, &grant, ASK, "{}").await)).await;
    }
    scene.home().await;
    let grant = free(&scene, "alice").await;
    assert_eq!(denied(&scene.call(0, &grant, ASK, "{}").await), Cause::Budget);
    done(permitted(scene.call(0, &grant, LOOK, "{}").await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_and_a_tool_have_budgets_over_all_users() {
    for per in ["agent", "tool"] {
        let scene = Scene::under(&daily(per), &["edge"]).await;
        done(permitted(scene.pay(&free(&scene, "alice").await, "60").await)).await;
        scene.home().await;
        let refused = scene.pay(&free(&scene, "bob").await, "41").await;
        assert_eq!(denied(&refused), Cause::Budget, "{per}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_there_again_when_its_window_is_over() {
    let scene = Scene::under(&daily("user"), &["edge"]).await;
    let grant = free(&scene, "alice").await;
    done(permitted(scene.pay(&grant, "100").await)).await;
    scene.home().await;
    assert_eq!(denied(&scene.pay(&grant, "1").await), Cause::Budget);
    // As if a day had passed.
    let yesterday = "UPDATE budget_use SET window_start = window_start - 86400000 WHERE window_start > 0";
    let sql = scene.world.sql().await.unwrap();
    assert_eq!(sql.execute(yesterday, &[]).await.unwrap(), 1);
    done(permitted(scene.pay(&grant, "100").await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_a_newer_policy_takes_away_bounds_nothing_any_more() {
    let scene = Scene::under(&daily("user"), &["edge"]).await;
    let grant = free(&scene, "alice").await;
    assert_eq!(denied(&scene.pay(&grant, "101").await), Cause::Budget);
    let generation = Generation(scene.world.push(&bank()).await.unwrap());
    let edge = &scene.enforcers[0];
    let decides = edge.wait_until(|status| status.decides_by(generation), WAIT_MAX);
    decides.await.unwrap();
    done(permitted(scene.pay(&grant, "101").await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_was_passed_on_has_a_budget_of_its_own_within_that_of_its_task() {
    let scene = Scene::set(&["edge"]).await;
    let child = scene.world.enforcer("child", CHILD).await.unwrap();
    let decides = child.wait_until(|status| status.decides_by(Generation(1)), WAIT_MAX);
    decides.await.unwrap();
    let (grant, task) = scene.task("100").await;
    let parent = scene.world.person(Role::Agent, "billing", 0).await.unwrap();
    let delegate = |money: &str| DelegateRequest {
        grant: grant.clone(),
        agent: CHILD.to_owned(),
        idempotency_key: fresh_key(),
        budgets: vec![Amount {
            meter: "money".to_owned(),
            amount: money.to_owned(),
        }],
        ..DelegateRequest::default()
    };
    let wider = parent.tasks().delegate(delegate("100.0001")).await.unwrap_err();
    assert_eq!(wider.code(), Code::InvalidArgument);
    let given = parent
        .tasks()
        .delegate(delegate("30"))
        .await
        .unwrap()
        .into_inner()
        .grant;
    let pay = |amount: &str| {
        let arguments = format!("{{\"amount\":{amount}}}");
        let request = Request::new(&*given, PAY, arguments.as_bytes());
        let gate = child.gate();
        async move { gate.authorize(request).await.unwrap() }
    };
    assert_eq!(denied(&pay("31").await), Cause::Budget);
    done(permitted(pay("30").await)).await;
    child
        .wait_until(|status| status.journal_pending() == 0, WAIT_MAX)
        .await
        .unwrap();
    assert_eq!(denied(&pay("1").await), Cause::Budget);
    // It counts in its task, too.
    assert_eq!(scene.money(&task).await, ["30", "0", "0"]);
    assert_eq!(denied(&scene.pay(&grant, "71").await), Cause::Budget);
    done(permitted(scene.pay(&grant, "70").await)).await;
}
