//! One call, however often it is asked for; what came of it, for whoever asks next.

use super::*;
use crate::fixture::AGENT;

fn sameness(arguments: &str) -> Sameness {
    let task = "task_0190163e95a27c2c8b6c3a5d1f2e4a6b".parse().unwrap();
    let arguments = format!(r#"{{"path":"{arguments}"}}"#);
    let whose = (&AGENT.parse().unwrap(), task);
    Sameness::of(whose, "files/write_file", arguments.as_bytes(), "").unwrap()
}

fn told(bytes: usize) -> Told {
    Told::Result("x".repeat(bytes))
}

#[test]
fn the_same_call_has_one_name_until_what_came_of_it_is_taken() {
    let calls = HeldCalls::new("tag");
    let first = calls.enter(&sameness("a"), None).unwrap();
    let other = calls.enter(&sameness("b"), None).unwrap();
    first.goes_on(Stage::Asked);
    assert_ne!(first.call_id, other.call_id);
    assert_eq!(calls.enter(&sameness("a"), None).unwrap().call_id, first.call_id);
    first.ends(told(1));
    assert!(
        calls.enter(&sameness("a"), None).unwrap().join().is_some(),
        "kept"
    );
    calls.taken(&first);
    let next = calls.enter(&sameness("a"), None).unwrap();
    assert!(next.join().is_none() && next.call_id != first.call_id);
}

#[test]
fn a_call_that_nobody_has_to_look_at_is_forgotten_with_the_last_who_asked() {
    let calls = HeldCalls::new("tag");
    let (one, two) = (
        calls.enter(&sameness("a"), None).unwrap(),
        calls.enter(&sameness("a"), None).unwrap(),
    );
    let name = one.call_id.clone();
    calls.leave(one);
    assert_eq!(calls.enter(&sameness("a"), None).unwrap().call_id, name);
    calls.leave(two);
    assert_ne!(calls.enter(&sameness("a"), None).unwrap().call_id, name);
}

#[test]
fn a_result_that_nobody_is_there_to_take_is_kept_within_a_bound() {
    let calls = HeldCalls::new("tag");
    let call = calls.enter(&sameness("a"), None).unwrap();
    call.ends(told(KEPT_BYTES_MAX));
    assert!(matches!(call.state.borrow().stage, Stage::Ended(Told::Result(_))));
    call.ends(told(KEPT_BYTES_MAX + 1));
    assert!(matches!(
        call.state.borrow().stage,
        Stage::Ended(Told::Instead(_))
    ));
}

#[test]
fn where_there_is_no_room_the_oldest_that_nobody_waits_for_goes() {
    let calls = HeldCalls::new("tag");
    let all: Vec<_> = (0..CALLS_MAX)
        .map(|number| calls.enter(&sameness(&number.to_string()), None).unwrap())
        .collect();
    assert!(
        calls.enter(&sameness("more"), None).is_none(),
        "all are being decided"
    );
    all[3].goes_on(Stage::Asked);
    all[5].goes_on(Stage::Asked);
    assert!(calls.enter(&sameness("more"), None).is_some());
    assert_ne!(calls.enter(&sameness("3"), None).unwrap().call_id, all[3].call_id);
}
