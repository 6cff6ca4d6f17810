//! Who gets in, for how long, and how they get out.

use checkrein_shared::identity::Role;
use checkrein_tests::World;
use tonic::codegen::http::StatusCode;

use super::browser::{Browser, link};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_once_and_looking_at_it_does_not_use_it_up() {
    let world = World::start().await.unwrap();
    let token = link(&world, Role::Approver, "bob").await;
    let mut bob = Browser::at(&world, 0);
    for _ in 0..2 {
        let page = bob.get(&format!("/sign-in?link={token}")).await;
        assert_eq!(page.code, StatusCode::OK);
        assert_eq!(page.field("link"), token);
    }
    assert_eq!(bob.session(), None);
    let answer = bob.post("/sign-in/link", &[("link", &token)]).await;
    assert_eq!(
        (answer.code, answer.header("location")),
        (StatusCode::SEE_OTHER, "/")
    );
    assert_eq!(bob.get("/").await.code, StatusCode::OK);

    let mut mallory = Browser::at(&world, 0);
    let answer = mallory.post("/sign-in/link", &[("link", &token)]).await;
    assert_eq!(answer.code, StatusCode::UNAUTHORIZED);
    assert!(answer.text.contains("was used before"), "{}", answer.text);
    assert_eq!(mallory.session(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_a_minute_by_the_databases_clock() {
    let world = World::start().await.unwrap();
    let token = link(&world, Role::Approver, "bob").await;
    let sql = world.sql().await.unwrap();
    let row = sql
        .query_one(
            "SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 FROM console_link",
            &[],
        )
        .await
        .unwrap();
    let left: f64 = row.get(0);
    assert!((0.0..=60.0).contains(&left), "{left}");
    sql.batch_execute("UPDATE console_link SET expires_at = clock_timestamp()")
        .await
        .unwrap();
    let answer = Browser::at(&world, 0)
        .post("/sign-in/link", &[("link", &token)])
        .await;
    assert_eq!(answer.code, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_somebody_had_before_signing_in_is_not_the_one_they_get() {
    let world = World::start().await.unwrap();
    let mut bob = Browser::of(&world, Role::Approver, "bob").await;
    let first = bob.session().unwrap().to_owned();
    let token = link(&world, Role::Approver, "bob").await;
    bob.post("/sign-in/link", &[("link", &token)]).await;
    let second = bob.session().unwrap().to_owned();
    assert_ne!(first, second);

    let mut thief = Browser::at(&world, 0);
    for planted in [&*first, "planted", ""] {
        thief.keep(planted);
        let answer = thief.get("/").await;
        assert_eq!(
            (answer.code, answer.header("location")),
            (StatusCode::SEE_OTHER, "/sign-in")
        );
    }
    assert_eq!(bob.get("/").await.code, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_is_not_used_at_its_time_and_when_its_person_says_so() {
    let world = World::start().await.unwrap();
    let sql = world.sql().await.unwrap();
    let over = [
        "UPDATE console_session SET used_at = clock_timestamp() - interval '31 minutes'",
        "UPDATE console_session SET expires_at = clock_timestamp()",
    ];
    for end in over {
        let mut bob = Browser::of(&world, Role::Approver, "bob").await;
        assert_eq!(bob.get("/").await.code, StatusCode::OK);
        sql.batch_execute(end).await.unwrap();
        assert_eq!(bob.get("/").await.header("location"), "/sign-in", "{end}");
    }
    let mut bob = Browser::of(&world, Role::Approver, "bob").await;
    let kept = bob.session().unwrap().to_owned();
    let csrf = bob.get("/").await.field("csrf");
    let answer = bob.post("/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER);
    assert_eq!(bob.session(), None);
    bob.keep(&kept);
    assert_eq!(bob.get("/").await.header("location"), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_sessions_and_whoever_is_removed_is_let_in_at_none() {
    let mut world = World::start().await.unwrap();
    world.add_replica().await.unwrap();
    let mut bob = Browser::of(&world, Role::Approver, "bob").await;
    bob.move_to(&world, 1);
    assert_eq!(bob.get("/").await.code, StatusCode::OK);

    let operator = world.operator().await.unwrap();
    operator
        .remove("spiffe://acme.example/approver/bob")
        .await
        .unwrap();
    let refused = async {
        while bob.get("/").await.code != StatusCode::FORBIDDEN {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(checkrein_tests::WAIT_MAX, refused)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_signing_in_one_is_led_to_a_page_of_the_console_and_nowhere_else() {
    let world = World::start().await.unwrap();
    let asked = [
        ("/approvals?a=b", "/approvals?a=b"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\r\nset-cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
    ];
    for (next, led_to) in asked {
        let token = link(&world, Role::Approver, "bob").await;
        let mut bob = Browser::at(&world, 0);
        let answer = bob
            .post("/sign-in/link", &[("link", &token), ("next", next)])
            .await;
        assert_eq!(answer.header("location"), led_to, "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_links_is_slowed_down() {
    let world = World::start().await.unwrap();
    let mut mallory = Browser::at(&world, 0);
    let mut codes = Vec::new();
    for guess in 0..40 {
        let answer = mallory
            .post("/sign-in/link", &[("link", &format!("{guess}"))])
            .await;
        codes.push(answer.code);
    }
    assert_eq!(codes.first(), Some(&StatusCode::UNAUTHORIZED));
    assert_eq!(codes.last(), Some(&StatusCode::TOO_MANY_REQUESTS), "{codes:?}");
}
