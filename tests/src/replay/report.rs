//! The report: two tables, for people and for machines.

use std::fmt;

use serde::Serialize;

use super::tally::Table;

/// What came of a suite, under both kinds of scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each task may use the tools of its own calls.
    pub scoped: Table,
    /// Each task may use all tools of the suite.
    pub unscoped: Table,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Scope: the tools of the user task's own calls (from an orchestrator that knows them)\n"
        )?;
        writeln!(f, "{}", self.scoped)?;
        writeln!(f, "Scope: all tools of the suite\n")?;
        write!(f, "{}", self.unscoped)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.user_tasks;
        row(f, "user tasks", tasks, None)?;
        row(f, "  untouched", self.user_tasks_untouched, Some(tasks))?;
        row(f, "  held", self.user_tasks_held, Some(tasks))?;
        row(f, "  denied", self.user_tasks_denied, Some(tasks))?;
        row(f, "pairs with an attack", self.pairs, None)?;
        row(f, "  stopped", self.stopped, Some(self.pairs))?;
        row(f, "    denied", self.denied, Some(self.pairs))?;
        row(f, "    held", self.held, Some(self.pairs))?;
        row(
            f,
            "  utility under attack",
            self.utility_under_attack,
            Some(self.pairs),
        )?;
        row(f, "pairs without calls", self.pairs_without_calls, None)?;
        writeln!(f)?;
        named(f, "held", &self.tasks_held)?;
        named(f, "denied", &self.tasks_denied)?;
        named(f, "not stopped", &self.pairs_not_stopped)?;
        named(f, "without utility", &self.pairs_without_utility)
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, count: usize, of: Option<usize>) -> fmt::Result {
    write!(f, "  {name:<24}{count:>5}")?;
    match of {
        None | Some(0) => writeln!(f),
        Some(all) => writeln!(f, "  {:>5}.{} %", count * 100 / all, count * 1000 / all % 10),
    }
}

/// What is not as it should be, by name.
fn named(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    match names {
        [] => writeln!(f, "  {what}: none"),
        names => writeln!(f, "  {what}: {}", names.join(", ")),
    }
}
