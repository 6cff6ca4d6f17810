//! How many sessions and links there are, and what ends them early.

use checkrein_control_plane::config::ConsoleSettings;
use checkrein_control_plane::session::Sessions;
use checkrein_proto::fleet::v1::SignInRequest;
use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_tests::{World, WorldOptions};
use tonic::Code;
use tonic::codegen::http::StatusCode;

use super::browser::{Browser, link};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_link_says_whom_it_signs_in_and_whether_it_still_does() {
    let world = World::start().await.unwrap();
    let mut bob = Browser::at(&world, 0);
    let path = format!("/sign-in?link={}", link(&world, Role::Approver, "bob").await);
    let page = bob.get(&path).await;
    assert!(page.text.contains("Sign in as bob (approver)"), "{}", page.text);
    // The address carries the token, and no other site is told it.
    assert_eq!(page.header("referrer-policy"), "same-origin");
    assert_eq!(page.header("cache-control"), "no-store");
    bob.post("/sign-in/link", &[("link", &page.field("link"))]).await;
    let page = bob.get(&path).await;
    assert_eq!(page.code, StatusCode::UNAUTHORIZED);
    assert!(page.text.contains("was used before"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sixth_link_of_a_person_takes_the_place_of_the_first_and_of_nobody_elses() {
    let world = World::start().await.unwrap();
    let of_carol = link(&world, Role::Approver, "carol").await;
    let mut links = Vec::new();
    for _ in 0..6 {
        links.push(link(&world, Role::Approver, "bob").await);
    }
    let mut bob = Browser::at(&world, 0);
    for (link, code) in [
        (&links[0], StatusCode::UNAUTHORIZED),
        (&links[1], StatusCode::SEE_OTHER),
        (&links[5], StatusCode::SEE_OTHER),
        (&of_carol, StatusCode::SEE_OTHER),
    ] {
        let answer = bob.post("/sign-in/link", &[("link", link)]).await;
        assert_eq!(answer.code, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_neither_uses_up_a_link_nor_signs_anybody_out() {
    let world = World::start().await.unwrap();
    let mut bob = Browser::of(&world, Role::Approver, "bob").await;
    let token = link(&world, Role::Approver, "carol").await;
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "http://localhost:1")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        let answer = bob.post_from("/sign-in/link", &[("link", &token)], headers).await;
        assert_eq!(answer.code, StatusCode::FORBIDDEN, "{headers:?}");
        let csrf = bob.get("/").await.field("csrf");
        let answer = bob.post_from("/sign-out", &[("csrf", &csrf)], headers).await;
        assert_eq!(answer.code, StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert_eq!(bob.get("/").await.code, StatusCode::OK);
    let mut carol = Browser::at(&world, 0);
    let answer = carol.post("/sign-in/link", &[("link", &token)]).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_one_person_are_bounded_and_end_no_later_than_what_proved_who_they_are() {
    let world = World::start().await.unwrap();
    let sessions = Sessions::new(world.database().unwrap());
    let ids = [SpiffeId::of("acme.example", Role::Approver, "bob").unwrap()];
    let is_open = async |token: &str| sessions.find(token).await.unwrap().is_some();
    let first = sessions.open(&ids, None).await.unwrap();
    for _ in 1..20 {
        sessions.open(&ids, None).await.unwrap();
    }
    assert!(is_open(first.as_str()).await);
    let last = sessions.open(&ids, None).await.unwrap();
    assert!(!is_open(first.as_str()).await && is_open(last.as_str()).await);

    let over = sessions.open(&ids, Some(1)).await.unwrap();
    assert!(!is_open(over.as_str()).await);
    let far = sessions.open(&ids, Some(4_000_000_000_000)).await.unwrap();
    assert!(is_open(far.as_str()).await);
    let longer =
        "SELECT count(*) FROM console_session WHERE expires_at > clock_timestamp() + interval '12 hours'";
    let sql = world.sql().await.unwrap();
    assert_eq!(sql.query_one(longer, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_uses_a_session_keeps_it_alive_and_no_longer_than_it_may_last_at_all() {
    let world = World::start().await.unwrap();
    let sql = world.sql().await.unwrap();
    let mut bob = Browser::of(&world, Role::Approver, "bob").await;
    let idle = async |since: &str| {
        let set = format!("UPDATE console_session SET used_at = clock_timestamp() - interval '{since}'");
        assert_eq!(sql.execute(&set, &[]).await.unwrap(), 1);
    };
    let seconds = async || {
        let idle = "SELECT extract(epoch FROM clock_timestamp() - used_at)::float8 FROM console_session";
        sql.query_one(idle, &[]).await.unwrap().get::<_, f64>(0)
    };
    // Longer than half an hour in all, and never so long without being used.
    for _ in 0..3 {
        idle("29 minutes").await;
        assert_eq!(bob.get("/").await.code, StatusCode::OK);
        assert!(seconds().await < 60.0, "that it was used is written");
    }
    // Not with every request.
    idle("40 seconds").await;
    assert_eq!(bob.get("/").await.code, StatusCode::OK);
    assert!(seconds().await >= 40.0);

    sql.batch_execute("UPDATE console_session SET expires_at = clock_timestamp()")
        .await
        .unwrap();
    assert_eq!(bob.get("/").await.header("location"), "/sign-in");
    idle("30 minutes").await;
    let forever = "UPDATE console_session SET expires_at = clock_timestamp() + interval '1 hour'";
    sql.batch_execute(forever).await.unwrap();
    assert_eq!(bob.get("/").await.header("location"), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_console_nobody_is_given_a_link_into_one() {
    let options = WorldOptions {
        console: ConsoleSettings {
            listen: Some("off".to_owned()),
            ..ConsoleSettings::default()
        },
        ..WorldOptions::default()
    };
    let world = World::with(options).await.unwrap();
    for (role, name) in [(Role::Operator, "olga"), (Role::Approver, "bob")] {
        let person = world.person(role, name, 0).await.unwrap();
        let refused = person.fleet().sign_in(SignInRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("--console-listen off"), "{refused:?}");
    }
    let links = "SELECT count(*) FROM console_link";
    let sql = world.sql().await.unwrap();
    assert_eq!(sql.query_one(links, &[]).await.unwrap().get::<_, i64>(0), 0);
}
