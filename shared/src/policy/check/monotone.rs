//! Finds rules by which a verdict could fall as its task gets worse.
//!
//! Verdicts are ordered: permit, hold, deny. More labels, more risk, more calls, a longer chain or older policy must never lower one. So
//! a permit must not become satisfied as such an input rises; a forbid must not cease to be, nor a hold's error (which denies) turn into
//! a hold. Whether that can be shown is told from the text of the rule alone, in two steps: what an expression does as inputs rise
//! ([`trend`]), and which part of it is to blame.
//!
//! **Invariant**: a rule without a finding is monotone, whatever the inputs; a property test evaluates all of them. One with a finding
//! may be: nothing is proven of what the analysis does not understand.

mod inputs;
mod outcome;
mod trend;

use std::ops::Range;

use cedar_policy_core::ast::{Expr, ExprKind, UnaryOp};

use crate::policy::finding::{Finding, Place};
use crate::policy::rule::{Rule, RuleKind};
use inputs::At;
pub(super) use inputs::children;
use outcome::{Guards, Outcome, outcome};

/// What must hold of a rule as inputs rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Once it is satisfied or errs, it stays so.
    Grow,
    /// Once it is not satisfied, it stays so.
    Shrink,
}

/// A part of a rule by which a verdict could fall.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Suspect {
    /// Where, in the text of the rule.
    at: Option<Range<usize>>,
    message: String,
    help: &'static str,
}

const HELP_GROW: &str = "more labels, risk, calls or age must never lift it: compare with `>` or `>=`, ask with `contains` or `has`, \
                         and negate neither; `unless` negates";
const HELP_SHRINK: &str = "more labels, risk, calls or age must never let it permit more: compare with `<` or `<=`, negate `contains` \
                           and `has` (`unless` negates), or forbid the opposite";
const HELP_ERROR: &str = "ask with `has` first, or put what may be missing before what is asked of the task";

/// What keeps a rule from being shown to be monotone.
pub(super) fn findings(rule: &Rule, place: Place<'_>) -> Vec<Finding> {
    let found = suspects(rule).into_iter().map(|suspect| {
        let at = suspect
            .at
            .map_or_else(|| rule.at(), |at| rule.offset + at.start..rule.offset + at.end);
        place.error(at, suspect.message, suspect.help)
    });
    found.collect()
}

/// The name of an input that is a number, and the highest it can be.
pub(super) fn bounds(expression: &Expr) -> Option<(String, i64)> {
    let path = inputs::path(expression)?;
    match inputs::at(&path) {
        At::Rising(highest) => Some((inputs::first(expression).name, highest.unwrap_or(i64::MAX))),
        _ => None,
    }
}

/// Whether it is the labels of the task.
pub(super) fn is_labels(expression: &Expr) -> bool {
    inputs::path(expression).is_some_and(|path| path == ["task", "labels"])
}

/// The parts of a rule by which a verdict could fall; none: it is monotone.
fn suspects(rule: &Rule) -> Vec<Suspect> {
    let Some(conditions) = rule.policy.non_scope_constraints() else {
        return Vec::new();
    };
    let demand = match rule.kind {
        RuleKind::Permit => Demand::Shrink,
        RuleKind::Forbid | RuleKind::Hold(_) | RuleKind::Yield(_) => Demand::Grow,
    };
    let whole = outcome(conditions, &Guards::default());
    // A forbid that errs denies as one that is satisfied does; a hold that errs denies, and one that is satisfied does not.
    let error_may_fade = matches!(rule.kind, RuleKind::Hold(_)) && !whole.errors_grow();
    if demand.is_met_by(whole) && !error_may_fade {
        return Vec::new();
    }
    let mut blamed = Vec::new();
    blame(conditions, demand, &Guards::default(), &mut blamed);
    if blamed.is_empty() {
        return vec![suspect_error(rule, conditions)];
    }
    blamed.into_iter().map(|part| suspect(rule, part)).collect()
}

impl Demand {
    const fn is_met_by(self, outcome: Outcome) -> bool {
        match self {
            Self::Grow => outcome.fails.shrinks,
            Self::Shrink => outcome.holds.shrinks,
        }
    }

    const fn opposite(self) -> Self {
        match self {
            Self::Grow => Self::Shrink,
            Self::Shrink => Self::Grow,
        }
    }
}

/// The smallest parts that do not meet what is demanded of them.
fn blame<'e>(part: &'e Expr, demand: Demand, guards: &Guards<'e>, blamed: &mut Vec<&'e Expr>) {
    if !inputs::mentions(part) {
        return;
    }
    match part.expr_kind() {
        // `a > b` is `!(a <= b)`: to whoever wrote it one thing, at one place.
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } if is_compound(arg) || arg.source_loc() != part.source_loc() => {
            blame(arg, demand.opposite(), guards, blamed);
        }
        ExprKind::And { left, right } | ExprKind::Or { left, right } => {
            blame(left, demand, guards, blamed);
            let asked = guards.and(left);
            let guards = if matches!(part.expr_kind(), ExprKind::And { .. }) {
                &asked
            } else {
                guards
            };
            blame(right, demand, guards, blamed);
        }
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => {
            if demand.is_met_by(outcome(part, guards)) {
                return;
            }
            let before = blamed.len();
            blame(then_expr, demand, &guards.and(test_expr), blamed);
            blame(else_expr, demand, guards, blamed);
            if blamed.len() == before {
                blamed.push(part);
            }
        }
        _ if demand.is_met_by(outcome(part, guards)) => {}
        _ => blamed.push(part),
    }
}

fn is_compound(part: &Expr) -> bool {
    matches!(
        part.expr_kind(),
        ExprKind::And { .. } | ExprKind::Or { .. } | ExprKind::If { .. }
    )
}

fn suspect(rule: &Rule, part: &Expr) -> Suspect {
    let input = inputs::first(part);
    let consequence = match (&rule.kind, input.falls) {
        (RuleKind::Permit, false) => "with more of it the rule could permit what it did not",
        (RuleKind::Permit, true) => "with less of it the rule could permit what it did not",
        (RuleKind::Yield(_), false) => "with more of it the rule could cease to label",
        (RuleKind::Yield(_), true) => "with less of it the rule could cease to label",
        (_, false) => "with more of it the rule could cease to apply",
        (_, true) => "with less of it the rule could cease to apply",
    };
    // Of the whole rule, not of a part that is negated in it.
    let help = match rule.kind {
        RuleKind::Permit => HELP_SHRINK,
        _ => HELP_GROW,
    };
    Suspect {
        at: part.source_loc().map(|loc| loc.start()..loc.end()),
        message: format!(
            "rule `{}` may not be monotone in `{}`: {consequence}",
            rule.id, input.name
        ),
        help,
    }
}

fn suspect_error(rule: &Rule, conditions: &Expr) -> Suspect {
    Suspect {
        at: conditions.source_loc().map(|loc| loc.start()..loc.end()),
        message: format!(
            "rule `{}` may not be monotone in `{}`: a part of it may err, and is asked or not as that rises",
            rule.id,
            inputs::first(conditions).name
        ),
        help: HELP_ERROR,
    }
}

#[cfg(test)]
mod tests;
