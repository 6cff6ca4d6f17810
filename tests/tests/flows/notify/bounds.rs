//! What waits, what is kept and what is given up has bounds, and nothing that is broken stands in the way of the rest.

use checkrein_proto::hold::v1::{NotificationState, RetryNotificationsRequest};
use checkrein_tests::fresh_key;
use tokio_postgres::Client;

use super::receiver::Receiver;
use super::{Telling, webhook};

const DAY_MS: u64 = 24 * 3_600_000;

async fn count(sql: &Client, what: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {what}");
    sql.query_one(&count, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_steps_than_are_looked_at_in_one_go_are_all_told() {
    let scene = Telling::set().await;
    let receiver = Receiver::plain().await;
    let notifier = scene.notifier(&webhook("pager", &receiver, ""));
    scene.asking.held("call", "US13").await;
    let sql = scene.asking.sql().await;
    let more = "INSERT INTO hold_event (revision, hold_id, enforcer, state, version, reason, happened_at)
        SELECT revision + n, hold_id, enforcer, state, version + n, reason, happened_at
        FROM hold_event, generate_series(1, 449) AS n";
    assert_eq!(sql.execute(more, &[]).await.unwrap(), 449);
    let mut gathered = Vec::new();
    loop {
        match notifier.gather().await.unwrap() {
            0 => break,
            looked_at => gathered.push(looked_at),
        }
    }
    assert_eq!(gathered, [200, 200, 50]);
    assert_eq!(count(&sql, "notification WHERE state = 'waiting'").await, 450);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_channel_can_not_take_is_given_up_and_listed_and_other_channels_take_it() {
    let scene = Telling::set().await;
    let (receiver, mut other) = (Receiver::plain().await, Receiver::plain().await);
    let notifier = scene.notifier(&(webhook("pager", &receiver, "") + &webhook("other", &other, "")));
    let fill = "WITH made AS (
            INSERT INTO notice (id, kind, hold_id, ordinal, facts, happened_at)
            SELECT gen_random_uuid(), 'hold.opened', gen_random_uuid(), 0, '{}', clock_timestamp()
            FROM generate_series(1, 9999) RETURNING id)
        INSERT INTO notification (id, notice_id, channel, state, made_at, next_at)
        SELECT gen_random_uuid(), id, 'pager', 'waiting', clock_timestamp(), clock_timestamp() FROM made";
    scene.asking.sql().await.execute(fill, &[]).await.unwrap();
    let last = scene.asking.held("last", "A").await;
    notifier.gather().await.unwrap();
    assert!(scene.listed(true).await.is_empty(), "it is not full yet");
    let beyond = scene.asking.held("beyond", "B").await;
    notifier.gather().await.unwrap();
    let dead = scene.listed(true).await;
    assert_eq!(dead.len(), 1);
    assert_eq!((&*dead[0].channel, &dead[0].hold_id), ("pager", &beyond.hold_id));
    assert_eq!(dead[0].last_error, "too many messages wait for the channel");
    assert_eq!(notifier.deliver("other").await.unwrap(), 2);
    let told = [other.next().await, other.next().await].map(|told| told.json()["subject"].clone());
    assert!(told.contains(&last.hold_id.into()) && told.contains(&beyond.hold_id.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_cleared_away_and_what_nobody_came_to_is_given_up() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::plain().await;
    let channels = webhook("pager", &receiver, "") + &webhook("nobody", &receiver, "");
    let notifier = scene.notifier(&channels);
    let hold = scene.asking.held("call", "US13").await;
    notifier.gather().await.unwrap();
    notifier.deliver("pager").await.unwrap();
    receiver.next().await;
    scene.clock.advance_ms(2 * DAY_MS - 60_000);
    assert_eq!(notifier.sweep().await.unwrap(), 0);
    scene.clock.advance_ms(60_000);
    assert_eq!(notifier.sweep().await.unwrap(), 1);
    let dead = scene.listed(true).await;
    assert_eq!(dead.len(), 1);
    assert!(
        dead[0]
            .last_error
            .contains("no replica has a channel of this name")
    );
    assert_eq!(scene.listed(false).await.len(), 2);
    // What was sent is kept for a week, what was given up for thirty days.
    scene.clock.advance_ms(5 * DAY_MS);
    assert_eq!(notifier.sweep().await.unwrap(), 1);
    assert_eq!(scene.listed(false).await.len(), 1);
    scene.clock.advance_ms(25 * DAY_MS);
    assert_eq!(notifier.sweep().await.unwrap(), 1);
    assert!(scene.listed(false).await.is_empty());
    // That it was told is known for as long as the hold waits.
    let sql = scene.asking.sql().await;
    assert_eq!(count(&sql, "notice").await, 1);
    scene.asking.deny(&hold).await.unwrap();
    assert_eq!(notifier.sweep().await.unwrap(), 1);
    assert_eq!(count(&sql, "notice").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_were_given_up_are_tried_anew_at_one_word() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::plain().await;
    let notifier = scene.notifier(&webhook("pager", &receiver, ""));
    for call in ["one", "two", "three"] {
        scene.asking.held(call, call).await;
    }
    notifier.gather().await.unwrap();
    let give_up = "UPDATE notification SET state = 'dead', attempts = 12, ended_at = clock_timestamp()
        WHERE id IN (SELECT id FROM notification ORDER BY id LIMIT 2)";
    scene.asking.sql().await.execute(give_up, &[]).await.unwrap();
    let dead = scene.listed(true).await;
    let mut ids: Vec<String> = dead.into_iter().map(|dead| dead.notification_id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(notifier.deliver("pager").await.unwrap(), 1, "the third one only");
    receiver.next().await;
    let request = RetryNotificationsRequest {
        notification_id: String::new(),
        all_dead: true,
        idempotency_key: fresh_key(),
    };
    let mut client = scene.asking.operator.notifications();
    let retried = client.retry_notifications(request).await.unwrap().into_inner();
    assert_eq!(retried.retried, 2);
    // The replica's clock goes on, and the notifier's stands still.
    scene.clock.advance_ms(60_000);
    assert_eq!(notifier.deliver("pager").await.unwrap(), 2);
    let mut told = [receiver.next().await, receiver.next().await].map(|told| told.id().to_owned());
    told.sort();
    ids.sort();
    assert_eq!(told.to_vec(), ids);
    assert!(receiver.is_quiet() && scene.listed(true).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_only_a_newer_program_knows_is_passed_over_and_said_and_blocks_nothing() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::plain().await;
    let notifier = scene.notifier(&webhook("pager", &receiver, ""));
    scene.asking.held("newer", "A").await;
    notifier.gather().await.unwrap();
    let sql = scene.asking.sql().await;
    let newer = "UPDATE notice SET kind = 'hold.unheard_of'";
    sql.execute(newer, &[]).await.unwrap();
    let known = scene.asking.held("known", "B").await;
    notifier.gather().await.unwrap();
    assert_eq!(notifier.deliver("pager").await.unwrap(), 2);
    assert_eq!(receiver.next().await.json()["subject"], known.hold_id);
    assert!(receiver.is_quiet());
    let listed = scene.listed(false).await;
    let waiting = listed
        .iter()
        .find(|one| one.state() == NotificationState::Waiting)
        .unwrap();
    assert_eq!(waiting.event, "hold.unheard_of");
    assert!(
        waiting
            .last_error
            .contains("knows no event `hold.unheard_of`: a newer one"),
        "{}",
        waiting.last_error
    );
    // A newer program comes in time.
    let known_now = "UPDATE notice SET kind = 'hold.opened' WHERE kind = 'hold.unheard_of'";
    sql.execute(known_now, &[]).await.unwrap();
    scene.clock.advance_ms(10_000);
    assert_eq!(notifier.deliver("pager").await.unwrap(), 1);
    assert_eq!(receiver.next().await.id(), waiting.notification_id);
}
