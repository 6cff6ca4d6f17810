//! What holds of all packs together, and not of those that some enforcers run.
//!
//! Selectors give each enforcer a part of the packs: a type, an entity or a tool that a rule relies on may stand in a pack
//! that its enforcers lack. What only leads nowhere there (a tool, a type of entities) makes a rule that never applies; what
//! would refuse the composition or make a rule err is an error.

use std::collections::BTreeSet;

use cedar_policy::ValidationError;
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal};

use super::Check;
use crate::policy::finding::Finding;
use crate::policy::pack::Pack;
use crate::policy::rule::Rule;

/// Checks the packs that enforcers with these labels run, out of packs that pass [`super::check`] together. Only errors,
/// and each says whom it would hit. Where these enforcers run all packs or none, there is nothing to add.
pub fn check_selected(packs: &[&Pack], labels: &[(String, String)]) -> Vec<Finding> {
    let selected: Vec<&Pack> = packs
        .iter()
        .copied()
        .filter(|pack| pack.selects(labels))
        .collect();
    if selected.is_empty() || selected.len() == packs.len() {
        return Vec::new();
    }
    let mut check = Check {
        is_part: true,
        ..Check::of(&selected)
    };
    check.types();
    check.findings.retain(|(_, finding)| finding.is_error());
    let whom = enforcers_with(labels);
    check
        .finish()
        .into_iter()
        .map(|finding| finding.for_whom(&whom))
        .collect()
}

/// How errors call the enforcers with these labels.
pub fn enforcers_with(labels: &[(String, String)]) -> String {
    if labels.is_empty() {
        return "enforcers without labels".to_owned();
    }
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("`{key}={value}`"))
        .collect();
    format!("enforcers with {}", labels.join(", "))
}

/// Whether a rule is refused only for speaking of what these packs don't declare. Such a rule never applies, or compares with
/// what nobody can be; unless it asks an entity of a type that is not there for an attribute: that errs.
pub(super) fn only_leads_nowhere(error: &ValidationError, rule: &Rule, declared: &BTreeSet<String>) -> bool {
    let is_undeclared = |part: &Expr| match part.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(uid)) => !declared.contains(&uid.entity_type().to_string()),
        _ => false,
    };
    let asks = |part: &Expr| match part.expr_kind() {
        ExprKind::GetAttr { expr, .. } => expr.subexpressions().any(is_undeclared),
        ExprKind::BinaryApp {
            op: BinaryOp::GetTag,
            arg1,
            ..
        } => arg1.subexpressions().any(is_undeclared),
        _ => false,
    };
    match error {
        ValidationError::UnrecognizedActionId(_) => true,
        ValidationError::UnrecognizedEntityType(_) => {
            let conditions = rule.policy.non_scope_constraints();
            !conditions.is_some_and(|conditions| conditions.subexpressions().any(asks))
        }
        _ => false,
    }
}
