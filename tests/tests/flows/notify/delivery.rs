//! From a hold to its receiver: once in effect, again after a failure, and not for ever.

use checkrein_proto::hold::v1::{NotificationState, RetryNotificationsRequest};
use checkrein_tests::fresh_key;

use super::peer::Peer;
use super::receiver::{Receiver, Reply};
use super::{SECRET, Telling, webhook};

const HOUR_MS: u64 = 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_told_once_to_each_channel_whichever_replicas_are_at_it() {
    let scene = Telling::set().await;
    let (mut one, mut other) = (
        Receiver::secure(scene.asking.world.path()).await,
        Receiver::plain().await,
    );
    let channels = webhook("one", &one, "groups = [\"treasury\"]")
        + &webhook("other", &other, "")
        + &webhook("elsewhere", &other, "groups = [\"legal\"]");
    let (first, second) = (scene.notifier(&channels), scene.notifier(&channels));
    let hold = scene.asking.held("call", "US13").await;

    let gathered = tokio::join!(first.gather(), second.gather());
    assert_eq!(gathered.0.unwrap() + gathered.1.unwrap(), 1);
    assert_eq!(first.gather().await.unwrap() + second.gather().await.unwrap(), 0);
    let (a, b, c, d) = tokio::join!(
        first.deliver("one"),
        second.deliver("one"),
        first.deliver("other"),
        second.deliver("other")
    );
    assert_eq!(a.unwrap() + b.unwrap(), 1);
    assert_eq!(c.unwrap() + d.unwrap(), 1);

    let (told, again) = (one.next().await, other.next().await);
    assert!(one.is_quiet() && other.is_quiet());
    assert_ne!(told.id(), again.id(), "each message has an id of its own");
    let mut verifier = Peer::verifier(SECRET);
    assert_eq!(verifier.judge(&told).await, "good");
    let mut forged = told.clone();
    forged.body = forged.body.replace("US13", "US14").replace("treasury", "mallory");
    assert!(verifier.judge(&forged).await.starts_with("bad"));

    assert_eq!(told.path, "/in");
    assert_eq!(
        told.headers["content-type"],
        "application/cloudevents+json; charset=utf-8"
    );
    let event = told.json();
    assert_eq!(event["id"], told.id());
    assert_eq!(event["type"], "checkrein.hold.opened");
    assert_eq!(event["source"], "spiffe://acme.example/control-plane");
    assert_eq!(event["subject"], hold.hold_id);
    let link = format!("https://checkrein.acme.example/holds/{}", hold.hold_id);
    assert_eq!(event["data"]["link"], link);
    assert_eq!(event["data"]["tool"], "bank/send_money");
    assert_eq!(event["data"]["groups"][0], "treasury");
    // No argument of the action, whatever it is.
    assert!(
        !told.body.contains("US13") && !told.body.contains("amount"),
        "{}",
        told.body
    );
    let listed = scene.listed(false).await;
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .all(|one| one.state() == NotificationState::Sent && one.attempts == 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_tried_again_later_with_the_same_id_and_body() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::plain().await;
    let notifier = scene.notifier(&webhook("pager", &receiver, ""));
    scene.asking.held("call", "US13").await;
    notifier.gather().await.unwrap();
    receiver.will(Reply::Status(500, ""));
    receiver.will(Reply::Status(429, "retry-after: 600\r\n"));

    assert_eq!(notifier.deliver("pager").await.unwrap(), 1);
    let first = receiver.next().await;
    assert_eq!(notifier.deliver("pager").await.unwrap(), 0, "not at once");
    let waiting = &scene.listed(false).await[0];
    assert!(waiting.last_error.contains("500"), "{}", waiting.last_error);

    scene.clock.advance_ms(5_000);
    assert_eq!(notifier.deliver("pager").await.unwrap(), 1);
    let second = receiver.next().await;
    // The receiver asked to be left alone for ten minutes.
    scene.clock.advance_ms(599_000);
    assert_eq!(notifier.deliver("pager").await.unwrap(), 0);
    scene.clock.advance_ms(1_000);
    assert_eq!(notifier.deliver("pager").await.unwrap(), 1);
    let third = receiver.next().await;
    assert_eq!((first.id(), &first.body), (second.id(), &second.body));
    assert_eq!((first.id(), &first.body), (third.id(), &third.body));
    let listed = &scene.listed(false).await[0];
    assert_eq!((listed.state(), listed.attempts), (NotificationState::Sent, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_ever_is_given_up_listed_and_tried_anew_when_somebody_asks() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::plain().await;
    let notifier = scene.notifier(&webhook("pager", &receiver, ""));
    scene.asking.held("call", "US13").await;
    notifier.gather().await.unwrap();
    let mut tries = 0;
    while scene.listed(true).await.is_empty() {
        receiver.will(Reply::Status(503, ""));
        tries += notifier.deliver("pager").await.unwrap();
        scene.clock.advance_ms(HOUR_MS);
        assert!(tries <= 12, "a message is tried for ever");
    }
    assert_eq!(tries, 12);
    let dead = scene.listed(true).await.remove(0);
    assert_eq!(dead.state(), NotificationState::Dead);
    assert!(dead.last_error.contains("503"), "{}", dead.last_error);
    assert_eq!(notifier.deliver("pager").await.unwrap(), 0);
    while !receiver.is_quiet() {}

    let request = RetryNotificationsRequest {
        notification_id: dead.notification_id.clone(),
        all_dead: false,
        idempotency_key: fresh_key(),
    };
    let retry = async || {
        let mut client = scene.asking.operator.notifications();
        client
            .retry_notifications(request.clone())
            .await
            .unwrap()
            .into_inner()
            .retried
    };
    assert_eq!((retry().await, retry().await), (1, 1), "the same request is one");
    // The operator's clock is the machine's, and the test's is ahead.
    assert_eq!(notifier.deliver("pager").await.unwrap(), 1);
    assert_eq!(receiver.next().await.id(), dead.notification_id);
    assert!(scene.listed(true).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_took_with_it_is_delivered_by_another_under_the_same_id() {
    let scene = Telling::set().await;
    let (mut silent, mut good) = (Receiver::plain().await, Receiver::plain().await);
    let doomed = scene.notifier(&webhook("pager", &silent, ""));
    let other = scene.notifier(&webhook("pager", &good, ""));
    scene.asking.held("call", "US13").await;
    doomed.gather().await.unwrap();
    silent.will(Reply::Silence);
    let dying = tokio::spawn(async move { doomed.deliver("pager").await });
    let taken = silent.next().await;
    dying.abort();
    assert_eq!(other.deliver("pager").await.unwrap(), 0, "it is in other hands");
    scene.clock.advance_ms(60_001);
    assert_eq!(other.deliver("pager").await.unwrap(), 1);
    assert_eq!(good.next().await.id(), taken.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_wants_no_more_gets_no_more_until_a_test_reaches_it() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::plain().await;
    let notifier = scene.notifier(&webhook("pager", &receiver, ""));
    receiver.will(Reply::Status(410, ""));
    for call in ["one", "two"] {
        scene.asking.held(call, "US13").await;
        notifier.gather().await.unwrap();
        notifier.deliver("pager").await.unwrap();
    }
    receiver.next().await;
    assert!(receiver.is_quiet(), "it is off");
    let dead = scene.listed(true).await;
    assert_eq!(dead.len(), 2);
    assert!(dead.iter().all(|one| one.last_error.contains("410")));
    // A channel of the same name that leads elsewhere is another.
    let mut elsewhere = Receiver::plain().await;
    let moved = scene.notifier(&webhook("pager", &elsewhere, ""));
    scene.asking.held("three", "US13").await;
    moved.gather().await.unwrap();
    assert_eq!(moved.deliver("pager").await.unwrap(), 1);
    elsewhere.next().await;
}
