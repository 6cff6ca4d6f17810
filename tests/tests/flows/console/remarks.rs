//! From a hold's page people ask, reply and hand on: of the bytes that it showed, and other pages hear of it.

use checkrein_proto::hold::v1::{Hold, State};
use checkrein_shared::identity::Role;
use tonic::codegen::http::StatusCode;

use super::browser::{Answer, Browser};
use crate::flows::asking::Asking;
use crate::flows::hold::groups;

const CAROL: &str = "spiffe://acme.example/approver/carol";

fn page_of(hold: &Hold) -> String {
    format!("/holds/{}", hold.hold_id)
}

/// Sends a form of the page, with these fields beside those that are hidden in it.
async fn send(browser: &mut Browser, hold: &Hold, form: &str, typed: &[(&str, &str)]) -> Answer {
    let page = browser.get(&page_of(hold)).await;
    let hidden = ["csrf", "key", "sha256"].map(|name| (name, page.field(name)));
    // What is typed wins over what is hidden.
    let fields = hidden.iter().map(|(name, value)| (*name, &**value));
    let fields: Vec<(&str, &str)> = fields.chain(typed.iter().copied()).collect();
    browser.post(&format!("{}/{form}", page_of(hold)), &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_of_the_bytes_that_the_page_showed_and_pages_that_are_open_hear_of_it() {
    let scene = Asking::set().await;
    let (hold, other) = (
        scene.held("call", "US13").await,
        scene.held("other", "DE89").await,
    );
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let mut carol = Browser::of(&scene.world, Role::Approver, "carol").await;
    let mut inbox = carol.listen("/events").await;
    let mut page = carol.listen(&format!("/events?hold={}", hold.hold_id)).await;
    let of_other = bob.get(&page_of(&other)).await.field("sha256");

    let hostile = "which <b>`invoice`</b>\u{202e}?";
    let refused = send(
        &mut bob,
        &hold,
        "ask",
        &[("text", hostile), ("sha256", &of_other)],
    )
    .await;
    assert_eq!(refused.code, StatusCode::CONFLICT);
    assert!(refused.text.contains("is not what is held"), "{}", refused.text);
    // What was typed is still there.
    assert!(refused.text.contains("which &#60;b&#62;"), "{}", refused.text);
    let of_carol = carol.get("/").await.field("csrf");
    for wrong in ["", &of_carol] {
        let refused = send(&mut bob, &hold, "ask", &[("text", "why?"), ("csrf", wrong)]).await;
        assert_eq!(refused.code, StatusCode::FORBIDDEN);
    }
    let refused = send(&mut bob, &hold, "ask", &[("text", " ")]).await;
    assert_eq!(refused.code, StatusCode::BAD_REQUEST);
    assert_eq!(scene.shown(&hold).await.remarks.len(), 0);

    let asked = send(&mut bob, &hold, "ask", &[("text", hostile)]).await;
    assert_eq!(asked.code, StatusCode::SEE_OTHER, "{}", asked.text);
    assert!(asked.header("location").ends_with("?said=ask"));
    for open in [&mut inbox, &mut page] {
        assert!(open.next().await.unwrap().contains("changed"));
    }
    let state = carol.get(&format!("{}/state", page_of(&hold))).await.text;
    assert!(
        state.contains(r"which &#60;b&#62;<code>invoice</code>&#60;/b&#62;\u{202e}?"),
        "{state}"
    );
    assert!(state.contains("Nobody has replied yet."), "{state}");
    let listed = carol.get("/inbox/waiting").await.text;
    assert!(listed.contains("asked by <bdi>bob</bdi>"), "{listed}");

    let replied = send(&mut carol, &hold, "reply", &[("text", "4711")]).await;
    assert_eq!(replied.code, StatusCode::SEE_OTHER, "{}", replied.text);
    let state = bob.get(&format!("{}/state", page_of(&hold))).await.text;
    assert!(
        state.contains("4711") && !state.contains("Nobody has replied"),
        "{state}"
    );
    assert_eq!(scene.state(&hold).await, State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_on_waits_for_others_and_is_marked_for_whom_it_was_handed_to() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let mut carol = Browser::of(&scene.world, Role::Approver, "carol").await;
    let page = bob.get(&page_of(&hold)).await.text;
    assert!(
        page.contains(&format!(r#"<option value="{CAROL}">carol</option>"#)),
        "{page}"
    );
    assert!(
        !page.contains("approver/alice\">") && !page.contains(">bob</option>"),
        "{page}"
    );
    let refused = send(&mut bob, &hold, "hand-on", &[("text", "on leave")]).await;
    assert_eq!(refused.code, StatusCode::BAD_REQUEST);
    let mallory = "spiffe://acme.example/approver/mallory";
    let refused = send(
        &mut bob,
        &hold,
        "hand-on",
        &[("text", "on leave"), ("to", mallory)],
    )
    .await;
    assert_eq!(refused.code, StatusCode::BAD_REQUEST);
    assert!(
        refused.text.contains(&format!("<code>{CAROL}</code>")),
        "{}",
        refused.text
    );

    let handed = send(&mut bob, &hold, "hand-on", &[("text", "on leave"), ("to", CAROL)]).await;
    assert_eq!(handed.code, StatusCode::SEE_OTHER, "{}", handed.text);
    let of_bob = bob.get("/").await.text;
    assert!(of_bob.contains("Nothing waits for your answer."), "{of_bob}");
    let (_, others) = of_bob.split_once("For others").unwrap();
    assert!(others.contains("handed to <bdi>carol</bdi>"), "{others}");
    let of_carol = carol.get("/").await.text;
    assert!(
        of_carol.contains("One action waits for your answer."),
        "{of_carol}"
    );
    assert!(
        of_carol.contains("<bdi>bob</bdi> handed this to you"),
        "{of_carol}"
    );
    // An inbox is no right: bob may still answer it.
    let answered = send(&mut bob, &hold, "approve", &[]).await;
    assert_eq!(answered.code, StatusCode::SEE_OTHER, "{}", answered.text);
    let state = carol.get(&format!("{}/state", page_of(&hold))).await.text;
    assert!(
        state.contains(r#"<div id="talk" hx-swap-oob="innerHTML"></div>"#),
        "{state}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_each_rule_once_and_offers_to_break_only_glass_that_there_is() {
    let with = groups::scene("").await;
    let without = Asking::set().await;
    for (scene, is_offered) in [(with, true), (without, false)] {
        let hold = scene.held("call", "US13").await;
        let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
        let page = bob.get(&page_of(&hold)).await.text;
        assert_eq!(page.contains("Break the glass"), is_offered, "{page}");
        let rule = "the user did not name this account";
        assert_eq!(page.matches(rule).count(), 1, "{page}");
        let action = hold.action.unwrap();
        for link in [
            format!("/tasks/{}", action.task_id),
            format!("/decisions/{}", hold.decision_id),
        ] {
            assert!(page.contains(&format!("href=\"{link}\"")), "{link}: {page}");
        }
    }
}
