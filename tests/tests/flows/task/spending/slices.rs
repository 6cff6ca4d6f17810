//! Reads that cost something are paid from slices that enforcers hold: locally, never too much, and to the last call.

use checkrein_shared::id::TaskId;

use super::*;

mod at_home;
mod killed;

/// A task with so many tokens.
async fn tokens(scene: &Scene, amount: &str) -> (String, String) {
    let started = scene.start(&[("tokens", amount)]).await.unwrap();
    (started.grant, started.task.unwrap().task_id)
}

/// What became of the tokens: spent, reserved, unknown.
async fn used(scene: &Scene, task_id: &str) -> [String; 3] {
    let task = scene.shown(task_id).await;
    let of_tokens = |budget: &Budget| budget.meter == "tokens";
    let found = task.budgets.into_iter().find(of_tokens).unwrap_or_default();
    [found.spent, found.reserved, found.unknown]
}

async fn ask(scene: &Scene, enforcer: usize, grant: &str, tokens: u64) -> Answer {
    scene
        .call(enforcer, grant, ASK, &format!("{{\"max_tokens\":{tokens}}}"))
        .await
}

/// Waits until nothing is held.
async fn nothing_held(scene: &Scene) {
    let sql = scene.world.sql().await.unwrap();
    let held =
        "SELECT CASE count(*) WHEN 0 THEN 1::bigint ELSE 0 END FROM reservation WHERE state = 'reserved'";
    until(&sql, held, &[]).await;
}

/// How many releases were confirmed one by one.
async fn confirmed(scene: &Scene) -> i64 {
    let sql = scene.world.sql().await.unwrap();
    let row = sql.query_one("SELECT count(*) FROM task_use", &[]).await.unwrap();
    row.get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn most_of_many_reads_ask_nobody_and_all_of_them_are_charged() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = tokens(&scene, "100000").await;
    for _ in 0..100 {
        done(permitted(ask(&scene, 0, &grant, 10).await)).await;
    }
    let confirmed = confirmed(&scene).await;
    assert!(confirmed <= 50, "{confirmed} of 100");
    nothing_held(&scene).await;
    assert_eq!(used(&scene, &task).await, ["1000", "0", "0"]);
    let counted = scene.shown(&task).await.ledger.unwrap();
    assert_eq!(counted.calls, 100, "and counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_enforcers_that_hold_slices_use_a_budget_up_to_the_last_call_and_no_further() {
    let scene = Scene::set(&["one", "two", "three"]).await;
    let (grant, task) = tokens(&scene, "3000").await;
    let mut callers = JoinSet::new();
    for enforcer in scene.enforcers.iter().cycle().take(12) {
        let (gate, grant) = (enforcer.gate(), grant.clone());
        callers.spawn(async move {
            let mut permits = 0_u64;
            loop {
                let request = Request::new(&*grant, ASK, br#"{"max_tokens":10}"#);
                match gate.authorize(request).await.unwrap() {
                    Answer::Permit(permit) => {
                        permits += 1;
                        done(permit).await;
                    }
                    other => {
                        assert_eq!(denied(&other), Cause::Budget);
                        return permits;
                    }
                }
            }
        });
    }
    let permits: u64 = callers.join_all().await.into_iter().sum();
    assert_eq!(permits, 300);
    nothing_held(&scene).await;
    assert_eq!(used(&scene, &task).await, ["3000", "0", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_counted_task_are_held_too_and_the_last_of_them_is_made() {
    let scene = Scene::set(&["one", "two"]).await;
    let request = StartRequest {
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["bank/*".to_owned()],
        environment: "production".to_owned(),
        expires_in_ms: 3_600_000,
        idempotency_key: fresh_key(),
        limits: Some(Limits {
            calls: Some(200),
            ..Limits::default()
        }),
        ..StartRequest::default()
    };
    let started = scene.operator.tasks().start(request).await.unwrap().into_inner();
    let task = started.task.unwrap().task_id;
    let mut permits = 0;
    for turn in 0.. {
        match scene.call(turn % 2, &started.grant, LOOK, "{}").await {
            Answer::Permit(permit) => {
                permits += 1;
                done(permit).await;
            }
            other => {
                assert_eq!(denied(&other), Cause::Budget);
                break;
            }
        }
    }
    assert_eq!(permits, 200);
    assert!(confirmed(&scene).await < 100, "most asked nobody");
    assert_eq!(scene.shown(&task).await.calls_used, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_is_away_changes_nothing_for_what_is_held_and_then_calls_are_denied() {
    let mut scene = Scene::set(&["edge"]).await;
    let (grant, task) = tokens(&scene, "1000").await;
    for _ in 0..2 {
        done(permitted(ask(&scene, 0, &grant, 10).await)).await;
    }
    scene.world.stop_replica(0).await;
    let mut permits = 2;
    let last = loop {
        match ask(&scene, 0, &grant, 10).await {
            Answer::Permit(permit) => {
                permits += 1;
                done(permit).await;
            }
            other => break denied(&other),
        }
    };
    assert_eq!(last, Cause::ControlPlaneUnreachable);
    assert!((3..=100).contains(&permits), "{permits}");
    scene.world.restart_replica(0).await.unwrap();
    nothing_held(&scene).await;
    assert_eq!(
        used(&scene, &task).await,
        [(permits * 10).to_string().as_str(), "0", "0"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_that_stops_gives_back_what_it_held() {
    let mut scene = Scene::set(&["edge"]).await;
    let (grant, task) = tokens(&scene, "1000").await;
    for _ in 0..3 {
        done(permitted(ask(&scene, 0, &grant, 10).await)).await;
    }
    scene.enforcers.remove(0).shutdown().await;
    assert_eq!(used(&scene, &task).await, ["30", "0", "0"]);
}
