//! The plan: which calls are made in which order, under which authority.

use std::collections::BTreeSet;
use std::fmt;

use checkrein_shared::action::Arguments;

use super::catalog::Catalog;
use super::named::named_values;
use super::suite::{Call, Suite, UserTask};

/// What a task may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The tools of the user task's own calls: what an orchestrator would give that knows them.
    OfTask,
    /// All tools of the suite.
    OfSuite,
}

/// One task from start to end, and the calls made in it.
#[derive(Debug, Clone)]
pub struct Run {
    /// What is tried.
    pub setting: Setting,
    /// The user's own words.
    pub intent: String,
    /// What stands literally in them.
    pub named: Vec<String>,
    /// The tools, as rules name them.
    pub scope: Vec<String>,
    /// The calls, in order.
    pub steps: Vec<Step>,
}

/// What a run tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A user task by itself.
    Alone {
        /// The user task.
        task: String,
    },
    /// A user task with an injection's calls in it.
    Attacked {
        /// The user task.
        task: String,
        /// The injection.
        injection: String,
        /// Its calls come after so many of the user's.
        after: usize,
    },
}

/// One call of a run.
#[derive(Debug, Clone)]
pub struct Step {
    /// Whose idea it was.
    pub by: By,
    /// As rules name it.
    pub tool: String,
    /// As the suite writes them.
    pub arguments: Arguments,
    /// Whether it does anything but read.
    pub acts: bool,
}

/// Whose idea a call was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It answers the user's request.
    User,
    /// It serves the attacker.
    Attacker,
}

impl Setting {
    /// The user task, and the injection if there is one.
    pub fn of(&self) -> (&str, Option<&str>) {
        match self {
            Self::Alone { task } => (task, None),
            Self::Attacked { task, injection, .. } => (task, Some(injection)),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone { task } => write!(f, "{task}"),
            Self::Attacked {
                task,
                injection,
                after,
            } => write!(f, "{task} with {injection} after {after} calls"),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setting.fmt(f)
    }
}

/// Every run: each user task alone, then each pair twice, with the injection's calls after the user's first and after the
/// last. The two runs of a pair follow each other.
pub fn plan(suite: &Suite, catalog: &Catalog, scope: Scope) -> Vec<Run> {
    let mut runs = Vec::new();
    for task in &suite.user_tasks {
        let steps = steps(catalog, By::User, &task.calls).collect();
        let setting = Setting::Alone {
            task: task.id.clone(),
        };
        runs.push(run(suite, catalog, scope, task, setting, steps));
    }
    for task in &suite.user_tasks {
        for injection in suite.attacks() {
            for after in [task.calls.len().min(1), task.calls.len()] {
                let (before, rest) = task.calls.split_at(after);
                let steps = steps(catalog, By::User, before)
                    .chain(steps(catalog, By::Attacker, &injection.calls))
                    .chain(steps(catalog, By::User, rest))
                    .collect();
                let setting = Setting::Attacked {
                    task: task.id.clone(),
                    injection: injection.id.clone(),
                    after,
                };
                runs.push(run(suite, catalog, scope, task, setting, steps));
            }
        }
    }
    runs
}

fn run(
    suite: &Suite,
    catalog: &Catalog,
    scope: Scope,
    task: &UserTask,
    setting: Setting,
    steps: Vec<Step>,
) -> Run {
    let tools: BTreeSet<&str> = match scope {
        Scope::OfTask => task.calls.iter().map(|call| call.tool.as_str()).collect(),
        Scope::OfSuite => suite.tools.iter().map(|tool| tool.name.as_str()).collect(),
    };
    Run {
        setting,
        intent: task.prompt.clone(),
        named: named_values(&task.prompt),
        scope: tools.into_iter().map(|tool| catalog.id(tool)).collect(),
        steps,
    }
}

fn steps(catalog: &Catalog, by: By, calls: &[Call]) -> impl Iterator<Item = Step> {
    calls.iter().map(move |call| Step {
        by,
        tool: catalog.id(&call.tool),
        arguments: call.arguments.clone(),
        acts: catalog.acts(&call.tool),
    })
}
