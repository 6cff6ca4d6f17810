//! A hold in the words of a page.

mod action;
mod standing;
mod talk;

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::task::v1::{Task, TaskLabel};
use wire::bound::How;

use crate::words::{relative, visible};

pub(super) use action::Action;
pub(super) use standing::Standing;

/// Tools a task used, at most so many of them by name.
const TOOLS_SHOWN_MAX: usize = 12;

/// What the task has done so far.
pub(super) struct Done {
    pub calls: u64,
    pub worst: &'static str,
    pub tools: Vec<String>,
    pub more_tools: usize,
    pub labels: Vec<Carried>,
    pub spent: Vec<String>,
}

/// A label that the task carries, and because of what.
pub(super) struct Carried {
    pub label: String,
    pub because: String,
}

/// What could be allowed to happen again.
pub(super) struct Again {
    pub hours_max: u64,
    pub times_max: u32,
    pub bounds: Vec<Widest>,
    pub fixed: Vec<String>,
    pub labels: Vec<String>,
}

/// How far one argument could differ.
pub(super) struct Widest {
    pub argument: String,
    pub at_most: Option<String>,
    pub any: bool,
}

impl Done {
    pub(super) fn of(task: &Task, labels: &[TaskLabel], now_ms: u64) -> Self {
        let ledger = task.ledger.clone().unwrap_or_default();
        let used = ledger.used.iter().take(TOOLS_SHOWN_MAX);
        Self {
            calls: ledger.calls,
            worst: match ledger.reversibility {
                1 => "only read",
                2 => "changed what can be changed back",
                3 => "changed what others would have to change back",
                4 => "done what can't be undone",
                _ => "done nothing that could have to be undone",
            },
            tools: used
                .map(|used| format!("{} × {}", visible(&used.tool), used.times))
                .collect(),
            more_tools: ledger.used.len().saturating_sub(TOOLS_SHOWN_MAX),
            labels: labels.iter().map(|label| Carried::of(label, now_ms)).collect(),
            spent: ledger
                .spent
                .iter()
                .map(|spent| {
                    format!(
                        "{} {}",
                        visible(&spent.amount),
                        visible(&spent.meter).replace('_', " ")
                    )
                })
                .collect(),
        }
    }
}

impl Carried {
    fn of(label: &TaskLabel, now_ms: u64) -> Self {
        Self {
            label: visible(&label.label),
            because: format!(
                "{} by {}, {}",
                visible(&label.tool),
                visible(&label.agent),
                relative(label.added_unix_ms, now_ms)
            ),
        }
    }
}

impl Again {
    pub(super) fn of(offer: &wire::Offer, labels: &[TaskLabel]) -> Self {
        Self {
            hours_max: offer.for_ms / 3_600_000,
            times_max: offer.times,
            bounds: offer.bounds.iter().map(Widest::of).collect(),
            fixed: offer.fixed.iter().map(|name| visible(name)).collect(),
            labels: labels.iter().map(|label| visible(&label.label)).collect(),
        }
    }
}

impl Widest {
    fn of(bound: &wire::Bound) -> Self {
        let at_most = match &bound.how {
            Some(How::AtMost(most)) => Some(most.clone()),
            _ => None,
        };
        Self {
            argument: bound.argument.clone(),
            at_most,
            any: matches!(bound.how, Some(How::Any(_))),
        }
    }
}
