//! What a hold's page shows is what is hashed, and an answer is for that and nothing else.

use checkrein_proto::hold::v1::{Hold, State};
use checkrein_shared::action::Sha256;
use checkrein_shared::identity::Role;
use tonic::codegen::http::StatusCode;

use super::browser::{Answer, Browser};
use crate::flows::asking::{Asking, open};

fn page_of(hold: &Hold) -> String {
    format!("/holds/{}", hold.hold_id)
}

async fn approve(bob: &mut Browser, hold: &Hold, page: &Answer, sha256: &str) -> Answer {
    let fields = [
        ("csrf", page.field("csrf")),
        ("key", page.field("key")),
        ("sha256", sha256.to_owned()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
    bob.post(&format!("{}/approve", page_of(hold)), &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_of_the_bytes_that_the_page_showed_and_a_second_click_is_the_same_one() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    assert!(bob.get("/").await.text.contains(&page_of(&hold)));
    let page = bob.get(&page_of(&hold)).await;
    let hash = hold.action.clone().unwrap().action_sha256;
    let hash = Sha256::try_from(&*hash).unwrap().to_string();
    assert_eq!(page.field("sha256"), hash);
    assert!(page.text.contains("It can&#39;t be undone."), "{}", page.text);
    for _ in 0..2 {
        let answer = approve(&mut bob, &hold, &page, &hash).await;
        assert_eq!(answer.code, StatusCode::SEE_OTHER, "{}", answer.text);
    }
    let stands = scene.shown(&hold).await;
    assert_eq!(stands.state(), State::Approved);
    assert_eq!(stands.votes.len(), 1);
    assert!(bob.get(&page_of(&hold)).await.text.contains("It was approved"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_said_of_undoing_is_not_promised_and_what_differs_from_the_last_time_is_said() {
    let scene = Asking::set().await;
    let mut request = open(&scene.started, "first", "US13");
    request.reversibility = 0;
    let first = scene.opened(request).await;
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let page = bob.get(&page_of(&first)).await;
    assert!(page.text.contains("take it that it can&#39;t"), "{}", page.text);
    assert!(!page.text.contains("before:"), "{}", page.text);
    // One that nobody approved is nothing to compare with.
    let second = scene.held("second", "DE89").await;
    assert!(!bob.get(&page_of(&second)).await.text.contains("before:"));
    scene.approve(&first).await.unwrap();
    let page = bob.get(&page_of(&second)).await;
    assert!(page.text.contains("before: <bdi>US13</bdi>"), "{}", page.text);
    assert!(page.text.contains(&page_of(&first)), "{}", page.text);
    assert_eq!(page.text.matches("before:").count(), 1, "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_other_bytes_is_refused_in_plain_words() {
    let scene = Asking::set().await;
    let (hold, other) = (
        scene.held("call", "US13").await,
        scene.held("other", "DE89").await,
    );
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let (page, of_other) = (bob.get(&page_of(&hold)).await, bob.get(&page_of(&other)).await);
    let answer = approve(&mut bob, &hold, &page, &of_other.field("sha256")).await;
    assert_eq!(answer.code, StatusCode::CONFLICT);
    assert!(answer.text.contains("is not what is held"), "{}", answer.text);
    let answer = approve(&mut bob, &hold, &page, "not a hash").await;
    assert_eq!(answer.code, StatusCode::BAD_REQUEST);
    assert_eq!(scene.state(&hold).await, State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_from_elsewhere_or_of_another_session_counts_for_nothing() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let mut carol = Browser::of(&scene.world, Role::Approver, "carol").await;
    let page = bob.get(&page_of(&hold)).await;
    let of_carol = carol.get(&page_of(&hold)).await.field("csrf");
    let path = format!("{}/approve", page_of(&hold));
    let (csrf, sha256) = (page.field("csrf"), page.field("sha256"));
    assert_ne!(csrf, of_carol);
    for wrong in ["", "x", &of_carol] {
        let fields = [("csrf", wrong), ("sha256", &*sha256), ("key", "k")];
        assert_eq!(bob.post(&path, &fields).await.code, StatusCode::FORBIDDEN);
    }
    let right = [("csrf", &*csrf), ("sha256", &*sha256), ("key", "k")];
    let elsewhere: [&[(&str, &str)]; 3] = [
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
    ];
    for from in elsewhere {
        assert_eq!(
            bob.post_from(&path, &right, from).await.code,
            StatusCode::FORBIDDEN,
            "{from:?}"
        );
    }
    assert_eq!(scene.state(&hold).await, State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_needs_a_reason_and_tells_it_to_the_agent() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let page = bob.get(&page_of(&hold)).await;
    let (csrf, sha256, path) = (
        page.field("csrf"),
        page.field("sha256"),
        format!("{}/deny", page_of(&hold)),
    );
    let empty = [
        ("csrf", &*csrf),
        ("sha256", &*sha256),
        ("key", "k"),
        ("reason", " "),
    ];
    assert_eq!(bob.post(&path, &empty).await.code, StatusCode::BAD_REQUEST);
    assert_eq!(scene.state(&hold).await, State::Open);
    let said = [
        ("csrf", &*csrf),
        ("sha256", &*sha256),
        ("key", "k"),
        ("reason", "not our supplier"),
    ];
    assert_eq!(bob.post(&path, &said).await.code, StatusCode::SEE_OTHER);
    let stands = scene.shown(&hold).await;
    assert_eq!(
        (stands.state(), &*stands.denial_reason),
        (State::Denied, "not our supplier")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_and_one_of_whoever_may_not_say_why_they_do_not_count() {
    let scene = Asking::set().await;
    let (late, own) = (scene.held("late", "US13").await, scene.held("own", "DE89").await);
    let mut mallory = Browser::of(&scene.world, Role::Approver, "mallory").await;
    let page = mallory.get(&page_of(&own)).await;
    // She is given no form, and sends one all the same.
    assert!(!page.text.contains("name=\"sha256\""), "{}", page.text);
    let hash = own.action.clone().unwrap().action_sha256;
    let hash = Sha256::try_from(&*hash).unwrap().to_string();
    let csrf = page.field("csrf");
    let fields = [("csrf", &*csrf), ("key", "k"), ("sha256", &*hash)];
    let answer = mallory.post(&format!("{}/approve", page_of(&own)), &fields).await;
    assert_eq!(answer.code, StatusCode::FORBIDDEN);
    assert!(answer.text.contains("in none of the groups"), "{}", answer.text);

    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let page = bob.get(&page_of(&late)).await;
    let pass = "UPDATE hold SET decide_by = clock_timestamp() WHERE call_id = 'late'";
    scene.sql().await.batch_execute(pass).await.unwrap();
    let answer = approve(&mut bob, &late, &page, &page.field("sha256")).await;
    assert_eq!(answer.code, StatusCode::CONFLICT);
    assert_eq!(scene.state(&late).await, State::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn like_things_are_answered_together_each_with_its_own_hash() {
    let scene = Asking::set().await;
    let holds = [scene.held("one", "US13").await, scene.held("two", "US13").await];
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let inbox = bob.get("/").await;
    assert!(inbox.text.contains("× 2"), "{}", inbox.text);
    let path = format!("/together/{}", holds[0].hold_id);
    let page = bob.get(&path).await;
    let (csrf, key) = (page.field("csrf"), page.field("key"));
    let hashes = holds
        .clone()
        .map(|hold| page.field(&format!("sha256:{}", hold.hold_id)));
    let names = holds.clone().map(|hold| format!("sha256:{}", hold.hold_id));
    let fields = [
        ("csrf", &*csrf),
        ("key", &*key),
        ("word", "yes"),
        ("hold", &*holds[0].hold_id),
        ("hold", &*holds[1].hold_id),
        (&*names[0], &*hashes[0]),
        (&*names[1], &*hashes[1]),
    ];
    let answer = bob.post(&path, &fields).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER, "{}", answer.text);
    for hold in &holds {
        assert_eq!(scene.state(hold).await, State::Approved);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_again_is_listed_and_ended_by_one_click() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let page = bob.get(&page_of(&hold)).await;
    let (csrf, sha256) = (page.field("csrf"), page.field("sha256"));
    let fields = [
        ("csrf", &*csrf),
        ("sha256", &*sha256),
        ("key", "k"),
        ("again", "yes"),
        ("hours", "2"),
        ("times", "3"),
        ("most:amount", "1"),
    ];
    let answer = bob.post(&format!("{}/approve", page_of(&hold)), &fields).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER, "{}", answer.text);
    let again = scene.held("again", "US13").await;
    assert_eq!(again.state(), State::Approved);
    let list = bob.get("/approvals").await;
    assert!(list.text.contains("used 1 of 3 times"), "{}", list.text);
    let (_, rest) = list.text.split_once("action=\"/approvals/").unwrap();
    let path = format!("/approvals/{}", rest.split('"').next().unwrap());
    let answer = bob.post(&path, &[("csrf", &csrf), ("key", "r")]).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER);
    assert_eq!(scene.state(&again).await, State::Withdrawn);
    assert_eq!(scene.held("after", "US13").await.state(), State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_wrote_is_shown_and_never_done() {
    let scene = Asking::set().await;
    let hostile =
        "US13<script>alert(1)</script>\\u202eecila\\u200b\\u0000\\\"'&amp; <img src=x onerror=alert(2)>";
    let hold = scene.held("<b>call</b>", hostile).await;
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    for path in [
        "/".to_owned(),
        page_of(&hold),
        format!("/together/{}", hold.hold_id),
    ] {
        let page = bob.get(&path).await;
        assert_eq!(page.code, StatusCode::OK, "{path}");
        for run in [
            "<script>alert",
            "<img src=x",
            "<b>call",
            "\u{202e}",
            "\u{200b}",
            "\u{0}",
        ] {
            assert!(!page.text.contains(run), "{path}: {run:?}");
        }
    }
    let page = bob.get(&page_of(&hold)).await;
    assert!(page.text.contains("&#60;script&#62;alert(1)"), "{}", page.text);
    assert!(page.text.contains(r"\u{202e}ecila\u{200b}\u{0}"), "{}", page.text);
}
