//! Which arguments a rule's conditions look at.
//!
//! **Invariant**: never too few. Where `context` or `context.input` is used as a whole, the rule reads everything.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{Expr, ExprKind, Var};
use smol_str::SmolStr;

/// The arguments a rule reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reads {
    /// Maybe any.
    Everything,
    /// These.
    Only(BTreeSet<SmolStr>),
}

/// The member of the context that holds the arguments.
pub(super) const INPUT: &str = "input";

/// How often `context` and `context.input` stand in an expression, and how often only one member of them is used.
#[derive(Default)]
struct Uses {
    names: BTreeSet<SmolStr>,
    contexts: isize,
    inputs: isize,
}

impl Reads {
    /// Of a rule without conditions.
    pub(super) const fn nothing() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// What an expression reads.
    pub(super) fn of(expression: &Expr) -> Self {
        let mut uses = Uses::default();
        expression.subexpressions().for_each(|part| uses.count(part));
        if uses.contexts == 0 && uses.inputs == 0 {
            Self::Only(uses.names)
        } else {
            Self::Everything
        }
    }

    /// Whether this argument may be read.
    pub(super) fn may_read(&self, argument: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(names) => names.contains(argument),
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
                self.inputs += isize::from(is_context(expr) && attr == INPUT);
                (expr, [Some(attr), None])
            }
            ExprKind::HasAttr { expr, attr } => (expr, [Some(attr), None]),
            ExprKind::ExtHasAttr { expr, attrs } => (expr, [Some(attrs.first()), attrs.get(1)]),
            _ => return,
        };
        if is_context(base) {
            self.contexts -= 1;
            if let [Some(first), Some(argument)] = members
                && first == INPUT
            {
                self.names.insert(argument.clone());
            }
        } else if is_input(base) {
            self.inputs -= 1;
            self.names.extend(members[0].cloned());
        }
    }
}

fn is_context(expression: &Expr) -> bool {
    matches!(expression.expr_kind(), ExprKind::Var(Var::Context))
}

fn is_input(expression: &Expr) -> bool {
    matches!(expression.expr_kind(), ExprKind::GetAttr { expr, attr } if attr == INPUT && is_context(expr))
}

#[cfg(test)]
mod tests;
