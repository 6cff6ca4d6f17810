//! Plain HTTP behind Envoy.

use serde_json::json;

use super::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_a_service_gets_what_was_permitted_without_the_grant_and_nothing_else() {
    let scene = Scene::set().await;
    let answer = scene.agent.sends("GET", "/balance", &[], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!answer.header("x-checkrein-decision-id").is_empty());
    let got = scene.bank.got();
    assert!(got[0].starts_with("GET /balance "), "{got:?}");
    assert!(!got[0].to_lowercase().contains("grant") && got[0].contains("x-checkrein-decision-id"));

    let denied = scene.pays("US1", 5_000).await;
    assert_eq!(denied.status, 403, "{denied:?}");
    let told = denied.json();
    assert_eq!(
        (&told["verdict"], &told["rules"]),
        (&json!("deny"), &json!(["capped"]))
    );
    assert_eq!(denied.header("content-type"), "application/json");
    let no_route = scene.agent.sends("GET", "/statements", &[], "").await;
    assert_eq!(
        (no_route.status, &no_route.json()["cause"]),
        (403, &json!("no_route"))
    );
    let twice = scene
        .agent
        .sends("POST", "/accounts/US1/payments?amount=1", &[], r#"{"amount":2}"#)
        .await;
    assert_eq!(
        (twice.status, &twice.json()["cause"]),
        (403, &json!("unreadable"))
    );
    let large = "x".repeat(2 << 20);
    let large = scene
        .agent
        .sends("POST", "/accounts/US1/payments", &[], &large)
        .await;
    assert_eq!(large.status, 413);
    let unnamed = scene
        .agent
        .without_grant()
        .sends("GET", "/balance", &[], "")
        .await;
    assert_eq!(
        (unnamed.status, &unnamed.json()["cause"]),
        (403, &json!("invalid_grant"))
    );
    let spoofed = [
        ("x-envoy-auth-partial-body", "false"),
        ("x-checkrein-decision-id", "mine"),
    ];
    let answer = scene.agent.sends("GET", "/balance", &spoofed, "").await;
    assert_eq!(answer.status, 200);
    let got = scene.bank.got();
    assert_eq!(got.len(), 2, "nothing else came through: {got:?}");
    assert!(!got[1].contains("x-checkrein-decision-id: mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_a_held_request_goes_on_once_after_the_vote_and_never_without_its_enforcer() {
    let scene = Scene::set().await;
    let held = scene.pays("US1", 10).await;
    assert_eq!(
        (held.status, &held.json()["verdict"]),
        (403, &json!("hold")),
        "{held:?}"
    );
    assert_eq!(held.header("retry-after"), "5");
    assert!(!held.header("x-checkrein-hold-id").is_empty());
    let again = scene.pays("US1", 10).await;
    assert_eq!(again.json()["hold_id"], held.json()["hold_id"]);
    assert!(scene.bank.got().is_empty());

    let bob = scene.edge.world.approver("bob").await.unwrap();
    let hold = scene.edge.operator.waiting(&scene.edge.task).await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    let paid = scene.pays("US1", 10).await;
    assert_eq!(paid.status, 200, "{paid:?}");
    assert_eq!(scene.bank.got().len(), 1);
    let next = scene.pays("US1", 10).await;
    assert_eq!((next.status, &next.json()["verdict"]), (403, &json!("hold")));
    assert_ne!(
        next.json()["hold_id"],
        held.json()["hold_id"],
        "people are asked again"
    );

    let Scene {
        edge,
        agent,
        bank,
        _envoy,
    } = scene;
    let before = bank.got().len();
    let _world = edge.goes_away().await;
    let unasked = agent.sends("GET", "/balance", &[], "").await;
    assert_eq!(unasked.status, 403, "{unasked:?}");
    assert_eq!(bank.got().len(), before);
}
