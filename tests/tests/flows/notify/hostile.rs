//! Receivers that are not what they should be.

use std::time::Duration;

use checkrein_proto::hold::v1::State;
use checkrein_tests::WAIT_MAX;
use tokio::time::timeout;

use super::receiver::{Receiver, Reply, certified};
use super::{SECRET, Telling, webhook};

/// A webhook to this URL, with no internal network allowed.
fn strict(url: &str, rest: &str) -> String {
    format!("[webhook.pager]\nurl = \"{url}\"\nsecret_files = [\"secret\"]\n{rest}\n")
}

/// Holds something, tries to tell, and gives why that failed.
async fn failure(scene: &Telling, channels: &str) -> String {
    let notifier = scene.notifier(channels);
    scene.asking.held("call", "US13").await;
    notifier.gather().await.unwrap();
    assert_eq!(notifier.deliver("pager").await.unwrap(), 1);
    scene.listed(false).await.remove(0).last_error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::secure(scene.asking.world.path()).await;
    let ca = format!("ca = \"{}\"", receiver.ca.clone().unwrap().display());
    let url = format!("https://localhost:{}/in", receiver.address.port());
    let why = failure(&scene, &strict(&url, &ca)).await;
    assert!(
        why.contains("an internal address") && why.contains("allow_internal"),
        "{why}"
    );
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let scene = Telling::set().await;
    let (receiver, mut elsewhere) = (Receiver::plain().await, Receiver::plain().await);
    receiver.will(Reply::To(format!("http://{}/in", elsewhere.address)));
    let why = failure(&scene, &webhook("pager", &receiver, "")).await;
    assert!(
        why.contains("302") && why.contains("redirects are not followed"),
        "{why}"
    );
    assert!(elsewhere.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_is_not_believed() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::secure(scene.asking.world.path()).await;
    // The same file with another CA.
    certified(scene.asking.world.path());
    let why = failure(&scene, &webhook("pager", &receiver, "")).await;
    assert!(why.contains("no TLS"), "{why}");
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_answers_without_end_is_not_listened_to_without_end() {
    let scene = Telling::set().await;
    let receiver = Receiver::plain().await;
    receiver.will(Reply::Endless);
    let why = failure(&scene, &webhook("pager", &receiver, "")).await;
    assert!(why.contains("longer than it may be"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_delays_no_other_channel_and_no_vote() {
    let scene = Telling::set().await;
    let (mut silent, mut good) = (Receiver::plain().await, Receiver::plain().await);
    silent.will(Reply::Silence);
    let channels = webhook("pager", &silent, "") + &webhook("good", &good, "");
    let notifier = scene.notifier(&channels);
    let hold = scene.asking.held("call", "US13").await;
    notifier.gather().await.unwrap();
    let stuck = notifier.clone();
    let stuck = tokio::spawn(async move { stuck.deliver("pager").await });
    silent.next().await;

    assert_eq!(notifier.deliver("good").await.unwrap(), 1);
    good.next().await;
    scene.asking.approve(&hold).await.unwrap();
    assert_eq!(scene.asking.state(&hold).await, State::Approved);
    assert!(!stuck.is_finished());
    stuck.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_is_waited_for_within_a_bound() {
    let scene = Telling::set().await;
    let silent = Receiver::plain().await;
    silent.will(Reply::Silence);
    let notifier = scene.notifier(&webhook("pager", &silent, ""));
    let notifier = notifier.delivering_within(Duration::from_millis(50));
    scene.asking.held("call", "US13").await;
    notifier.gather().await.unwrap();
    let ended = timeout(WAIT_MAX, notifier.deliver("pager")).await.unwrap();
    assert_eq!(ended.unwrap(), 1);
    let listed = scene.listed(false).await;
    let waiting = listed.iter().find(|one| one.channel == "pager").unwrap();
    assert!(
        waiting.last_error.contains("no answer within 50ms"),
        "{}",
        waiting.last_error
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_get_their_own_form_and_their_url_is_nowhere_else() {
    let scene = Telling::set().await;
    let (mut slack, mut teams) = (Receiver::plain().await, Receiver::plain().await);
    let mut channels = Vec::new();
    for (form, receiver) in [("slack", &slack), ("teams", &teams)] {
        let url = format!("http://{}/very-secret", receiver.address);
        std::fs::write(scene.asking.world.path().join(form), url).unwrap();
        channels.push(format!(
            "[{form}.{form}]\nurl_file = \"{form}\"\nallow_internal = [\"127.0.0.0/8\"]\n"
        ));
    }
    let notifier = scene.notifier(&channels.concat());
    scene.asking.held("call", "US13").await;
    notifier.gather().await.unwrap();
    slack.will(Reply::Status(404, ""));
    notifier.deliver("slack").await.unwrap();
    notifier.deliver("teams").await.unwrap();
    let (told, card) = (slack.next().await, teams.next().await);
    assert_eq!(told.path, "/very-secret");
    assert!(told.json()["blocks"].is_array());
    assert_eq!(
        card.json()["attachments"][0]["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    let shown = format!("{:?} {notifier:?}", scene.listed(false).await);
    assert!(shown.contains("404") && !shown.contains("very-secret"), "{shown}");
    assert!(!shown.contains(SECRET));
}
