//! A task for scripts. Names are stable.

use std::collections::BTreeMap;

use checkrein_proto::task::v1::{
    Amendment, Amount, Budget, Change, Delegation, Ledger, Task, TaskLabel, UnknownSpend, UsedTool,
};
use serde::Serialize;

use crate::cli::ledger::{LabelView, reversibility_word};
use crate::cli::output::rfc3339;
use crate::words::task_word;

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
    /// Empty in lists.
    budgets: Vec<BudgetView>,
    unknown: Vec<UnknownView>,
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
    /// Only where one task is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerView>,
}

/// What a task has done.
#[derive(Debug, Serialize)]
struct LedgerView {
    revision: u64,
    /// Not those of `calls_used`: here every call counts.
    calls: u64,
    used: Vec<UsedView>,
    /// None: there was no call.
    reversibility: Option<&'static str>,
    labels: Vec<LabelView>,
}

#[derive(Debug, Serialize)]
struct UsedView {
    tool: String,
    times: u64,
    last_used_at: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct AmendmentView {
    epoch: u64,
    pub amended_by: String,
    amended_at: Option<String>,
    pub reason: String,
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
            state: task_word(task),
            user: task.user.clone(),
            agent: task.agent.clone(),
            tools: task.tools.clone(),
            scope: serde_json::from_str(&task.scope).ok(),
            calls: limits.calls,
            calls_used: task.calls_used,
            risk: limits.risk,
            depth: limits.depth,
            budgets: task.budgets.iter().map(BudgetView::of).collect(),
            unknown: task.unknown.iter().map(UnknownView::of).collect(),
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
            ledger: task
                .ledger
                .as_ref()
                .map(|ledger| LedgerView::of(ledger, &task.labels)),
        }
    }
}

/// What became of one meter. Amounts are text: money is exact to four places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct BudgetView {
    pub meter: String,
    pub limit: Option<String>,
    pub spent: String,
    pub reserved: String,
    pub unknown: String,
}

impl BudgetView {
    pub(super) fn of(budget: &Budget) -> Self {
        Self {
            meter: budget.meter.clone(),
            limit: Some(budget.limit.clone()).filter(|limit| !limit.is_empty()),
            spent: budget.spent.clone(),
            reserved: budget.reserved.clone(),
            unknown: budget.unknown.clone(),
        }
    }
}

impl DelegationView {
    /// What it bounds, in short.
    pub(super) fn bounds(&self) -> String {
        let calls = self.calls.map(|calls| format!("{calls} calls"));
        let limit = |budget: &BudgetView| Some(format!("{} {}", budget.limit.as_ref()?, budget.meter));
        let bounds: Vec<String> = calls
            .into_iter()
            .chain(self.budgets.iter().filter_map(limit))
            .collect();
        if bounds.is_empty() {
            return String::new();
        }
        format!("at most {}", bounds.join(", "))
    }
}

/// A release whose end nobody knows.
#[derive(Debug, Serialize)]
struct UnknownView {
    use_id: String,
    tool: String,
    enforcer: String,
    reserved_at: Option<String>,
    amounts: BTreeMap<String, String>,
}

impl UnknownView {
    fn of(unknown: &UnknownSpend) -> Self {
        let amount = |amount: &Amount| (amount.meter.clone(), amount.amount.clone());
        Self {
            use_id: unknown.use_id.clone(),
            tool: unknown.tool.clone(),
            enforcer: unknown.enforcer.clone(),
            reserved_at: rfc3339(unknown.reserved_unix_ms),
            amounts: unknown.amounts.iter().map(amount).collect(),
        }
    }
}

/// A grant that the control plane passed on.
#[derive(Debug, Serialize)]
pub(super) struct DelegationView {
    grant_id: String,
    parent_grant_id: String,
    pub agent: String,
    pub delegated_by: String,
    delegated_at: Option<String>,
    expires_at: Option<String>,
    /// None: as many as those above it have left.
    calls: Option<u64>,
    calls_used: u64,
    budgets: Vec<BudgetView>,
}

impl DelegationView {
    pub(super) fn of(delegation: &Delegation) -> Self {
        Self {
            grant_id: delegation.grant_id.clone(),
            parent_grant_id: delegation.parent_grant_id.clone(),
            agent: delegation.agent.clone(),
            delegated_by: delegation.delegated_by.clone(),
            delegated_at: rfc3339(delegation.delegated_unix_ms),
            expires_at: rfc3339(delegation.expires_unix_ms),
            calls: delegation.calls,
            calls_used: delegation.calls_used,
            budgets: delegation.budgets.iter().map(BudgetView::of).collect(),
        }
    }
}

impl AmendmentView {
    /// What is not as it was, in short.
    pub(super) fn told(&self) -> String {
        let changes: Vec<String> = self
            .changes
            .iter()
            .map(|change| format!("{} to `{}`", change.what, change.to))
            .collect();
        changes.join("; ")
    }

    pub(super) fn of(amendment: &Amendment) -> Self {
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

impl LedgerView {
    fn of(ledger: &Ledger, labels: &[TaskLabel]) -> Self {
        let used = |used: &UsedTool| UsedView {
            tool: used.tool.clone(),
            times: used.times,
            last_used_at: rfc3339(used.last_used_unix_ms),
        };
        Self {
            revision: ledger.revision,
            calls: ledger.calls,
            used: ledger.used.iter().map(used).collect(),
            reversibility: reversibility_word(ledger.reversibility),
            labels: labels.iter().map(LabelView::of).collect(),
        }
    }
}
