//! Budgets that a pack sets for users, agents, tools and tasks, over all tasks and in windows of time. The control plane counts them.
//!
//! ```toml
//! [[budget]]
//! name = "daily-pay"
//! per = "user"
//! meter = "money"
//! limit = "1000"
//! window = "24h"
//! tools = ["bank/*"]
//! ```
//!
//! A call counts with what the catalog says it costs: one that says nothing of a meter is not counted in it.
//!
//! A window is fixed: windows of a day begin at midnight UTC, and in general at whole multiples since 1970.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::duration::DurationMs;
use super::finding::{Finding, Place};
use super::source::is_name;
use crate::ledger::Meter;

/// A pack sets at most so many budgets: each is looked at before every call that costs something.
const BUDGETS_MAX: usize = 32;

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// The human that agents act for.
    User,
    /// The agent that calls.
    Agent,
    /// The tool that is called.
    Tool,
    /// The task.
    Task,
}

/// A budget that everyone of a kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its name in its pack.
    pub name: String,
    /// Whose.
    pub per: Per,
    /// Of what.
    pub meter: Meter,
    /// How much.
    pub limit: u64,
    /// In which time; none: ever.
    pub window_ms: Option<u64>,
    /// Calls of which tools count, `<catalog>/<tool>` or `<catalog>/*`; empty: all.
    pub tools: Vec<String>,
}

/// Where a budget stands in `checkrein.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spans {
    /// Its name.
    pub(super) name: Range<usize>,
    /// Each of its tools, in their order.
    pub(super) tools: Vec<Range<usize>>,
}

/// As `checkrein.toml` writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    name: Spanned<String>,
    per: Per,
    meter: Spanned<String>,
    limit: Spanned<String>,
    window: Option<DurationMs>,
    #[serde(default)]
    tools: Vec<Spanned<String>>,
}

impl Per {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::User, Self::Agent, Self::Tool, Self::Task];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Task => "task",
        }
    }

    /// The one of this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|per| per.as_str() == word)
    }
}

impl Budget {
    /// Whether calls of this tool count.
    pub fn counts(&self, tool: &str) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|pattern| covers(pattern, tool))
    }

    /// When the window began that this moment is in.
    pub const fn window_start(&self, now_ms: u64) -> u64 {
        match self.window_ms {
            Some(window_ms) => match now_ms.checked_rem(window_ms) {
                Some(within) => now_ms - within,
                None => 0,
            },
            None => 0,
        }
    }
}

/// Whether one of its `tools` is about this tool.
pub(super) fn covers(pattern: &str, tool: &str) -> bool {
    let catalog = tool.split('/').next().unwrap_or_default();
    pattern == tool || pattern.strip_suffix("/*") == Some(catalog)
}

/// The budgets of a pack, each with where it stands; what is wrong with the others.
pub(super) fn read(place: Place<'_>, written: Vec<Written>) -> (Vec<(Budget, Spans)>, Vec<Finding>) {
    let (mut budgets, mut findings): (Vec<(Budget, Spans)>, _) = (Vec::new(), Vec::new());
    for written in written {
        let name = written.name.get_ref();
        if budgets.len() == BUDGETS_MAX {
            let message = format!("the pack sets more than {BUDGETS_MAX} budgets");
            findings.push(place.error(written.name.span(), message, "remove some"));
            break;
        }
        if !is_name(name) || budgets.iter().any(|(budget, _)| budget.name == *name) {
            let message = format!("`{name}` can't be the name of a budget, or is one already");
            let help = "use letters, digits, `-` and `_`, and each name once";
            findings.push(place.error(written.name.span(), message, help));
        }
        let spans = written.spans();
        match written.budget(place) {
            Ok(budget) => budgets.push((budget, spans)),
            Err(finding) => findings.push(finding),
        }
    }
    (budgets, findings)
}

impl Written {
    fn spans(&self) -> Spans {
        Spans {
            name: self.name.span(),
            tools: self.tools.iter().map(Spanned::span).collect(),
        }
    }

    fn budget(self, place: Place<'_>) -> Result<Budget, Finding> {
        let meter: Meter = self.meter.get_ref().parse().map_err(|error| {
            let message = format!("{error}");
            place.error(self.meter.span(), message, "")
        })?;
        let limit = meter.parse(self.limit.get_ref()).map_err(|error| {
            let message = error.to_string();
            place.error(
                self.limit.span(),
                message,
                "write an amount as text: `limit = \"1000\"`",
            )
        })?;
        for tool in &self.tools {
            if !tool.get_ref().contains('/') {
                let message = format!("`{}` names no tool", tool.get_ref());
                return Err(place.error(tool.span(), message, "write `<catalog>/<tool>` or `<catalog>/*`"));
            }
        }
        Ok(Budget {
            name: self.name.into_inner(),
            per: self.per,
            meter,
            limit,
            window_ms: self.window.map(|window| window.0),
            tools: self.tools.into_iter().map(Spanned::into_inner).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
