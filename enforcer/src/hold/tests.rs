//! A verdict reaches whoever waits for it, whichever comes first.

use checkrein_shared::ManualClock;

use super::*;
use crate::control_plane::Opened;
use crate::fixture::{Bench, notice};

fn view(state: State, version: u64) -> View {
    View::new(state, version, "")
}

fn id() -> HoldId {
    HoldId::new(&ManualClock::at(1))
}

#[tokio::test]
async fn a_verdict_wakes_everyone_who_waits_for_that_hold() {
    let (holds, id) = (Arc::new(Holds::default()), id());
    let mut first = holds.wait(id, view(State::Open, 1)).unwrap();
    let mut second = holds.wait(id, view(State::Open, 1)).unwrap();
    holds.tell(self::id(), view(State::Denied, 2));
    holds.tell(id, view(State::Approved, 2));
    assert_eq!(first.decided().await.state, State::Approved);
    assert_eq!(second.decided().await.state, State::Approved);
}

#[tokio::test]
async fn a_verdict_that_comes_before_its_waiter_is_not_lost() {
    let (holds, id) = (Arc::new(Holds::default()), id());
    holds.tell(id, view(State::Denied, 2));
    let mut waiter = holds.wait(id, view(State::Open, 1)).unwrap();
    assert_eq!(waiter.decided().await.state, State::Denied);
}

#[tokio::test]
async fn an_older_word_changes_nothing() {
    let (holds, id) = (Arc::new(Holds::default()), id());
    let mut waiter = holds.wait(id, view(State::Denied, 3)).unwrap();
    holds.tell(id, view(State::Approved, 2));
    assert_eq!(waiter.decided().await.state, State::Denied);
}

#[tokio::test]
async fn an_older_word_does_not_replace_a_newer_one_that_nobody_waited_for() {
    let (holds, id) = (Arc::new(Holds::default()), id());
    holds.tell(id, view(State::Denied, 3));
    holds.tell(id, view(State::Approved, 2));
    let mut waiter = holds.wait(id, view(State::Open, 1)).unwrap();
    assert_eq!(waiter.decided().await.state, State::Denied);
}

#[test]
fn waiters_are_bounded_and_leave_when_dropped() {
    let (holds, id) = (Arc::new(Holds::default()), id());
    let all: Vec<Waiter> = (0..WAITERS_MAX)
        .map(|_| holds.wait(id, view(State::Open, 1)).unwrap())
        .collect();
    assert!(holds.wait(id, view(State::Open, 1)).is_none());
    assert_eq!(holds.open(), [id]);
    drop(all);
    assert!(holds.open().is_empty());
    assert!(holds.wait(id, view(State::Open, 1)).is_some());
}

#[test]
fn verdicts_nobody_waits_for_are_bounded() {
    let holds = Holds::default();
    for _ in 0..=UNCLAIMED_MAX {
        holds.tell(id(), view(State::Expired, 2));
    }
    assert_eq!(holds.registry().unclaimed.len(), UNCLAIMED_MAX);
}

#[tokio::test]
async fn people_are_told_that_a_call_can_not_be_stopped_and_what_compensates() {
    let bench = Bench::new();
    let id = HoldId::new(&bench.clock);
    let (sender, asked) = std::sync::mpsc::channel();
    bench.authority.on_open(move |ask| {
        sender.send(ask.reason.clone()).unwrap();
        Ok(Opened::Held(notice(id, State::Open, ask)))
    });
    let answer = bench.gate.authorize(bench.pay(500)).await.unwrap();
    let told = asked.recv().unwrap();
    assert!(
        told.starts_with(&answer.decided().reason) && told.contains("can't be stopped"),
        "{told}"
    );
    assert!(
        told.ends_with("the bank takes a payment back within the hour"),
        "{told}"
    );
}
