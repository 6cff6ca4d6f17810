//! Every page and action lets in whom the table of callers lets in, and nobody else.

use checkrein_control_plane::caller::CALLERS;
use checkrein_control_plane::console::routes;
use checkrein_shared::identity::Role;
use checkrein_tests::World;
use tonic::codegen::http::{Method, StatusCode};

use super::browser::{Answer, Browser};

const PEOPLE: [(Role, &str); 2] = [(Role::Operator, "olga"), (Role::Approver, "bob")];

async fn ask(browser: &mut Browser, method: &Method, path: &str, csrf: &str) -> Answer {
    let path = path.replace("{id}", "hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6");
    if *method == Method::GET {
        browser.get(&path).await
    } else {
        browser.post(&path, &[("csrf", csrf)]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_signed_in_is_sent_to_sign_in_from_everywhere() {
    let world = World::start().await.unwrap();
    for route in routes().iter().filter(|route| route.rpc.is_some()) {
        let answer = ask(&mut Browser::at(&world, 0), &route.method, route.path, "").await;
        assert_eq!(answer.code, StatusCode::SEE_OTHER, "{route:?}");
        assert!(answer.header("location").starts_with("/sign-in"), "{route:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_and_action_is_let_in_or_refused_by_the_row_of_its_rpc() {
    let world = World::start().await.unwrap();
    for (role, name) in PEOPLE {
        let mut browser = Browser::of(&world, role, name).await;
        let csrf = browser.get("/sign-in").await;
        assert_eq!(csrf.code, StatusCode::OK);
        let csrf = browser.get("/").await.field("csrf");
        // A stream does not end by itself, and is looked at where it is tested.
        for route in routes().iter().filter(|route| route.path != "/events") {
            let Some(rpc) = route.rpc else { continue };
            let (_, roles) = CALLERS.iter().find(|(row, _)| *row == rpc).unwrap();
            let answer = ask(&mut browser, &route.method, route.path, &csrf).await;
            let is_refused = answer.code == StatusCode::FORBIDDEN;
            assert_eq!(
                is_refused,
                !roles.contains(&role),
                "{role} {route:?}: {}",
                answer.text
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_lets_a_page_run_what_is_not_ours_be_framed_or_be_kept() {
    let world = World::start().await.unwrap();
    let mut bob = Browser::of(&world, Role::Approver, "bob").await;
    let csrf = bob.get("/").await.field("csrf");
    for route in routes().iter().filter(|route| route.path != "/events") {
        let answer = ask(&mut bob.clone(), &route.method, route.path, &csrf).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{route:?}");
        assert!(policy.contains("frame-ancestors 'none'"), "{route:?}");
        assert!(!policy.contains("unsafe"), "{route:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{route:?}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{route:?}");
        if answer.header("content-type").starts_with("text/html") {
            assert_eq!(answer.header("cache-control"), "no-store", "{route:?}");
            assert!(!answer.text.contains(" style="), "{route:?}");
            assert!(!answer.text.contains("<script>"), "{route:?}");
        }
    }
    let token = super::browser::link(&world, Role::Approver, "bob").await;
    let answer = bob.post("/sign-in/link", &[("link", &token)]).await;
    let cookie = answer.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
}
