//! Policy is as old as its last honest confirmation, whatever clocks and replicas do.

use std::sync::Arc;

use checkrein_shared::ManualClock;

use super::*;

fn clock() -> ManualClock {
    let clock = ManualClock::at(1_000_000);
    clock.advance_ms(5_000);
    clock
}

fn fresh(clock: &ManualClock, remembered: Option<Remembered>) -> Freshness {
    Freshness::new(Arc::new(clock.clone()), remembered)
}

#[test]
fn age_counts_from_before_the_question_and_the_replicas_own_read() {
    let clock = clock();
    let freshness = fresh(&clock, None);
    assert_eq!(freshness.age_ms(), u64::MAX, "never confirmed");
    let asked = freshness.ask();
    clock.advance_ms(40);
    assert!(freshness.confirm(asked, 200));
    assert_eq!(freshness.age_ms(), 240);
    clock.advance_ms(1_000);
    assert_eq!(freshness.age_ms(), 1_240);
}

#[test]
fn only_an_answer_to_our_own_recent_question_counts() {
    let clock = clock();
    let freshness = fresh(&clock, None);
    let asked = freshness.ask();
    assert!(!freshness.confirm(0, 0), "unasked");
    assert!(!freshness.confirm(asked + 1, 0), "not ours");
    assert!(!freshness.confirm(asked, 1_000), "the replica's read is too old");
    assert!(freshness.confirm(asked, 999));
    assert!(!freshness.confirm(asked, 0), "answered already");
    let on_the_old_stream = freshness.ask();
    freshness.forget_questions();
    assert!(!freshness.confirm(on_the_old_stream, 0));
}

#[test]
fn a_late_answer_never_makes_policy_older() {
    let clock = clock();
    let freshness = fresh(&clock, None);
    let first = freshness.ask();
    clock.advance_ms(10);
    let second = freshness.ask();
    assert!(freshness.confirm(second, 0));
    assert!(!freshness.confirm(first, 0));
    assert_eq!(freshness.age_ms(), 0);
}

#[test]
fn a_restart_goes_on_by_the_wall_clock_and_never_gets_younger() {
    let clock = clock();
    let freshness = fresh(&clock, None);
    let asked = freshness.ask();
    assert!(freshness.confirm(asked, 0));
    clock.advance_ms(3_000);
    let remembered = freshness.remembered().unwrap();
    assert_eq!(remembered.age_ms, 3_000);
    clock.advance_ms(7_000);
    let after = fresh(&clock, Some(remembered));
    assert_eq!(after.age_ms(), 10_000);
    clock.set_wall_ms(1);
    let set_back = fresh(&clock, Some(remembered));
    assert_eq!(set_back.age_ms(), 3_000, "no less than what was written down");
    clock.advance_ms(500);
    assert_eq!(set_back.age_ms(), 3_500, "and it grows from there");
}
