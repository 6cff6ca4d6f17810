//! Each refusal is a sentence that says where, and what to do.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::Refusal;

#[test]
fn a_bad_request_names_each_field() {
    let mut details = ErrorDetails::with_bad_request_violation("expires_in_ms", "at most 24 h");
    details.add_bad_request_violation("rules.cedar:3:7", "unknown attribute\n   | ^^^");
    let status = Status::with_error_details(Code::InvalidArgument, "the task can't start", details);
    let refusal = Refusal::from(status);
    assert_eq!(
        refusal.to_string(),
        "the task can't start\n  - `expires_in_ms`: at most 24 h\n  - `rules.cedar:3:7`: unknown attribute\n       | ^^^"
    );
    assert_eq!(refusal.code(), "invalid_argument");
}

#[test]
fn the_control_planes_own_word_comes_first() {
    let details = ErrorDetails::with_error_info("HOLD_DENIED", "checkrein", HashMap::new());
    let status = Status::with_error_details(
        Code::FailedPrecondition,
        "a hold that is denied can't be approved",
        details,
    );
    assert_eq!(Refusal::from(status).code(), "HOLD_DENIED");
}

#[test]
fn an_unmet_condition_names_its_subject() {
    let details = ErrorDetails::with_precondition_failure_violation("TASK", "task_1", "it was revoked");
    let status = Status::with_error_details(Code::FailedPrecondition, "can't end", details);
    assert_eq!(
        Refusal::from(status).to_string(),
        "can't end\n  - `task_1`: it was revoked"
    );
}

#[test]
fn who_may_not_is_told_how_to_become_one_who_may() {
    let refusal = Refusal::from(Status::permission_denied("only approvers vote"));
    assert_eq!(refusal.to_string(), "only approvers vote");
    assert!(refusal.next_step().unwrap().contains("checkrein fleet identity"));
}

#[test]
fn a_status_without_words_still_says_what_it_is() {
    let refusal = Refusal::from(Status::new(Code::Unavailable, ""));
    assert_eq!(refusal.to_string(), "the control plane refused: unavailable");
    assert!(refusal.is_passing());
}

#[test]
fn a_connection_that_breaks_is_no_refusal() {
    let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset by peer");
    let refusal = Refusal::from(Status::from_error(Box::new(broken)));
    assert!(refusal.is_passing(), "{refusal:?}");
    assert!(
        refusal.to_string().contains("connection reset by peer"),
        "{refusal}"
    );
}
