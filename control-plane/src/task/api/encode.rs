//! A task as it goes out.

use checkrein_proto::task::v1 as wire;
use checkrein_shared::key::VerifyingKey;

use crate::task::{Charge, Closing, Task, TaskState};

impl From<Charge> for wire::Charge {
    fn from(charge: Charge) -> Self {
        match charge {
            Charge::None => Self::Unspecified,
            Charge::Uncounted => Self::Uncounted,
            Charge::Charged => Self::Charged,
            Charge::Exhausted => Self::Exhausted,
        }
    }
}

impl From<&TaskState> for wire::State {
    fn from(state: &TaskState) -> Self {
        match state {
            TaskState::Live => Self::Live,
            TaskState::Expired => Self::Expired,
            TaskState::Closed {
                how: Closing::Ended, ..
            } => Self::Ended,
            TaskState::Closed {
                how: Closing::Revoked,
                ..
            } => Self::Revoked,
        }
    }
}

impl From<&Task> for wire::Task {
    fn from(task: &Task) -> Self {
        let (closed_by, closed_unix_ms, closed_reason) = match &task.state {
            TaskState::Closed {
                by, at_ms, reason, ..
            } => (by.to_string(), *at_ms, reason.clone()),
            TaskState::Live | TaskState::Expired => (String::new(), 0, String::new()),
        };
        Self {
            task_id: task.id.to_string(),
            state: wire::State::from(&task.state).into(),
            user: task.user.clone(),
            agent: task.agent.to_string(),
            tools: task.scope.tools().map(str::to_owned).collect(),
            named: task.named.clone(),
            intent: task.intent.clone(),
            environment: task.environment.clone(),
            started_by: task.started_by.to_string(),
            started_unix_ms: task.started_ms,
            expires_unix_ms: task.expires_ms,
            closed_unix_ms,
            closed_by,
            closed_reason,
            grant_id: task.grant.to_string(),
            scope: String::new(),
            limits: Some(wire::Limits {
                calls: task.limits.calls,
                risk: task.limits.risk.into(),
                depth: task.limits.depth.into(),
            }),
            calls_used: task.calls_used,
            holder_key: task
                .holder
                .as_ref()
                .map(VerifyingKey::to_base64)
                .unwrap_or_default(),
            epoch: task.epoch,
            amendments: Vec::new(),
            delegations: Vec::new(),
            data: task.data.as_ref().map(Into::into),
            ledger: None,
            labels: Vec::new(),
            budgets: Vec::new(),
            unknown: Vec::new(),
        }
    }
}

/// A task with its scope: a page of them would be too much.
pub(super) fn whole(task: &Task) -> wire::Task {
    wire::Task {
        scope: task.scope.to_json().to_string(),
        ..task.into()
    }
}
