//! The inputs in which verdicts are monotone, by where they stand in the context.
//!
//! **Invariant**: whatever holds one of them as a part is not taken for something else: it is an input that nothing is known of.

use cedar_policy_core::ast::{Expr, ExprKind, Var};
use smol_str::SmolStr;

use super::trend::Trend;
use crate::grant::{DEPTH_MAX, RISK_MAX};
use crate::ledger::Sensitivity;
use crate::policy::Reversibility;

/// What stands at a place of the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Nothing that rises.
    Steady,
    /// A number, a duration, a decimal or a set that rises, and the numbers between which it lies.
    Rising(Option<i64>),
    /// One that falls as things get worse: how long ago something was.
    Falling,
    /// Something in which such a thing is.
    Whole,
}

/// An input, as people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    /// Whether less of it is worse.
    pub(super) falls: bool,
}

/// The members of `context.task` that are numbers, and the highest each can be.
const OF_TASK: [(&str, Option<i64>); 4] = [
    ("risk", Some(RISK_MAX as i64)),
    ("sensitivity", Some(Sensitivity::Restricted.rank() as i64)),
    ("calls", None),
    ("reversibility", Some(Reversibility::Irreversible.rank() as i64)),
];

/// What stands at this place.
pub(super) fn at(path: &[&str]) -> At {
    match path {
        ["risk"] => At::Rising(Some(RISK_MAX.into())),
        ["policy_age"]
        | ["arguments_from", "untrusted"]
        | ["task", "labels"]
        | ["task", "spent", _]
        | ["task", "used", _, "times"] => At::Rising(None),
        ["chain", "depth"] => At::Rising(Some(DEPTH_MAX.into())),
        ["task", "used", _, "ago"] => At::Falling,
        [] | ["task" | "chain" | "arguments_from"] | ["task", "used" | "spent"] | ["task", "used", _] => {
            At::Whole
        }
        ["task", member] => OF_TASK
            .iter()
            .find(|(known, _)| known == member)
            .map_or(At::Steady, |(_, highest)| At::Rising(*highest)),
        _ => At::Steady,
    }
}

/// The place of an expression that is a place in the context.
pub(super) fn path(expression: &Expr) -> Option<Vec<&str>> {
    match expression.expr_kind() {
        ExprKind::Var(Var::Context) => Some(Vec::new()),
        ExprKind::GetAttr { expr, attr } => {
            let mut path = path(expr)?;
            path.push(attr.as_str());
            Some(path)
        }
        _ => None,
    }
}

/// Whether it asks for the use of a tool, which becomes true and stays so. None: it asks for nothing that rises.
pub(super) fn asks_for_use(base: &Expr, attrs: &[&SmolStr]) -> Option<Trend> {
    let Some(mut path) = path(base) else {
        return mentions(base).then_some(Trend::UNKNOWN);
    };
    let is_direct = path.len() <= 2;
    path.extend(attrs.iter().map(|attr| attr.as_str()));
    match path.as_slice() {
        ["task", "used", _, ..] if is_direct => Some(Trend::RISING),
        ["task", "used", _, ..] => Some(Trend::UNKNOWN),
        _ => None,
    }
}

/// Whether an input stands anywhere in it.
pub(super) fn mentions(expression: &Expr) -> bool {
    find(expression).is_some()
}

/// The first input that stands in it.
pub(super) fn first(expression: &Expr) -> Named {
    find(expression).unwrap_or_else(|| Named {
        name: "context".to_owned(),
        falls: false,
    })
}

fn find(expression: &Expr) -> Option<Named> {
    if let Some(path) = path(expression) {
        let at = at(&path);
        return (at != At::Steady).then(|| named(&path, at == At::Falling));
    }
    match expression.expr_kind() {
        ExprKind::HasAttr { expr, attr } => found_use(expr, &[attr]),
        ExprKind::ExtHasAttr { expr, attrs } => found_use(expr, &attrs.iter().collect::<Vec<_>>()),
        _ => children(expression).into_iter().find_map(find),
    }
}

fn found_use(base: &Expr, attrs: &[&SmolStr]) -> Option<Named> {
    asks_for_use(base, attrs)?;
    match path(base) {
        Some(path) => Some(named(&path, false)),
        None => find(base),
    }
}

fn named(path: &[&str], falls: bool) -> Named {
    let mut name = "context".to_owned();
    for member in path {
        if member.contains('/') {
            name.extend(["[\"", member, "\"]"]);
        } else {
            name.extend([".", member]);
        }
    }
    Named { name, falls }
}

/// What an expression is made of, one step down.
pub(in super::super) fn children(expression: &Expr) -> Vec<&Expr> {
    match expression.expr_kind() {
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => vec![&**test_expr, &**then_expr, &**else_expr],
        ExprKind::And { left, right } | ExprKind::Or { left, right } => vec![&**left, &**right],
        ExprKind::UnaryApp { arg, .. } => vec![&**arg],
        ExprKind::BinaryApp { arg1, arg2, .. } => vec![&**arg1, &**arg2],
        ExprKind::ExtensionFunctionApp { args, .. } => args.iter().collect(),
        ExprKind::GetAttr { expr, .. }
        | ExprKind::HasAttr { expr, .. }
        | ExprKind::ExtHasAttr { expr, .. }
        | ExprKind::Like { expr, .. }
        | ExprKind::Is { expr, .. } => vec![&**expr],
        ExprKind::Set(elements) => elements.iter().collect(),
        ExprKind::Record(members) => members.values().collect(),
        _ => Vec::new(),
    }
}
