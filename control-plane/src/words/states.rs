//! What a thing is called where it stands: one word for each state, for terminals, scripts and pages alike.

use checkrein_proto::decision::v1::{Decision, Outcome};
use checkrein_proto::fleet::v1::{Instance, Stage};
use checkrein_proto::hold::v1::Hold;
use checkrein_proto::task::v1::{State as TaskState, Task};
use checkrein_shared::decision::{OutcomeResult, Tier, Verdict};
use checkrein_shared::hold::State as HoldState;

/// What stands for a value that this version does not know.
pub(crate) const UNRECOGNISED: &str = "unrecognised";

/// A verdict.
pub(crate) fn verdict_word(decision: &Decision) -> &'static str {
    Verdict::try_from(decision.verdict()).map_or(UNRECOGNISED, Verdict::as_str)
}

/// A tier.
pub(crate) fn tier_word(decision: &Decision) -> &'static str {
    Tier::try_from(decision.tier()).map_or(UNRECOGNISED, Tier::as_str)
}

/// An outcome.
pub(crate) fn outcome_word(outcome: &Outcome) -> &'static str {
    OutcomeResult::try_from(outcome.result()).map_or(UNRECOGNISED, OutcomeResult::as_str)
}

/// A hold's state.
pub(crate) fn hold_word(hold: &Hold) -> &'static str {
    HoldState::try_from(hold.state()).map_or(UNRECOGNISED, HoldState::as_str)
}

/// A task's state.
pub(crate) fn task_word(task: &Task) -> &'static str {
    match task.state() {
        TaskState::Unspecified => UNRECOGNISED,
        TaskState::Live => "live",
        TaskState::Ended => "ended",
        TaskState::Revoked => "revoked",
        TaskState::Expired => "expired",
    }
}

/// Where a bundle failed.
pub(crate) const fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Unspecified => UNRECOGNISED,
        Stage::Fetch => "fetch",
        Stage::Verify => "verify",
        Stage::Decode => "decode",
        Stage::SelfTest => "self_test",
        Stage::RollbackRefused => "rollback_refused",
        Stage::Persist => "persist",
    }
}

/// Whether an instance is there and does not run this generation yet.
pub(crate) const fn is_behind(instance: &Instance, newest: u64) -> bool {
    instance.connected && instance.generation < newest
}

/// How the agent of a decision came by the grant it presented.
pub(crate) fn grant_origin(task: &Task, decision: &Decision) -> String {
    if decision.grant_id.is_empty() {
        return String::new();
    }
    let passed_on = task
        .delegations
        .iter()
        .find(|of| of.grant_id == decision.grant_id);
    let how = match (passed_on, decision.delegated_by.last()) {
        (Some(delegation), _) => format!("passed on by {}", delegation.delegated_by),
        (None, Some(by)) => format!("passed on by {by} itself"),
        (None, None) => "as the task was started or amended".to_owned(),
    };
    format!("{}, {how}", decision.grant_id)
}
