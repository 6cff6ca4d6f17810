//! Signing in at the console by a link, and what a session is good for.

use checkrein_control_plane::session::Sessions;
use checkrein_proto::fleet::v1::{RemoveRequest, SignInRequest};
use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_tests::World;

use super::browser::{Browser, Page};

/// What anybody may look at who is signed in.
const PAGE: &str = "/approvals";

async fn link(world: &World, replica: usize) -> String {
    let bob = world.person(Role::Approver, "bob", replica).await.unwrap();
    let link = bob.fleet().sign_in(SignInRequest {}).await.unwrap();
    link.into_inner().url
}

fn token(link: &str) -> &str {
    link.split_once("link=").unwrap().1
}

async fn follow(browser: &mut Browser, link: &str, next: &str) -> Page {
    let (site, _) = link.split_once("/sign-in").unwrap();
    let form = [("link", token(link)), ("next", next)];
    browser.post(&format!("{site}/sign-in/link"), &form).await
}

async fn signed_in(world: &World) -> Browser {
    let mut browser = Browser::default();
    let link = link(world, 0).await;
    let page = follow(&mut browser, &link, "/").await;
    assert_eq!(page.location(), format!("{}/", world.console(0)));
    browser
}

/// Whether a browser gets to see a page.
async fn is_in(world: &World, replica: usize, browser: &Browser) -> bool {
    let page = browser
        .clone()
        .get(&format!("{}{PAGE}", world.console(replica)))
        .await;
    if page.status != 200 {
        assert_eq!(
            page.location(),
            format!("{}/sign-in?next={PAGE}", world.console(replica))
        );
    }
    page.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_once_and_looking_at_it_does_not_use_it_up() {
    let world = World::start().await.unwrap();
    let (link, mut browser) = (link(&world, 0).await, Browser::default());
    for _preview in 0..2 {
        let page = browser.get(&link).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.body.contains("Sign in as bob (approver)"), "{page:?}");
        assert!(page.all("set-cookie").is_empty());
        assert_eq!(
            page.all("referrer-policy"),
            ["same-origin"],
            "the address carries the token"
        );
    }
    let page = follow(&mut browser, &link, "/").await;
    let cookie = page.all("set-cookie")[0];
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(is_in(&world, 0, &browser).await);

    let mut late = Browser::default();
    assert_eq!(late.get(&link).await.status, 401);
    assert_eq!(follow(&mut late, &link, "/").await.status, 401);
    assert!(!is_in(&world, 0, &late).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_a_minute_and_its_sixth_takes_the_place_of_the_first() {
    let world = World::start().await.unwrap();
    let link_of = async || link(&world, 0).await;
    let old = link_of().await;
    let sql = world.sql().await.unwrap();
    let minute = "UPDATE console_link SET expires_at = expires_at - interval '1 minute'";
    assert_eq!(sql.execute(minute, &[]).await.unwrap(), 1);
    let mut browser = Browser::default();
    assert_eq!(follow(&mut browser, &old, "/").await.status, 401);

    let mut links = Vec::new();
    for _ in 0..6 {
        links.push(link_of().await);
    }
    assert_eq!(follow(&mut browser, &links[0], "/").await.status, 401);
    assert_eq!(follow(&mut browser, &links[1], "/").await.status, 303);
    assert_eq!(follow(&mut browser, &links[5], "/").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sign_in_gets_a_session_of_its_own_and_ends_the_one_before() {
    let world = World::start().await.unwrap();
    // Whoever puts a cookie into somebody's browser first is not signed in with them.
    let planted = "p".repeat(43);
    let mut browser = Browser::default();
    let place = ("localhost".to_owned(), "checkrein".to_owned());
    browser.cookies.insert(place.clone(), planted.clone());
    let planter = browser.clone();
    follow(&mut browser, &link(&world, 0).await, "/").await;
    assert_ne!(browser.cookies[&place], planted);
    assert!(!is_in(&world, 0, &planter).await);

    let first = browser.clone();
    assert!(is_in(&world, 0, &first).await);
    follow(&mut browser, &link(&world, 0).await, "/").await;
    assert!(is_in(&world, 0, &browser).await);
    assert!(!is_in(&world, 0, &first).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_nobody_uses_it_and_after_half_a_day_whatever_happens() {
    let world = World::start().await.unwrap();
    let sql = world.sql().await.unwrap();
    let pass = async |column: &str, time: &str| {
        let pass = format!("UPDATE console_session SET {column} = {column} - interval '{time}'");
        assert_eq!(sql.execute(&pass, &[]).await.unwrap(), 1);
    };
    let browser = signed_in(&world).await;
    // Whoever looks is there for another half an hour.
    for _ in 0..2 {
        pass("used_at", "29 minutes").await;
        assert!(is_in(&world, 0, &browser).await);
    }
    pass("used_at", "31 minutes").await;
    assert!(!is_in(&world, 0, &browser).await);
    sql.execute("DELETE FROM console_session", &[]).await.unwrap();

    let browser = signed_in(&world).await;
    pass("expires_at", "11 hours 59 minutes").await;
    assert!(is_in(&world, 0, &browser).await);
    pass("expires_at", "1 minute").await;
    assert!(!is_in(&world, 0, &browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_and_nobody_else_can_do_it() {
    let world = World::start().await.unwrap();
    let mut browser = signed_in(&world).await;
    let (kept, out) = (browser.clone(), format!("{}/sign-out", world.console(0)));
    assert_eq!(browser.clone().post(&out, &[]).await.status, 403);
    assert_eq!(browser.clone().post(&out, &[("csrf", "x")]).await.status, 403);
    assert!(is_in(&world, 0, &browser).await);

    let csrf = browser
        .get(&format!("{}{PAGE}", world.console(0)))
        .await
        .field("csrf");
    let page = browser.post(&out, &[("csrf", &csrf)]).await;
    assert_eq!(page.location(), format!("{}/sign-in", world.console(0)));
    assert!(browser.cookies.is_empty(), "{browser:?}");
    assert!(
        !is_in(&world, 0, &kept).await,
        "a copy of the cookie is worth nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_links_and_sessions() {
    let mut world = World::start().await.unwrap();
    let second = world.add_replica().await.unwrap();
    let asked = link(&world, 0).await;
    let other = asked.replace(&world.console(0), &world.console(second));
    let mut browser = Browser::default();
    follow(&mut browser, &other, "/").await;
    assert!(is_in(&world, 0, &browser).await && is_in(&world, second, &browser).await);
    assert_eq!(follow(&mut Browser::default(), &asked, "/").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_is_slowed_down() {
    let world = World::start().await.unwrap();
    let mut browser = Browser::default();
    let guess = format!("{}/sign-in?link={}", world.console(0), "g".repeat(43));
    for _ in 0..20 {
        assert_eq!(follow(&mut browser, &guess, "/").await.status, 401);
    }
    assert_eq!(follow(&mut browser, &guess, "/").await.status, 429);
    assert_eq!(
        follow(&mut browser, &link(&world, 0).await, "/").await.status,
        429
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_signs_nobody_in_and_nobody_is_sent_to_one() {
    let world = World::start().await.unwrap();
    let mut browser = Browser::default();
    let asked = link(&world, 0).await;
    let to = format!("{}/sign-in/link", world.console(0));
    for headers in [
        &[("Origin", "https://evil.example")][..],
        &[("Origin", "null")],
        &[("Origin", "http://localhost:1")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
    ] {
        let page = browser.post_from(&to, &[("link", token(&asked))], headers).await;
        assert_eq!(page.status, 403, "{headers:?}");
    }
    let there = follow(&mut browser, &asked, "/approvals?state=ended").await;
    let here = world.console(0);
    assert_eq!(there.location(), format!("{here}/approvals?state=ended"));
    for next in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/%09/evil.example%0d%0ax:y",
        "x",
        "",
    ] {
        let page = follow(&mut browser, &link(&world, 0).await, next).await;
        assert_eq!(page.location(), format!("{here}/"), "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_is_out_at_once_and_a_link_does_not_help() {
    let world = World::start().await.unwrap();
    let mut browser = signed_in(&world).await;
    let asked = link(&world, 0).await;
    let remove = RemoveRequest {
        spiffe_id: "spiffe://acme.example/approver/bob".to_owned(),
        idempotency_key: "gone".to_owned(),
        ..RemoveRequest::default()
    };
    world
        .operator()
        .await
        .unwrap()
        .fleet()
        .remove(remove)
        .await
        .unwrap();
    let page = format!("{}{PAGE}", world.console(0));
    let refused = async |browser: &mut Browser| {
        loop {
            let page = browser.get(&page).await;
            if page.status != 200 {
                return page;
            }
        }
    };
    let said = tokio::time::timeout(checkrein_tests::WAIT_MAX, refused(&mut browser)).await;
    let said = said.unwrap();
    assert!(
        said.status == 403 && said.body.contains("was removed"),
        "{said:?}"
    );
    follow(&mut browser, &asked, "/").await;
    assert_eq!(browser.get(&page).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_one_person_are_bounded_and_end_when_a_token_does() {
    let world = World::start().await.unwrap();
    let sessions = Sessions::new(world.database().unwrap());
    let ids = [SpiffeId::of("acme.example", Role::Approver, "bob").unwrap()];
    let first = sessions.open(&ids, None).await.unwrap();
    for _ in 1..20 {
        sessions.open(&ids, None).await.unwrap();
    }
    assert!(sessions.find(first.as_str()).await.unwrap().is_some());
    let last = sessions.open(&ids, None).await.unwrap();
    assert!(sessions.find(first.as_str()).await.unwrap().is_none());
    assert!(sessions.find(last.as_str()).await.unwrap().is_some());

    let over = sessions.open(&ids, Some(1)).await.unwrap();
    assert!(sessions.find(over.as_str()).await.unwrap().is_none());
    let life =
        "SELECT count(*) FROM console_session WHERE expires_at > clock_timestamp() + interval '12 hours'";
    let far = sessions.open(&ids, Some(4_000_000_000_000)).await.unwrap();
    assert!(sessions.find(far.as_str()).await.unwrap().is_some());
    let longer = world.sql().await.unwrap().query_one(life, &[]).await.unwrap();
    assert_eq!(longer.get::<_, i64>(0), 0);
}
