//! A call has one name for as long as it waits, and what is remembered is bounded.

use checkrein_shared::ManualClock;

use super::*;
use crate::fixture::{AGENT, NOW_MS};

fn call(task: TaskId, arguments: &str) -> Sameness {
    Sameness::of(
        (&AGENT.parse().unwrap(), task),
        "bank/pay",
        arguments.as_bytes(),
        "",
    )
    .unwrap()
}

fn task() -> TaskId {
    TaskId::new(&ManualClock::at(NOW_MS))
}

#[test]
fn a_call_that_waits_keeps_its_name_until_what_came_of_it_is_told() {
    let (again, task) = (Again::new("test"), task());
    let first = again.ask(call(task, r#"{"a":1,"b":2}"#)).unwrap();
    let name = first.call_id();
    first.waits();
    drop(first);
    let second = again.ask(call(task, r#"{ "b":2, "a":1 }"#)).unwrap();
    assert_eq!(second.call_id(), name, "the same arguments in another spelling");
    second.is_over();
    drop(second);
    assert_ne!(again.ask(call(task, r#"{"a":1,"b":2}"#)).unwrap().call_id(), name);
}

#[test]
fn calls_that_are_asked_for_at_once_have_one_name_and_one_that_waits_for_nobody_is_forgotten() {
    let (again, task) = (Again::new("test"), task());
    let first = again.ask(call(task, "{}")).unwrap();
    let second = again.ask(call(task, "{}")).unwrap();
    assert_eq!(first.call_id(), second.call_id());
    drop(first);
    assert_eq!(again.calls().by_sameness.len(), 1);
    drop(second);
    assert!(again.calls().by_sameness.is_empty());
}

#[test]
fn one_that_is_over_does_not_take_the_next_of_its_kind_with_it() {
    let (again, task) = (Again::new("test"), task());
    let late = again.ask(call(task, "{}")).unwrap();
    late.is_over();
    let next = again.ask(call(task, "{}")).unwrap();
    next.waits();
    let name = next.call_id();
    late.is_over();
    drop((late, next));
    assert_eq!(again.ask(call(task, "{}")).unwrap().call_id(), name);
}

#[test]
fn another_agent_or_task_or_argument_is_another_call() {
    let again = Again::new("test");
    let (one, other) = (task(), TaskId::new(&ManualClock::at(NOW_MS + 1)));
    let first = again.ask(call(one, "{}")).unwrap();
    let mut theirs = call(one, "{}");
    theirs.agent = "spiffe://acme.example/agent/other".parse().unwrap();
    for another in [theirs, call(other, "{}"), call(one, r#"{"a":1}"#)] {
        assert_ne!(again.ask(another).unwrap().call_id(), first.call_id());
    }
}

#[test]
fn beyond_the_bound_the_oldest_that_nobody_asks_for_is_forgotten() {
    let (again, task) = (Again::new("test"), task());
    let arguments = |number: usize| format!(r#"{{"a":{number}}}"#);
    let names: Vec<String> = (0..CALLS_MAX)
        .map(|number| {
            let asks = again.ask(call(task, &arguments(number))).unwrap();
            asks.waits();
            asks.call_id()
        })
        .collect();
    let kept = again.ask(call(task, &arguments(0))).unwrap();
    let one_more = again.ask(call(task, &arguments(CALLS_MAX))).unwrap();
    assert_eq!(again.calls().by_sameness.len(), CALLS_MAX);
    assert_eq!(kept.call_id(), names[0]);
    assert_ne!(again.ask(call(task, &arguments(1))).unwrap().call_id(), names[1]);
    drop(one_more);
}
