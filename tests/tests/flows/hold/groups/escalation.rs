//! Escalation: the next group answers from its moment on, by the database's clock; at night, another one at once.

use super::*;

const ESCALATES: &str = "escalate_after = \"10m\"\nescalate_to = \"board\"";

/// As if it had been held so many minutes earlier. Its deadline stays.
pub(crate) async fn held_earlier(scene: &Asking, minutes: i64) {
    let earlier = "UPDATE hold SET opened_at = opened_at - $1::bigint * interval '1 minute'";
    scene.sql().await.execute(earlier, &[&minutes]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_group_answers_once_nobody_did_for_long_enough_and_it_is_shown_and_kept() {
    let scene = scene(ESCALATES).await;
    let hold = scene.held("call", "US13").await;
    let early = vote(&scene, "frank", &hold, true).await.unwrap_err();
    assert_eq!(early.code(), Code::PermissionDenied, "{early:?}");
    assert!(scene.shown(&hold).await.asked.is_empty());
    held_earlier(&scene, 10).await;
    let shown = scene.shown(&hold).await;
    let asked = &shown.asked[0];
    assert_eq!((&*asked.group, asked.why()), ("board", wire::Why::Unanswered));
    assert_eq!(asked.since_unix_ms, shown.opened_unix_ms + 600_000);
    let approved = vote(&scene, "frank", &hold, true).await.unwrap();
    assert_eq!(approved.state(), wire::State::Approved);
    let capacity = approved.votes[0].capacity.clone().unwrap();
    assert_eq!(
        (&*capacity.group, capacity.why()),
        ("board", wire::Why::Unanswered)
    );
    use_up(&scene, &hold).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_groups_count_together_and_a_policy_without_the_escalation_takes_it_back() {
    let scene = scene(ESCALATES).await;
    let hold = held_for(&scene, "call", 2).await;
    held_earlier(&scene, 11).await;
    vote(&scene, "bob", &hold, true).await.unwrap();
    vote(&scene, "grace", &hold, true).await.unwrap();
    assert_eq!(scene.state(&hold).await, wire::State::Approved);
    let mut pack = payments().unwrap();
    pack.files
        .insert("checkrein.toml".to_owned(), settings("").into_bytes());
    let generation = scene.world.push(&pack).await.unwrap();
    let request = wire::ConsumeRequest {
        generation,
        ..scene.consume_request(&hold)
    };
    let answer = scene.consume(request).await.unwrap();
    assert!(
        matches!(&answer, Consumed::Refused(refusal) if refusal.cause == "hold_cancelled"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_the_group_on_call_is_asked_at_once() {
    let (before, after) = around_now();
    let quiet = format!("quiet = {{ from = \"{before}\", to = \"{after}\", escalate_to = \"board\" }}");
    let scene = scene(&quiet).await;
    let hold = scene.held("call", "US13").await;
    assert_eq!(scene.shown(&hold).await.asked[0].why(), wire::Why::QuietHours);
    vote(&scene, "frank", &hold, true).await.unwrap();
    use_up(&scene, &hold).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_quiet_hours_and_where_a_group_waits_nobody_else_is_asked() {
    let (before, after) = around_now();
    for rules in [
        // The day is the night's other half.
        format!("quiet = {{ from = \"{after}\", to = \"{before}\", escalate_to = \"board\" }}"),
        format!("{ESCALATES}\nquiet = {{ from = \"{before}\", to = \"{after}\", wait = true }}"),
    ] {
        let scene = scene(&rules).await;
        let hold = scene.held("call", "US13").await;
        held_earlier(&scene, 11).await;
        let refused = vote(&scene, "frank", &hold, true).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{rules}");
        vote(&scene, "bob", &hold, true).await.unwrap();
        use_up(&scene, &hold).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_next_group_lets_happen_again_happens_again() {
    let scene = scene(ESCALATES).await;
    let first = scene.held("first", "US13").await;
    held_earlier(&scene, 10).await;
    let terms = wire::Terms {
        for_ms: 3_600_000,
        times: 5,
        ..wire::Terms::default()
    };
    let frank = scene.world.approver("frank").await.unwrap();
    frank
        .vote_with(&first, true, Some(terms))
        .await
        .unwrap()
        .standing
        .unwrap();
    let second = scene.held("second", "US13").await;
    assert_eq!(second.state(), wire::State::Approved);
    use_up(&scene, &second).await.unwrap();
}

/// Three hours before this moment and three after it, UTC, as a clock on the wall shows them.
pub(crate) fn around_now() -> (String, String) {
    use checkrein_shared::{Clock, SystemClock};
    let minute = SystemClock.wall_ms() / 60_000 % 1_440;
    let shown = |minute: u64| format!("{:02}:{:02}", minute / 60, minute % 60);
    (
        shown((minute + 1_440 - 180) % 1_440),
        shown((minute + 180) % 1_440),
    )
}
