//! Tasks, for people: who may do what, for whom, until when.

use std::collections::BTreeMap;

use checkrein_proto::task::v1::{Amendment, Amount, Budget, Ledger, Task};
use checkrein_shared::grant::RISK_MAX;
use serde_json::Value;

use crate::cli::ledger::{carried, reversibility_word};
use crate::cli::output::{Cell, Fields, Paint, Style, Table, relative, style_of, visible};
use crate::words::task_word;

/// Rows.
pub(super) fn table(tasks: &[Task], now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&["TASK", "STATE", "AGENT", "FOR", "STARTED", "EXPIRES", "INTENT"]);
    for task in tasks {
        table.push([
            Cell::from(&*task.task_id).styled(Style::Strong),
            Cell::word(task_word(task)),
            Cell::from(&*task.agent),
            Cell::from(&*task.user),
            Cell::from(relative(task.started_unix_ms, now_ms)),
            Cell::from(relative(task.expires_unix_ms, now_ms)),
            Cell::dim(&task.intent),
        ]);
    }
    table.render(paint, "no tasks")
}

/// One task, whole.
pub(super) fn card(task: &Task, now_ms: u64, paint: Paint) -> String {
    let word = task_word(task);
    let mut fields = Fields::default();
    fields
        .line("agent", &task.agent)
        .line("acting for", &task.user)
        .line("may use", &task.tools.join(", "));
    for (tool, argument, constraint) in constraints(&task.scope) {
        fields.line("only if", &format!("`{argument}` of {tool} meets {constraint}"));
    }
    if let Some(data) = &task.data {
        let labels = if data.labels.is_empty() {
            "no data".to_owned()
        } else {
            data.labels.join(", ")
        };
        fields.line("may touch", &labels);
    }
    let limits = task.limits.unwrap_or_default();
    if let Some(calls) = limits.calls {
        fields.line("calls", &format!("{} of {calls} used", task.calls_used));
    }
    for budget in &task.budgets {
        fields.line("budget", &used(budget));
    }
    for unknown in &task.unknown {
        let amount = |amount: &Amount| format!("{} {}", amount.amount, amount.meter);
        let amounts: Vec<String> = unknown.amounts.iter().map(amount).collect();
        let when = relative(unknown.reserved_unix_ms, now_ms);
        let said = format!(
            "{} for {} {when}, use {}",
            amounts.join(", "),
            unknown.tool,
            unknown.use_id
        );
        fields.line("unknown", &said);
    }
    if limits.risk > 0 {
        fields.line("risk", &format!("at least {} of {RISK_MAX}", limits.risk));
    }
    if limits.depth > 0 {
        fields.line("passed on", &format!("at most {} times in a row", limits.depth));
    }
    fields.line("key", &task.holder_key);
    for delegation in &task.delegations {
        let until = relative(delegation.expires_unix_ms, now_ms);
        let said = format!(
            "{} by {}, until {until}",
            delegation.agent, delegation.delegated_by
        );
        fields.line("passed on to", &said);
        if let Some(calls) = delegation.calls {
            let said = format!("{} of {calls} calls used", delegation.calls_used);
            fields.line("", &said);
        }
        for budget in &delegation.budgets {
            fields.line("", &used(budget));
        }
    }
    fields
        .line("named", &task.named.join(", "))
        .line("in", &task.environment)
        .line("asked to", &task.intent)
        .line(
            "started",
            &format!(
                "{} by {}",
                relative(task.started_unix_ms, now_ms),
                task.started_by
            ),
        )
        .line("expires", &relative(task.expires_unix_ms, now_ms))
        .line("grant", &task.grant_id);
    for amendment in &task.amendments {
        fields.line("amended", &amended(amendment, now_ms));
    }
    if task.closed_unix_ms != 0 {
        let closed = format!("{} by {}", relative(task.closed_unix_ms, now_ms), task.closed_by);
        fields
            .line("closed", &closed)
            .line("because", &task.closed_reason);
    }
    if let Some(ledger) = &task.ledger {
        done(&mut fields, ledger, now_ms);
    }
    for label in &task.labels {
        let said = format!("{}, which {}", label.label, carried(label, now_ms));
        fields.line("carries", &said);
    }
    let id = paint.apply(Style::Strong, &visible(&task.task_id));
    format!(
        "{id}  {}\n\n{}",
        paint.apply(style_of(word), word),
        fields.render(paint)
    )
}

/// What a task has done.
fn done(fields: &mut Fields, ledger: &Ledger, now_ms: u64) {
    let Some(class) = reversibility_word(ledger.reversibility) else {
        fields.line("did", "nothing yet");
        return;
    };
    let calls = if ledger.calls == 1 { "call" } else { "calls" };
    fields.line("did", &format!("{} {calls}, at most {class}", ledger.calls));
    for used in &ledger.used {
        let last = relative(used.last_used_unix_ms, now_ms);
        let times = match used.times {
            1 => "once".to_owned(),
            times => format!("{times} times, last"),
        };
        let said = format!("{}, {times} {last}", used.tool);
        fields.line("used", &said);
    }
}

/// What became of one meter.
fn used(budget: &Budget) -> String {
    let of = match &*budget.limit {
        "" => String::new(),
        limit => format!(" of {limit}"),
    };
    format!(
        "{}: {} spent, {} reserved, {} unknown{of}",
        budget.meter, budget.spent, budget.reserved, budget.unknown
    )
}

/// Which epoch began, by whom, and what has changed since the one before.
fn amended(amendment: &Amendment, now_ms: u64) -> String {
    let when = relative(amendment.amended_unix_ms, now_ms);
    let changes: Vec<String> = amendment
        .changes
        .iter()
        .map(|change| format!("{} from `{}` to `{}`", change.what, change.from, change.to))
        .collect();
    let because = match &*amendment.reason {
        "" => String::new(),
        reason => format!(", because: {reason}"),
    };
    format!(
        "{when} by {} into epoch {}: {}{because}",
        amendment.amended_by,
        amendment.epoch,
        changes.join("; ")
    )
}

/// What the arguments of each tool must be.
fn constraints(scope: &str) -> Vec<(String, String, Value)> {
    let tools: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(scope).unwrap_or_default();
    let of_tool = |(tool, arguments): (String, BTreeMap<String, Value>)| {
        let entry = move |(argument, constraint)| (tool.clone(), argument, constraint);
        arguments.into_iter().map(entry)
    };
    tools.into_iter().flat_map(of_tool).collect()
}
