//! Warns of budgets that count less than they seem to: calls whose cost no catalog says are not counted, and a name that no tool
//! has counts nothing.
//!
//! **Invariant**: nothing is said of a budget of calls that names tools there are: it counts each of them.

use super::Check;
use crate::ledger::Meter;
use crate::policy::budget::{Budget, Spans, covers};
use crate::policy::catalog::Tool;
use crate::policy::finding::{Finding, Place};

/// A finding names at most so many tools, and says how many more there are.
const TOOLS_NAMED_MAX: usize = 5;

impl Check<'_> {
    /// Looks at every budget, beside the tools of all packs that run together.
    pub(super) fn budgets(&mut self) {
        let tools: Vec<&Tool> = self.each_tool().collect();
        for pack in self.packs {
            let place = pack.place("checkrein.toml");
            for (budget, spans) in pack.budgets().iter().zip(&pack.budget_spans) {
                let names = of_names((budget, spans), &tools, place);
                let found = names.chain(of_cost((budget, spans), &tools, place));
                self.findings.extend(found.map(|finding| (pack.name(), finding)));
            }
        }
    }
}

/// Names that no tool has.
fn of_names<'a>(
    (budget, spans): (&'a Budget, &'a Spans),
    tools: &'a [&Tool],
    place: Place<'a>,
) -> impl Iterator<Item = Finding> + use<'a> {
    let names = budget.tools.iter().zip(&spans.tools);
    let is_nothing = |pattern: &str| !tools.iter().any(|tool| covers(pattern, &tool.id));
    names
        .filter(move |(pattern, _)| is_nothing(pattern))
        .map(move |(pattern, at)| {
            let message = format!(
                "`{pattern}` of the budget `{}` is no tool of any catalog",
                budget.name
            );
            let help = "it will count once there is one; is the name what you meant?";
            place.warning(at.clone(), message, help)
        })
}

/// Tools that are meant and never counted. A budget that names none is about whatever has a cost, if anything has.
fn of_cost((budget, spans): (&Budget, &Spans), tools: &[&Tool], place: Place<'_>) -> Option<Finding> {
    if budget.meter == Meter::Calls {
        return None;
    }
    let counted = |tool: &&&Tool| tool.cost.contains_key(&budget.meter);
    let (meter, name) = (budget.meter.as_str(), &budget.name);
    let mut meant = tools.iter().filter(|tool| budget.counts(&tool.id)).peekable();
    meant.peek()?;
    let (costing, free): (Vec<_>, Vec<_>) = meant.partition(counted);
    let message = match (costing.as_slice(), free.as_slice()) {
        (_, []) => return None,
        ([], _) => {
            format!("the budget `{name}` counts nothing: no catalog says what its tools cost in `{meter}`")
        }
        _ if budget.tools.is_empty() => return None,
        (_, free) => format!(
            "calls of {} are not counted in the budget `{name}`: no catalog says what they cost in `{meter}`",
            named(free)
        ),
    };
    let help = format!(
        "say `cost = {{ {meter} = … }}` in the catalog, `0` for what costs nothing, or name only tools that cost something"
    );
    Some(place.warning(spans.name.clone(), message, help))
}

fn named(tools: &[&&Tool]) -> String {
    let shown = tools.iter().take(TOOLS_NAMED_MAX);
    let names: Vec<_> = shown.map(|tool| format!("`{}`", tool.id)).collect();
    match tools.len().saturating_sub(TOOLS_NAMED_MAX) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests;
