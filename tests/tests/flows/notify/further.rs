//! Groups that no rule names: they are told when they are asked, once, and only where it is for them.

use checkrein_proto::hold::v1::Requirement;
use serde_json::Value;

use super::receiver::Receiver;
use super::{Telling, webhook};
use crate::flows::asking::open;
use crate::flows::hold::groups::{self, around_now, held_earlier, vote};

const ESCALATES: &str = "escalate_after = \"10m\"\nescalate_to = \"board\"";
const EVENTS: &str = r#"events = ["hold.opened", "hold.escalated", "hold.approved"]"#;

/// Whatever one channel was told since, as it came.
async fn told(scene: &Telling, channels: &str, receiver: &mut Receiver, channel: &str) -> Vec<Value> {
    let notifier = scene.notifier(channels);
    while notifier.gather().await.unwrap() > 0 {}
    let mut told = Vec::new();
    loop {
        let sent = notifier.deliver(channel).await.unwrap();
        if sent == 0 {
            return told;
        }
        for _ in 0..sent {
            told.push(receiver.next().await.json());
        }
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap().trim_start_matches("checkrein."))
        .collect();
    kinds.sort_unstable();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_group_is_told_once_when_it_is_asked_and_only_where_channels_are_for_it() {
    let scene = Telling::of(groups::scene(ESCALATES).await).await;
    let (mut treasury, mut board) = (Receiver::plain().await, Receiver::plain().await);
    let channels = webhook(
        "treasury",
        &treasury,
        &format!("groups = [\"treasury\"]\n{EVENTS}"),
    ) + &webhook("board", &board, &format!("groups = [\"board\"]\n{EVENTS}"));
    let hold = scene.asking.held("call", "US13").await;
    let news = told(&scene, &channels, &mut treasury, "treasury").await;
    assert_eq!(kinds(&news), ["hold.opened"]);
    assert_eq!(
        told(&scene, &channels, &mut board, "board").await,
        [Value::Null; 0]
    );

    held_earlier(&scene.asking, 10).await;
    // Two replicas at once, and one that was started again.
    let (first, second) = (scene.notifier(&channels), scene.notifier(&channels));
    let (one, other) = tokio::join!(first.gather(), second.gather());
    assert!(one.unwrap() + other.unwrap() > 0);
    let news = told(&scene, &channels, &mut board, "board").await;
    assert_eq!(kinds(&news), ["hold.escalated"]);
    assert_eq!(news[0]["subject"], hold.hold_id);
    assert_eq!(news[0]["data"]["groups"], serde_json::json!(["board"]));
    assert_eq!(news[0]["data"]["note"], "`treasury` did not answer within 10m");
    assert!(news[0]["data"]["decide_by"].is_string());
    let news = told(&scene, &channels, &mut treasury, "treasury").await;
    assert_eq!(news, [Value::Null; 0], "it is not for this channel");

    // Whoever was asked hears what became of it.
    vote(&scene.asking, "frank", &hold, true).await.unwrap();
    for (receiver, channel) in [(&mut board, "board"), (&mut treasury, "treasury")] {
        let news = told(&scene, &channels, receiver, channel).await;
        assert_eq!(kinds(&news), ["hold.approved"], "{channel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_the_group_on_call_is_told_at_once() {
    let (before, after) = around_now();
    let quiet = format!("quiet = {{ from = \"{before}\", to = \"{after}\", escalate_to = \"board\" }}");
    let scene = Telling::of(groups::scene(&quiet).await).await;
    let mut board = Receiver::plain().await;
    let channels = webhook("board", &board, &format!("groups = [\"board\"]\n{EVENTS}"));
    scene.asking.held("call", "US13").await;
    let news = told(&scene, &channels, &mut board, "board").await;
    assert_eq!(kinds(&news), ["hold.escalated"]);
    let note = "`treasury` has not answered, and these are quiet hours";
    assert_eq!(news[0]["data"]["note"], note);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_told_while_the_group_that_others_are_asked_for_has_answered() {
    let night = "escalate_after = \"10m\"\nescalate_to = \"night\"\n\
                 [groups.night]\nmembers = [\"spiffe://acme.example/approver/heidi\"]";
    let scene = Telling::of(groups::scene(night).await).await;
    let mut receiver = Receiver::plain().await;
    let channels = webhook("night", &receiver, &format!("groups = [\"night\"]\n{EVENTS}"));
    let by_two = |call: &str| {
        let mut request = open(&scene.asking.started, call, "US13");
        let board = Requirement {
            group: "board".to_owned(),
            rule: "board-too".to_owned(),
            ..request.requirements[0].clone()
        };
        request.requirements.push(board);
        request
    };
    let answered = scene.asking.opened(by_two("answered")).await;
    let silent = scene.asking.opened(by_two("silent")).await;
    vote(&scene.asking, "bob", &answered, true).await.unwrap();
    held_earlier(&scene.asking, 11).await;
    let news = told(&scene, &channels, &mut receiver, "night").await;
    assert_eq!(kinds(&news), ["hold.escalated"]);
    assert_eq!(news[0]["subject"], silent.hold_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_break_the_glass_is_told_of_the_first_who_wants_to_and_of_what_comes_of_it() {
    let scene = Telling::of(groups::scene("").await).await;
    let (mut board, mut legal) = (Receiver::plain().await, Receiver::plain().await);
    let channels =
        webhook("board", &board, "groups = [\"board\"]") + &webhook("legal", &legal, "groups = [\"legal\"]");
    let hold = scene.asking.held("call", "US13").await;
    assert_eq!(
        told(&scene, &channels, &mut board, "board").await,
        [Value::Null; 0]
    );
    let frank = scene.asking.world.approver("frank").await.unwrap();
    groups::break_glass(&frank, &hold).await.unwrap();
    let news = told(&scene, &channels, &mut board, "board").await;
    assert_eq!(kinds(&news), ["hold.glass_requested"]);
    let data = &news[0]["data"];
    assert_eq!(data["by"][0], "spiffe://acme.example/approver/frank");
    assert_eq!(data["said"], "payroll is due");
    assert_eq!(data["note"], "two of `board` can let it happen");
    assert_eq!(
        told(&scene, &channels, &mut board, "board").await,
        [Value::Null; 0],
        "once"
    );
    let grace = scene.asking.world.approver("grace").await.unwrap();
    groups::break_glass(&grace, &hold).await.unwrap();
    let news = told(&scene, &channels, &mut board, "board").await;
    assert_eq!(kinds(&news), ["hold.glass_broken"]);
    assert_eq!(
        told(&scene, &channels, &mut legal, "legal").await,
        [Value::Null; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_break_the_glass_is_reminded_when_nobody_has_answered() {
    let scene = Telling::of(groups::scene("").await).await;
    let mut board = Receiver::plain().await;
    let channels = webhook("board", &board, "groups = [\"board\"]");
    scene.asking.held("call", "US13").await;
    assert_eq!(
        told(&scene, &channels, &mut board, "board").await,
        [Value::Null; 0]
    );
    held_earlier(&scene.asking, 11).await;
    let news = told(&scene, &channels, &mut board, "board").await;
    assert_eq!(kinds(&news), ["hold.reminder"]);
    let note = "if nobody answers, two of `board` may break the glass";
    assert_eq!(news[0]["data"]["note"], note);
}
