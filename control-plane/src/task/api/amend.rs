//! Amendments on the wire.

use checkrein_proto::task::v1 as wire;
use checkrein_shared::grant::{DataScope, RISK_MAX};
use tonic::Status;

use super::check_named;
use crate::api::{bad_field, text};
use crate::task::{Amend, Change, PastEpoch, Task, Terms};

/// A value that changed is told to so many characters: the whole of it is the task's to show.
const CHANGED_CHARS_MAX: usize = 512;

pub(super) fn parse(request: &wire::AmendRequest) -> Result<Amend, Status> {
    for (field, value) in [("intent", &request.intent), ("environment", &request.environment)] {
        if let Some(value) = value {
            text(field, value)?;
        }
    }
    let risk = request.risk.map(|risk| {
        let risk = u8::try_from(risk).ok().filter(|risk| *risk <= RISK_MAX);
        risk.ok_or_else(|| bad_field("risk", format!("a risk is a number from 0 to {RISK_MAX}")))
    });
    let named = request.named.as_ref().map(|named| named.values.clone());
    if let Some(named) = &named {
        check_named(named)?;
    }
    let data = request.data.clone().map(DataScope::try_from).transpose();
    let amend = Amend {
        intent: request.intent.clone(),
        environment: request.environment.clone(),
        risk: risk.transpose()?,
        named,
        data: data.map_err(|error| bad_field("data", error.to_string()))?,
    };
    if amend == Amend::default() {
        return Err(bad_field("task_id", "say what shall change of the task"));
    }
    Ok(amend)
}

/// The task with what became of it.
pub(super) fn with_history(mut shown: wire::Task, task: &Task, past: &[PastEpoch]) -> wire::Task {
    let now = task.terms();
    let next = past.iter().skip(1).map(|epoch| &epoch.terms).chain([&now]);
    shown.amendments = past.iter().zip(next).map(amendment).collect();
    shown
}

fn amendment((ended, next): (&PastEpoch, &Terms)) -> wire::Amendment {
    wire::Amendment {
        epoch: ended.epoch + 1,
        amended_by: ended.by.to_string(),
        amended_unix_ms: ended.at_ms,
        reason: ended.reason.clone(),
        changes: ended.changes(next).into_iter().map(change).collect(),
    }
}

fn change(change: Change) -> wire::Change {
    let cut = |value: String| match value.char_indices().nth(CHANGED_CHARS_MAX) {
        Some((at, _)) => format!("{}\u{2026}", &value[..at]),
        None => value,
    };
    wire::Change {
        what: change.what.to_owned(),
        from: cut(change.from),
        to: cut(change.to),
    }
}
