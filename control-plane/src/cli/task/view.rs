//! A task for scripts. Names are stable.

use checkrein_proto::task::v1::{Amendment, Change, Delegation, State, Task};
use serde::Serialize;

use crate::cli::output::rfc3339;

#[derive(Debug, Serialize)]
pub(super) struct TaskView {
    id: String,
    state: &'static str,
    user: String,
    agent: String,
    tools: Vec<String>,
    /// Absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<serde_json::Value>,
    /// None: calls are not counted.
    calls: Option<u64>,
    calls_used: u64,
    risk: u32,
    depth: u32,
    /// None: any.
    data: Option<Vec<String>>,
    named: Vec<String>,
    intent: String,
    environment: String,
    started_by: String,
    started_at: Option<String>,
    expires_at: Option<String>,
    closed_at: Option<String>,
    closed_by: String,
    closed_reason: String,
    grant_id: String,
    epoch: u64,
    /// Empty in lists.
    amendments: Vec<AmendmentView>,
    holder_key: Option<String>,
    delegations: Vec<DelegationView>,
}

#[derive(Debug, Serialize)]
struct AmendmentView {
    epoch: u64,
    amended_by: String,
    amended_at: Option<String>,
    reason: String,
    changes: Vec<ChangeView>,
}

#[derive(Debug, Serialize)]
struct ChangeView {
    what: String,
    from: String,
    to: String,
}

impl TaskView {
    pub(super) fn of(task: &Task) -> Self {
        let limits = task.limits.unwrap_or_default();
        Self {
            id: task.task_id.clone(),
            state: state_word(task),
            user: task.user.clone(),
            agent: task.agent.clone(),
            tools: task.tools.clone(),
            scope: serde_json::from_str(&task.scope).ok(),
            calls: limits.calls,
            calls_used: task.calls_used,
            risk: limits.risk,
            depth: limits.depth,
            data: task.data.as_ref().map(|data| data.labels.clone()),
            named: task.named.clone(),
            intent: task.intent.clone(),
            environment: task.environment.clone(),
            started_by: task.started_by.clone(),
            started_at: rfc3339(task.started_unix_ms),
            expires_at: rfc3339(task.expires_unix_ms),
            closed_at: rfc3339(task.closed_unix_ms),
            closed_by: task.closed_by.clone(),
            closed_reason: task.closed_reason.clone(),
            grant_id: task.grant_id.clone(),
            epoch: task.epoch,
            amendments: task.amendments.iter().map(AmendmentView::of).collect(),
            holder_key: Some(task.holder_key.clone()).filter(|key| !key.is_empty()),
            delegations: task.delegations.iter().map(DelegationView::of).collect(),
        }
    }
}

/// A grant that the control plane passed on.
#[derive(Debug, Serialize)]
struct DelegationView {
    grant_id: String,
    parent_grant_id: String,
    agent: String,
    delegated_by: String,
    delegated_at: Option<String>,
    expires_at: Option<String>,
}

impl DelegationView {
    fn of(delegation: &Delegation) -> Self {
        Self {
            grant_id: delegation.grant_id.clone(),
            parent_grant_id: delegation.parent_grant_id.clone(),
            agent: delegation.agent.clone(),
            delegated_by: delegation.delegated_by.clone(),
            delegated_at: rfc3339(delegation.delegated_unix_ms),
            expires_at: rfc3339(delegation.expires_unix_ms),
        }
    }
}

impl AmendmentView {
    fn of(amendment: &Amendment) -> Self {
        let change = |change: &Change| ChangeView {
            what: change.what.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
        };
        Self {
            epoch: amendment.epoch,
            amended_by: amendment.amended_by.clone(),
            amended_at: rfc3339(amendment.amended_unix_ms),
            reason: amendment.reason.clone(),
            changes: amendment.changes.iter().map(change).collect(),
        }
    }
}

/// A task's state in one word.
pub(super) fn state_word(task: &Task) -> &'static str {
    match task.state() {
        State::Unspecified => "unrecognised",
        State::Live => "live",
        State::Ended => "ended",
        State::Revoked => "revoked",
        State::Expired => "expired",
    }
}
