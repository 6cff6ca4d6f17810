//! Replicas that tell people by themselves.

use checkrein_proto::hold::v1::consume_response::Result as Answer;
use checkrein_proto::hold::v1::{ListNotificationsRequest, State, TestChannelRequest};
use checkrein_tests::{Person, World, WorldOptions, fresh_key, payments};
use tonic::Code;

use super::peer::Peer;
use super::receiver::{Receiver, Reply};
use super::{SECRET, webhook};
use crate::flows::asking::Asking;

/// A world whose replicas have these channels.
async fn asking(channels: &str) -> (Asking, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notifications.toml");
    std::fs::write(directory.path().join("secret"), SECRET).unwrap();
    std::fs::write(&file, channels).unwrap();
    let options = WorldOptions {
        notifications: Some(file),
        ..WorldOptions::default()
    };
    let world = World::with(options).await.unwrap();
    (Asking::set_in(world, &payments().unwrap()).await, directory)
}

async fn test(person: &Person, channel: &str) -> Result<String, tonic::Status> {
    let request = TestChannelRequest {
        channel: channel.to_owned(),
        idempotency_key: fresh_key(),
    };
    let tested = person.notifications().test_channel(request).await?.into_inner();
    assert_eq!(tested.delivered, tested.error.is_empty());
    Ok(tested.error)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_tell_of_a_hold_once_and_of_its_answer() {
    let mut receiver = Receiver::plain().await;
    let (mut scene, _files) = asking(&webhook("pager", &receiver, "")).await;
    scene.world.add_replica().await.unwrap();
    // A channel whose replica looked once has its place in the log.
    crate::flows::asking::until(
        &scene.sql().await,
        "SELECT count(*) FROM notification_cursor",
        &[],
    )
    .await;
    let hold = scene.held("call", "US13").await;
    let opened = receiver.next().await;
    assert_eq!(opened.json()["subject"], hold.hold_id);
    scene.approve(&hold).await.unwrap();
    let approved = receiver.next().await;
    assert_eq!(approved.json()["type"], "checkrein.hold.approved");
    assert_eq!(
        approved.json()["data"]["by"][0],
        "spiffe://acme.example/approver/bob"
    );
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_are_answered_and_used_while_nobody_can_be_told() {
    let receiver = Receiver::plain().await;
    for _ in 0..100 {
        receiver.will(Reply::Status(500, ""));
    }
    let (scene, _files) = asking(&webhook("pager", &receiver, "")).await;
    let hold = scene.held("call", "US13").await;
    scene.approve(&hold).await.unwrap();
    // The worst: what people are told can't even be written down.
    for broken in ["notice", "notification"] {
        let rename = format!("ALTER TABLE {broken} RENAME TO {broken}_gone");
        scene.sql().await.execute(&rename, &[]).await.unwrap();
    }
    let other = scene.held("other", "US14").await;
    scene.deny(&other).await.unwrap();
    assert_eq!(scene.state(&other).await, State::Denied);
    let consumed = scene.consume(scene.consume_request(&hold)).await.unwrap();
    assert!(!matches!(consumed, Answer::Refused(_)), "{consumed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_tried_by_an_operator_and_by_nobody_else() {
    let mut receiver = Receiver::plain().await;
    let (scene, _files) = asking(&webhook("pager", &receiver, "")).await;
    assert_eq!(test(&scene.operator, "pager").await.unwrap(), "");
    assert_eq!(receiver.next().await.json()["type"], "checkrein.test");
    receiver.will(Reply::Status(401, ""));
    assert!(test(&scene.operator, "pager").await.unwrap().contains("401"));
    let unknown = test(&scene.operator, "nobody").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let bob = scene.world.approver("bob").await.unwrap();
    assert_eq!(
        test(&bob, "pager").await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let list = ListNotificationsRequest::default();
    let refused = bob.notifications().list_notifications(list).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_a_channel_says_which_of_its_recipients_does_not_get_it() {
    let (mut mailbox, port) = Peer::mailbox(&["none"]).await;
    let channel = format!(
        "[email.desk]\nserver = \"localhost\"\nport = {port}\ntls = \"none\"\nfrom = \"checkrein@acme.example\"\n\
         to = [\"refused@acme.example\", \"desk@acme.example\"]\n"
    );
    let (scene, _files) = asking(&channel).await;
    let why = test(&scene.operator, "desk").await.unwrap();
    assert!(
        why.starts_with("`refused@acme.example`: ") && why.contains("550"),
        "{why}"
    );
    assert!(!why.contains("desk@"), "{why}");
    assert_eq!(mailbox.mail().await["to"][0], "desk@acme.example");
}
