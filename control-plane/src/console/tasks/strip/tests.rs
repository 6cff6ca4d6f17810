//! What the drawing of a timeline shows.

use super::*;

fn event(at_ms: u64, who: &str, verdict: &'static str) -> ToldEvent {
    ToldEvent {
        at_ms,
        after: format!("+{at_ms}"),
        who: who.to_owned(),
        what: "bank/pay".to_owned(),
        verdict,
        outcome: "",
        labels: String::new(),
        why: String::new(),
        decision: String::new(),
        hold: String::new(),
    }
}

#[test]
fn the_first_event_is_at_the_left_and_the_last_at_the_right() {
    let strip = Strip::of(&[
        event(10, "a", "permit"),
        event(15, "b", "deny"),
        event(20, "a", "hold"),
    ])
    .unwrap();
    let marks: Vec<_> = strip
        .lines
        .iter()
        .flat_map(|line| line.marks.iter().map(|mark| (&*line.who, mark.x, mark.class)))
        .collect();
    assert_eq!(marks, [("a", 0, "good"), ("a", 700, "wait"), ("b", 350, "bad")]);
}

#[test]
fn many_who_act_and_act_often_are_drawn_within_bounds_and_nothing_is_not_drawn() {
    let events: Vec<_> = (0..2_000)
        .map(|n| event(n, &format!("agent-{}", n % 50), "permit"))
        .collect();
    let strip = Strip::of(&events).unwrap();
    assert_eq!(strip.lines.len(), LINES_MAX);
    assert!(Strip::of(&[]).is_none());
    assert!(
        Strip::of(&[event(7, "a", "")]).is_some(),
        "a moment alone has no length"
    );
}
