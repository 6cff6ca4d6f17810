//! Warns of rules that can never apply, or that apply whatever is asked: comparisons that always come out the same, labels that nothing
//! yields.
//!
//! Cedar's own validator says of a rule that no call has the types for it; here is what only the product knows: between which numbers
//! an input lies, and where labels come from.
//!
//! **Invariant**: what is warned of here is so for these packs; what may be otherwise with others is said to be.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, UnaryOp};

use super::{Check, monotone};
use crate::label::Label;
use crate::ledger::Sensitivity;
use crate::policy::evaluate::SENSITIVITY;
use crate::policy::finding::{Finding, Place};
use crate::policy::rule::{Rule, RuleKind};

/// One rule, looked at.
struct Look<'r> {
    rule: &'r Rule,
    place: Place<'r>,
    /// What something here yields.
    yielded: &'r BTreeSet<Label>,
    found: Vec<Finding>,
}

impl Check<'_> {
    /// Looks at every rule that was not refused already, and of which nothing has been said already that it never applies.
    pub(super) fn reach(&mut self, said: &HashSet<&str>) {
        if self.is_part {
            return;
        }
        let yielded = self.yielded();
        let is_open = |rule: &Rule| !said.contains(rule.id.as_str()) && self.means_a_tool(rule);
        let rules: Vec<_> = self.each_rule().filter(|(_, rule)| is_open(rule)).collect();
        for (pack, rule) in rules {
            let mut look = Look {
                rule,
                place: pack.place(&rule.origin.file),
                yielded: &yielded,
                found: Vec::new(),
            };
            look.at_conditions();
            let found = look.found.into_iter().map(|finding| (pack.name(), finding));
            self.findings.extend(found);
        }
    }

    /// The labels that a task can come to carry by what stands in these packs.
    fn yielded(&self) -> BTreeSet<Label> {
        let tools = self.each_tool().flat_map(|tool| &tool.yields);
        let rules = self.each_rule().filter_map(|(_, rule)| match &rule.kind {
            RuleKind::Yield(labels) => Some(labels),
            _ => None,
        });
        tools
            .chain(rules.flatten())
            .chain(&self.sensitivities)
            .cloned()
            .collect()
    }

    /// Notes how sensitive an entity says it is, and warns if that is none of the words.
    pub(super) fn sensitivity(
        &mut self,
        entity: &str,
        place: Place<'_>,
        at: Range<usize>,
    ) -> Option<Finding> {
        let entity: serde_json::Value = serde_json::from_str(entity).unwrap_or_default();
        let said = entity.get("attrs")?.get(SENSITIVITY)?;
        let known = said.as_str().and_then(Sensitivity::named);
        let label = known.unwrap_or(Sensitivity::Restricted).label();
        self.sensitivities.extend(label);
        if known.is_some() {
            return None;
        }
        let message = format!("the sensitivity `{}` counts as `restricted`", shown(said));
        let words = Sensitivity::ALL.map(|word| format!("`{word}`")).join(", ");
        Some(place.warning(at, message, format!("it is one of {words}")))
    }
}

impl Look<'_> {
    fn at_conditions(&mut self) {
        let rule = self.rule;
        let Some(conditions) = rule.policy.non_scope_constraints() else {
            return;
        };
        self.at_part(conditions);
        if !self.found.is_empty() {
            return;
        }
        let (message, help) = match fixed(conditions) {
            None => return,
            Some(true) => ("always hold", "remove them, or say what was meant"),
            Some(false) => (
                "never hold",
                "the rule can't apply; say what was meant, or remove it",
            ),
        };
        let message = format!("the conditions of rule `{}` {message}", rule.id);
        self.warn(conditions, message, help.to_owned());
    }

    fn at_part(&mut self, part: &Expr) {
        if let Some(holds) = compared(part) {
            return self.comparison(part, holds);
        }
        match part.expr_kind() {
            // `a > b` is `!(a <= b)`, at the same place.
            ExprKind::UnaryApp {
                op: UnaryOp::Not,
                arg,
            } if arg.source_loc() == part.source_loc() => {
                if let Some(holds) = compared(arg) {
                    return self.comparison(part, !holds);
                }
            }
            ExprKind::BinaryApp {
                op: BinaryOp::Contains | BinaryOp::ContainsAll | BinaryOp::ContainsAny,
                arg1,
                arg2,
            } => {
                for (set, words) in [(arg1, arg2), (arg2, arg1)] {
                    if monotone::is_labels(set) {
                        self.labels(words);
                    }
                }
            }
            _ => {}
        }
        for child in monotone::children(part) {
            self.at_part(child);
        }
    }

    fn comparison(&mut self, part: &Expr, holds: bool) {
        let text = part
            .source_loc()
            .and_then(|loc| self.rule.text.get(loc.start()..loc.end()));
        let what = text.map_or_else(|| "a comparison".to_owned(), |text| format!("`{text}`"));
        let always = if holds { "always" } else { "never" };
        let message = format!("{what} {always} holds in rule `{}`", self.rule.id);
        let help = match monotone::children(part).into_iter().find_map(bounded) {
            Some((name, 0, i64::MAX)) => format!("`{name}` is never below 0"),
            Some((name, low, high)) => format!("`{name}` lies between {low} and {high}"),
            None => "both sides are fixed".to_owned(),
        };
        self.warn(part, message, help);
    }

    /// Labels that are asked for: one, or a set of them.
    fn labels(&mut self, words: &Expr) {
        if let ExprKind::Set(elements) = words.expr_kind() {
            return elements.iter().for_each(|element| self.labels(element));
        }
        let ExprKind::Lit(Literal::String(word)) = words.expr_kind() else {
            return;
        };
        let (message, help) = match word.parse::<Label>() {
            Ok(label) if self.yielded.contains(&label) => return,
            Ok(label) => (
                format!("no tool here yields `{label}`: only a caller could find it"),
                "is the name right? what is yielded stands in `catalog/*.toml` and in `labels.cedar`",
            ),
            Err(error) => (format!("no task carries it: {error}"), "say what was meant"),
        };
        self.warn(words, message, help.to_owned());
    }

    fn warn(&mut self, part: &Expr, message: String, help: String) {
        let at = part.source_loc().map_or_else(
            || self.rule.at(),
            |loc| self.rule.offset + loc.start()..self.rule.offset + loc.end(),
        );
        self.found.push(self.place.warning(at, message, help));
    }
}

/// What a condition comes out as, if that is the same for every call.
fn fixed(part: &Expr) -> Option<bool> {
    match part.expr_kind() {
        ExprKind::Lit(Literal::Bool(value)) => Some(*value),
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => Some(!fixed(arg)?),
        ExprKind::And { left, right } => match (fixed(left), fixed(right)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        ExprKind::Or { left, right } => match (fixed(left), fixed(right)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => match fixed(test_expr) {
            Some(true) => fixed(then_expr),
            Some(false) => fixed(else_expr),
            None => fixed(then_expr).filter(|then| fixed(else_expr) == Some(*then)),
        },
        _ => compared(part),
    }
}

/// What a comparison of numbers comes out as, if that is the same for every call.
fn compared(part: &Expr) -> Option<bool> {
    let ExprKind::BinaryApp { op, arg1, arg2 } = part.expr_kind() else {
        return None;
    };
    let ((_, low, high), (_, other_low, other_high)) = (numbers(arg1)?, numbers(arg2)?);
    let is_apart = high < other_low || other_high < low;
    let is_one = low == high && (low, high) == (other_low, other_high);
    match op {
        BinaryOp::Less => always(high.cmp(&other_low) == Ordering::Less, low >= other_high),
        BinaryOp::LessEq => always(high <= other_low, low > other_high),
        BinaryOp::Eq => always(is_one, is_apart),
        _ => None,
    }
}

const fn always(holds: bool, fails: bool) -> Option<bool> {
    match (holds, fails) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// The numbers between which an expression lies; an input also by name.
fn numbers(part: &Expr) -> Option<(Option<String>, i64, i64)> {
    match part.expr_kind() {
        ExprKind::Lit(Literal::Long(value)) => Some((None, *value, *value)),
        _ => monotone::bounds(part).map(|(name, high)| (Some(name), 0, high)),
    }
}

fn bounded(part: &Expr) -> Option<(String, i64, i64)> {
    let of_one = |part: &Expr| numbers(part).and_then(|(name, low, high)| Some((name?, low, high)));
    of_one(part).or_else(|| monotone::children(part).into_iter().find_map(of_one))
}

/// An attribute's value, for people.
fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(word) => crate::text::shown(word),
        other => crate::text::shown(&other.to_string()),
    }
}

#[cfg(test)]
mod tests;
