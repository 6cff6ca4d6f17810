//! A database that goes away while a message is under way, and comes back.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use checkrein_control_plane::postgres::{Options, PrivatePostgres};
use checkrein_proto::hold::v1::NotificationState;
use checkrein_tests::{World, WorldOptions, payments};

use super::receiver::{Receiver, Reply};
use super::{Telling, webhook};
use crate::flows::asking::Asking;

/// A server whose data stays in the directory; it is reached by one name, wherever it listens.
async fn server(directory: &Path) -> (PrivatePostgres, String) {
    let server = PrivatePostgres::start(Options::kept_in(directory.join("postgres")))
        .await
        .unwrap();
    let reach = server.database("told").await.unwrap();
    let listens = reach.split(' ').find_map(|part| part.strip_prefix("host="));
    let listens = listens.unwrap().to_owned();
    let name = directory.join("s");
    let _new = std::fs::remove_file(&name);
    symlink(&listens, &name).unwrap();
    let reach = reach.replace(&listens, name.to_str().unwrap());
    (server, reach)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_restarted_in_the_middle_of_a_delivery_loses_nothing_and_tells_once() {
    let directory = tempfile::tempdir().unwrap();
    // The server's account has to get in.
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (postgres, reach) = server(directory.path()).await;
    let options = WorldOptions {
        database_url: Some(reach),
        ..WorldOptions::default()
    };
    let world = World::with(options).await.unwrap();
    let scene = Telling::of(Asking::set_in(world, &payments().unwrap()).await).await;
    let mut receiver = Receiver::plain().await;
    let notifier = scene.notifier(&webhook("pager", &receiver, ""));
    let first = scene.asking.held("first", "A").await;
    notifier.gather().await.unwrap();
    // Held, and not yet gathered.
    let second = scene.asking.held("second", "B").await;

    let answer = receiver.will_when_told(Reply::Status(204, ""));
    let under_way = notifier.clone();
    let under_way = tokio::spawn(async move { under_way.deliver("pager").await });
    let taken = receiver.next().await;
    postgres.stop().await;
    answer.send(()).unwrap();
    let lost = under_way.await.unwrap();
    assert!(lost.is_err(), "what came of it was written down: {lost:?}");
    assert!(notifier.gather().await.is_err());

    let (_postgres, _reach) = server(directory.path()).await;
    let mut told = vec![taken.clone()];
    // Other hands come to it when the lease is over.
    for _ in 0..2 {
        while notifier.gather().await.unwrap() > 0 {}
        for _ in 0..notifier.deliver("pager").await.unwrap() {
            told.push(receiver.next().await);
        }
        scene.clock.advance_ms(60_001);
    }
    assert!(receiver.is_quiet());
    let about = |hold: &str| {
        let about = told.iter().filter(|one| one.json()["subject"] == *hold);
        about.map(|one| one.id().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(told.len(), 3, "one of them twice");
    assert_eq!(about(&first.hold_id), BTreeSet::from([taken.id().to_owned()]));
    assert_eq!(about(&second.hold_id).len(), 1);
    let listed = scene.listed(false).await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|one| one.state() == NotificationState::Sent));
}
