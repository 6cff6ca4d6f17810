//! What a rule's conditions look at: which arguments, and whether the ledger of the task and the size of the result.
//!
//! **Invariant**: never too little. Where `context`, `context.input` or `context.task` is used as a whole, the rule reads everything
//! in it.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{Expr, ExprKind, Var};
use smol_str::SmolStr;

/// What a rule reads, beside what every call has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) arguments: Named,
    /// Something of what the task has done.
    pub(super) ledger: bool,
    /// What is known of the result.
    pub(super) result: bool,
    /// Where values came from.
    pub(super) pedigree: bool,
}

/// The arguments a rule reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// Maybe any.
    Everything,
    /// These.
    Only(BTreeSet<SmolStr>),
}

/// The member of the context that holds the arguments.
pub(super) const INPUT: &str = "input";
/// The one that holds the task.
pub(super) const TASK: &str = "task";
/// The one that says what is known of a result.
pub(super) const RESULT: &str = "result";
/// The one that says where arguments came from.
pub(super) const ARGUMENTS_FROM: &str = "arguments_from";
/// The one that sums up how risky the call is, from the ledger among others.
pub(super) const RISK: &str = "risk";
/// The members of the task that are in its ledger.
pub(super) const LEDGER: [&str; 6] = ["labels", "sensitivity", "calls", "used", "reversibility", "spent"];

/// How often `context` and two of its members stand in an expression, and how often only one member of them is used.
#[derive(Default)]
struct Uses {
    names: BTreeSet<SmolStr>,
    contexts: isize,
    inputs: isize,
    tasks: isize,
    ledger: bool,
    result: bool,
    pedigree: bool,
}

impl Reads {
    /// Of a rule without conditions.
    pub(super) const fn nothing() -> Self {
        Self {
            arguments: Named::Only(BTreeSet::new()),
            ledger: false,
            result: false,
            pedigree: false,
        }
    }

    /// What an expression reads.
    pub(super) fn of(expression: &Expr) -> Self {
        let mut uses = Uses::default();
        expression.subexpressions().for_each(|part| uses.count(part));
        let is_whole = uses.contexts != 0;
        Self {
            ledger: is_whole || uses.tasks != 0 || uses.ledger,
            result: is_whole || uses.result,
            pedigree: is_whole || uses.pedigree,
            arguments: if is_whole || uses.inputs != 0 {
                Named::Everything
            } else {
                Named::Only(uses.names)
            },
        }
    }

    /// Whether this argument may be read.
    pub(super) fn may_read(&self, argument: &str) -> bool {
        match &self.arguments {
            Named::Everything => true,
            Named::Only(names) => names.contains(argument),
        }
    }
}

impl Uses {
    fn count(&mut self, part: &Expr) {
        let (base, members) = match part.expr_kind() {
            ExprKind::Var(Var::Context) => {
                self.contexts += 1;
                return;
            }
            ExprKind::GetAttr { expr, attr } => {
                let is_of_context = is_context(expr);
                self.inputs += isize::from(is_of_context && attr == INPUT);
                self.tasks += isize::from(is_of_context && attr == TASK);
                (expr, [Some(attr), None])
            }
            ExprKind::HasAttr { expr, attr } => (expr, [Some(attr), None]),
            ExprKind::ExtHasAttr { expr, attrs } => (expr, [Some(attrs.first()), attrs.get(1)]),
            _ => return,
        };
        if is_context(base) {
            self.contexts -= 1;
            self.result |= members[0].is_some_and(|first| first == RESULT);
            self.pedigree |= members[0].is_some_and(|first| first == ARGUMENTS_FROM);
            self.ledger |= members[0].is_some_and(|first| first == RISK);
            match members {
                [Some(first), Some(argument)] if first == INPUT => {
                    self.names.insert(argument.clone());
                }
                [Some(first), Some(member)] if first == TASK => self.count_of_task(member),
                _ => {}
            }
        } else if is_member(base, INPUT) {
            self.inputs -= 1;
            self.names.extend(members[0].cloned());
        } else if is_member(base, TASK) {
            self.tasks -= 1;
            members
                .into_iter()
                .take(1)
                .flatten()
                .for_each(|member| self.count_of_task(member));
        }
    }

    fn count_of_task(&mut self, member: &SmolStr) {
        self.ledger |= LEDGER.contains(&member.as_str());
    }
}

fn is_context(expression: &Expr) -> bool {
    matches!(expression.expr_kind(), ExprKind::Var(Var::Context))
}

fn is_member(expression: &Expr, name: &str) -> bool {
    matches!(expression.expr_kind(), ExprKind::GetAttr { expr, attr } if attr == name && is_context(expr))
}

#[cfg(test)]
mod tests;
