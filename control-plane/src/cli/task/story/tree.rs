//! Who acts in a task, and who passed its grant on to whom.
//!
//! **Invariant**: an agent is said to have been given a grant only if the control plane passed one on to it, or a call was judged
//! in whose chain of grants it stands; one that only presented somebody else's is said to be a stranger.

use std::collections::{BTreeMap, BTreeSet};

use checkrein_proto::decision::v1::{Decision, Verdict};
use checkrein_proto::task::v1::Budget;
use checkrein_shared::decision::Cause;
use checkrein_shared::ledger::Meter;
use serde::Serialize;

use super::Story;
use crate::cli::task::view::BudgetView;

/// An agent at one place of the tree, with what it did there.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Actor {
    pub agent: String,
    pub given_by: GivenBy,
    pub grants: BTreeSet<String>,
    /// One that was held and then let through counts once.
    pub calls: usize,
    pub permitted: u64,
    pub held: u64,
    pub denied: u64,
    /// Of its grants, as far as the control plane knows them.
    pub budgets: Vec<Bound>,
    pub passed_on_to: Vec<Actor>,
    #[serde(skip)]
    call_ids: BTreeSet<String>,
}

/// How much of something may be used up under a grant, by its agent and by all below it, and what became of that.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Bound {
    pub grant: String,
    #[serde(flatten)]
    pub budget: BudgetView,
}

/// How an agent came by its grant, as far as is known: the surest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GivenBy {
    /// It was not given one: what it presented is another's.
    Nobody,
    /// The agent above passed it on by itself.
    Agent,
    /// The agent above had the control plane pass it on.
    ControlPlane,
    /// Whoever started the task.
    Start,
}

/// The task's own agent first; below each, whom it passed the grant on to; then whoever presented what was not theirs.
pub(super) fn agents(story: &Story) -> Vec<Actor> {
    let task = &story.task;
    let mut roots = Vec::new();
    let mut places = BTreeMap::from([(task.grant_id.clone(), vec![task.agent.clone()])]);
    let root = place(&mut roots, (&task.agent, &[]), GivenBy::Start);
    root.grants.insert(task.grant_id.clone());
    let calls = task.limits.and_then(|limits| limits.calls);
    root.bound(&task.grant_id, (calls, task.calls_used), &task.budgets);
    for (decision, _) in story.decisions() {
        let (given_by, path) = (given_by(decision), path(decision));
        let Some((first, below)) = path.split_first() else {
            continue;
        };
        place(&mut roots, (first, below), given_by).count(decision);
        if given_by != GivenBy::Nobody {
            places.insert(decision.grant_id.clone(), path);
        }
    }
    // The newest come first, and whoever passes on was given before.
    for delegation in task.delegations.iter().rev() {
        let mut path = match places.get(&delegation.parent_grant_id) {
            Some(path) => path.clone(),
            None if delegation.delegated_by == task.agent => vec![task.agent.clone()],
            // Passed on to it in a way of which there is no record.
            None => vec![task.agent.clone(), delegation.delegated_by.clone()],
        };
        path.push(delegation.agent.clone());
        if let Some((first, below)) = path.split_first() {
            let agent = place(&mut roots, (first, below), GivenBy::ControlPlane);
            agent.grants.insert(delegation.grant_id.clone());
            let calls = (delegation.calls, delegation.calls_used);
            agent.bound(&delegation.grant_id, calls, &delegation.budgets);
        }
        places.insert(delegation.grant_id.clone(), path);
    }
    roots
}

/// From the task's agent down to the one that called.
fn path(decision: &Decision) -> Vec<String> {
    let above = decision.delegated_by.iter();
    above.chain([&decision.agent]).cloned().collect()
}

fn given_by(decision: &Decision) -> GivenBy {
    let foreign = [Cause::WrongAgent, Cause::UnknownAgent];
    if foreign.iter().any(|cause| decision.cause == cause.as_str()) {
        GivenBy::Nobody
    } else {
        GivenBy::Agent
    }
}

/// The agent at the end of this path, which is made as far as it is not there. Those above it passed on what was presented.
fn place<'a>(
    siblings: &'a mut Vec<Actor>,
    (first, below): (&str, &[String]),
    given_by: GivenBy,
) -> &'a mut Actor {
    let found = siblings.iter().position(|agent| agent.agent == first);
    let at = found.unwrap_or_else(|| {
        siblings.push(Actor::new(first));
        siblings.len() - 1
    });
    // INVARIANT: it was found there, or pushed there just now.
    let agent = &mut siblings[at];
    match below.split_first() {
        None => {
            agent.given_by = agent.given_by.max(given_by);
            agent
        }
        Some((next, below)) => {
            agent.given_by = agent.given_by.max(GivenBy::Agent);
            place(&mut agent.passed_on_to, (next, below), given_by)
        }
    }
}

impl Actor {
    fn new(agent: &str) -> Self {
        Self {
            agent: agent.to_owned(),
            given_by: GivenBy::Nobody,
            grants: BTreeSet::new(),
            calls: 0,
            permitted: 0,
            held: 0,
            denied: 0,
            budgets: Vec::new(),
            passed_on_to: Vec::new(),
            call_ids: BTreeSet::new(),
        }
    }

    /// Takes in what one of its grants bounds.
    fn bound(&mut self, grant: &str, (calls, calls_used): (Option<u64>, u64), budgets: &[Budget]) {
        let calls = calls.map(|limit| BudgetView {
            meter: Meter::Calls.as_str().to_owned(),
            limit: Some(limit.to_string()),
            spent: calls_used.to_string(),
            reserved: "0".to_owned(),
            unknown: "0".to_owned(),
        });
        let budgets = calls.into_iter().chain(budgets.iter().map(BudgetView::of));
        self.budgets.extend(budgets.map(|budget| Bound {
            grant: grant.to_owned(),
            budget,
        }));
    }

    fn count(&mut self, decision: &Decision) {
        if given_by(decision) != GivenBy::Nobody {
            self.grants.insert(decision.grant_id.clone());
        }
        self.call_ids.insert(decision.call_id.clone());
        self.calls = self.call_ids.len();
        match decision.verdict() {
            Verdict::Permit => self.permitted += 1,
            Verdict::Hold => self.held += 1,
            Verdict::Deny => self.denied += 1,
            Verdict::Unspecified => {}
        }
    }
}
