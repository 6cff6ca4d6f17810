//! A page that is open hears that something changed, for as long as its person may know it, and never what it is.

use checkrein_shared::identity::Role;

use super::browser::Browser;
use crate::flows::asking::Asking;

const CHANGED: &str = "event: holds\ndata: changed\n\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_hears_of_what_is_held_and_of_its_own_hold_alone_if_it_shows_one() {
    let scene = Asking::set().await;
    let bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let mut inbox = bob.listen("/events").await;
    let hold = scene.held("call", "US13").await;
    assert_eq!(inbox.next().await.unwrap(), CHANGED);

    let mut page = bob.listen(&format!("/events?hold={}", hold.hold_id)).await;
    scene.held("other", "DE89").await;
    assert_eq!(inbox.next().await.unwrap(), CHANGED);
    scene.approve(&hold).await.unwrap();
    // The first that the page hears is of its own hold: by then it is answered.
    assert_eq!(page.next().await.unwrap(), CHANGED);
    let shown = bob.clone().get(&format!("/holds/{}/state", hold.hold_id)).await;
    assert!(shown.text.contains("It was approved"), "{}", shown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_out_hears_nothing_more() {
    let scene = Asking::set().await;
    let mut bob = Browser::of(&scene.world, Role::Approver, "bob").await;
    let mut inbox = bob.listen("/events").await;
    let csrf = bob.get("/").await.field("csrf");
    bob.post("/sign-out", &[("csrf", &csrf)]).await;
    scene.held("call", "US13").await;
    assert_eq!(inbox.next().await, None);
}
