//! The verdict: from a bundle and a situation to permit, hold or deny.
//!
//! Order: unknown tool, out of scope (tool, arguments, data), arguments that are not what they may be, a ledger that rules read and
//! nobody knows; then the rules. Any forbid that erred denies, then any satisfied forbid, then the lack of a permit, then data that
//! the task may not touch; what is left waits for people if a `@hold` is satisfied, and is permitted if none is.
//!
//! Beside the verdict stand the labels of what the call brings into its task: the catalog's, those of rules with `@yields`, and how
//! sensitive the resource is that it reads. A label is never lost to an error: a rule with `@yields` that erred yields.
//!
//! **Invariant**: each rule is satisfied, not, or erred exactly as Cedar evaluates it. An erring forbid is never skipped; an
//! erring permit never counts.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityUID, Literal, PartialValue, ValueKind};
use cedar_policy_core::entities::{Dereference, Entities};
use cedar_policy_core::evaluator::{EvaluationError, Evaluator};
use cedar_policy_core::extensions::Extensions;

use super::bundle::{Bundle, CompiledRule};
use super::catalog::{Effect, Tool};
use super::index::{Moved, RuleAt};
use super::request::{Known, Question};
use super::rule::RuleKind;
use super::value::Mismatch;
use crate::action::Action;
use crate::decision::{Cause, Tier, Verdict};
use crate::grant::{Grant, OutOfScope};
use crate::hold::Requirement;
use crate::identity::SpiffeId;
use crate::label::Label;
use crate::ledger::{Ledger, Pedigree, Sensitivity};
use crate::text::shown;

/// The attribute by which an entity says how sensitive it is.
pub(super) const SENSITIVITY: &str = "sensitivity";

/// Everything a verdict depends on, apart from the bundle. Whether the caller is the grant's agent and whether the grant
/// holds now is for the gate to say, before.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What is asked for.
    pub action: &'a Action,
    /// Under which authority.
    pub grant: &'a Grant,
    /// Who passed the grant on to its agent, root first.
    pub delegated_by: &'a [SpiffeId],
    /// The wall clock.
    pub now_ms: u64,
    /// How long ago the bundle was confirmed to be the newest.
    pub policy_age_ms: u64,
    /// What the task has done; none: it is not known here, and a call that a rule would ask about by it is denied.
    pub ledger: Option<&'a Ledger>,
    /// Where the values of the call came from; none: it is not known here, as with the ledger.
    pub pedigree: Option<&'a Pedigree>,
    /// How much the call gave; none: it has not been made.
    pub result: Option<ResultSize>,
}

/// How much a call gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResultSize {
    /// Bytes.
    pub bytes: u64,
    /// Records, if it gave such.
    pub rows: Option<u64>,
}

impl Situation<'_> {
    /// Whether the task covers the call and what the tool gives in return.
    fn is_covered(&self, tool: &Tool) -> Result<(), OutOfScope> {
        self.grant.scope.admits(&tool.id, &self.action.arguments)?;
        match &self.grant.data {
            Some(data) => data.admits(&tool.id, &tool.yields),
            None => Ok(()),
        }
    }
}

/// A verdict, and what made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What may happen.
    pub verdict: Verdict,
    /// Why, for machines.
    pub cause: Cause,
    /// Why, for people. Never holds the value of an argument.
    pub reason: String,
    /// The ids of the rules that decided, sorted.
    pub rules: Vec<String>,
    /// What the tool's catalog entry demands before release.
    pub tier: Tier,
    /// For a hold: whom it waits for, one per rule.
    pub requirements: Vec<Requirement>,
    /// The labels of what the call brings into its task, if it is let through.
    pub yields: BTreeSet<Label>,
    /// A rule looked at the ledger: what is to be released must be judged by the newest.
    pub reads_ledger: bool,
    /// A rule asked where its arguments came from.
    pub reads_pedigree: bool,
    /// What rules with `@yields` may add that ask how much the call gave: known only once it was made.
    pub may_yield: BTreeSet<Label>,
}

/// The rules that mattered, by what they said. In the order of their ids.
#[derive(Default)]
struct Votes<'b> {
    erred: Vec<(&'b CompiledRule, &'static str)>,
    forbid: Vec<&'b CompiledRule>,
    hold: Vec<&'b CompiledRule>,
    permit: Vec<&'b CompiledRule>,
    yields: BTreeSet<Label>,
}

impl Bundle {
    /// Judges a situation, evaluating only the rules that could apply.
    pub fn judge(&self, situation: &Situation<'_>) -> Judgement {
        self.judge_among(situation, &self.entities, None)
    }

    /// Judges a situation by every rule there is: what [`Bundle::judge`] is held to.
    pub fn judge_unindexed(&self, situation: &Situation<'_>) -> Judgement {
        self.judge_all_among(situation, &self.entities)
    }

    /// Judges a situation among these entities, of which `moved` are in more than the bundle's own.
    pub(super) fn judge_among(
        &self,
        situation: &Situation<'_>,
        entities: &Entities,
        moved: Option<&Moved>,
    ) -> Judgement {
        self.judge_by(situation, entities, |question| {
            self.index.candidates(
                &question.principal,
                &question.action,
                &question.resource,
                entities,
                moved,
            )
        })
    }

    /// The same, by every rule there is.
    pub(super) fn judge_all_among(&self, situation: &Situation<'_>, entities: &Entities) -> Judgement {
        let all = RuleAt::try_from(self.rules.len()).unwrap_or(RuleAt::MAX);
        self.judge_by(situation, entities, |_| (0..all).collect())
    }

    fn judge_by(
        &self,
        situation: &Situation<'_>,
        entities: &Entities,
        candidates: impl FnOnce(&Question) -> Vec<RuleAt>,
    ) -> Judgement {
        let id = &situation.action.tool;
        let Some(tool) = self.tools.get(id.as_str()) else {
            let reason = format!("the catalog does not know the tool `{}`", shown(id));
            return Judgement::deny(Cause::UnknownTool, reason, Tier::Full);
        };
        let tier = tool.tier;
        if let Err(outside) = situation.is_covered(&tool.tool) {
            return Judgement::deny(Cause::OutOfScope, outside.to_string(), tier);
        }
        let question = match Question::new(tool, situation) {
            Ok(question) => question,
            Err(mismatch) => return Judgement::deny(Cause::InvalidArguments, mismatch.reason(), tier),
        };
        let candidates = candidates(&question);
        let rules = || candidates.iter().filter_map(|at| self.rules.get(*at as usize));
        let applies = |rule: &CompiledRule| {
            let scopes = Evaluator::new(question.request(), entities, Extensions::all_available());
            rule.applies(&scopes)
        };
        if let Some(argument) = unreadable(&question, rules(), applies) {
            let reason = format!(
                "argument `{argument}` has no exact value that rules could compare: at most four decimal places \
                 and 19 digits, dates and durations as Cedar writes them"
            );
            return Judgement::deny(Cause::InvalidArguments, reason, tier);
        }
        let reads_ledger = rules().any(|rule| rule.reads.ledger && applies(rule));
        let reads_pedigree = rules().any(|rule| rule.reads.pedigree && applies(rule));
        let by_size = rules().filter_map(|rule| rule.labels_result().filter(|_| applies(rule)));
        let may_yield = by_size.flatten().cloned().collect();
        let known = Known {
            ledger: situation.ledger.filter(|_| reads_ledger),
            pedigree: situation.pedigree.filter(|_| reads_pedigree),
        };
        if known.ledger.is_some() != reads_ledger || known.pedigree.is_some() != reads_pedigree {
            let reason = "what this task has done so far is not known here, and a rule asks for it";
            let judgement = Judgement::deny(Cause::LedgerUnknown, reason.to_owned(), tier);
            return Judgement {
                reads_ledger,
                reads_pedigree,
                may_yield,
                ..judgement
            };
        }
        let question = question.within(&self.tools, situation, known, entities);
        let evaluator = Evaluator::new(question.request(), entities, Extensions::all_available());
        let mut votes = Votes::collect(rules(), &evaluator);
        votes.yields.extend(tool.tool.yields.iter().cloned());
        if tool.tool.effects.contains(&Effect::Read) {
            let sensitivity = sensitivity_of(&question.resource, entities);
            votes.yields.extend(sensitivity.and_then(Sensitivity::label));
        }
        let outside = votes.is_outside(situation);
        let yields = std::mem::take(&mut votes.yields);
        let judgement = votes.judgement(id, tier);
        let judgement = match outside {
            Some(outside) if judgement.verdict != Verdict::Deny => {
                Judgement::deny(Cause::OutOfScope, outside.to_string(), tier)
            }
            _ => judgement,
        };
        Judgement {
            yields,
            reads_ledger,
            reads_pedigree,
            may_yield,
            ..judgement
        }
    }
}

impl<'b> Votes<'b> {
    fn collect(rules: impl Iterator<Item = &'b CompiledRule>, evaluator: &Evaluator<'_>) -> Self {
        let mut votes = Self::default();
        for rule in rules {
            match (rule.evaluate(evaluator), &rule.kind) {
                (Ok(true) | Err(_), RuleKind::Yield(labels)) => votes.yields.extend(labels.iter().cloned()),
                (Ok(false), _) | (Err(_), RuleKind::Permit) => {}
                (Err(why), RuleKind::Forbid | RuleKind::Hold(_)) => votes.erred.push((rule, why)),
                (Ok(true), RuleKind::Permit) => votes.permit.push(rule),
                (Ok(true), RuleKind::Forbid) => votes.forbid.push(rule),
                (Ok(true), RuleKind::Hold(_)) => votes.hold.push(rule),
            }
        }
        votes
    }

    /// The label that the task may not touch, if there is one.
    fn is_outside(&self, situation: &Situation<'_>) -> Option<OutOfScope> {
        let data = situation.grant.data.as_ref()?;
        data.admits(&situation.action.tool, &self.yields).err()
    }

    fn judgement(self, tool: &str, tier: Tier) -> Judgement {
        if let [(rule, why), ..] = self.erred.as_slice() {
            let reason = format!("rule `{}` could not be evaluated: {why}", rule.id);
            let erred: Vec<_> = self.erred.iter().map(|(rule, _)| *rule).collect();
            return Judgement::deny(Cause::RuleErred, reason, tier).by(&erred);
        }
        if let [rule, ..] = self.forbid.as_slice() {
            let reason = rule.said("forbidden");
            return Judgement::deny(Cause::Forbidden, reason, tier).by(&self.forbid);
        }
        let [permit, ..] = self.permit.as_slice() else {
            let reason = format!("no rule permits `{tool}` here");
            return Judgement::deny(Cause::NoPermit, reason, tier);
        };
        let (verdict, cause, rules, reason) = match self.hold.as_slice() {
            [] => (
                Verdict::Permit,
                Cause::Permitted,
                &self.permit,
                permit.said("permitted"),
            ),
            [rule, ..] => (
                Verdict::Hold,
                Cause::Held,
                &self.hold,
                rule.said("waits for people"),
            ),
        };
        let requirements = self.hold.iter().filter_map(|rule| rule.requirement()).collect();
        Judgement {
            verdict,
            cause,
            reason,
            rules: Vec::new(),
            tier,
            requirements,
            yields: BTreeSet::new(),
            reads_ledger: false,
            reads_pedigree: false,
            may_yield: BTreeSet::new(),
        }
        .by(rules)
    }
}

impl ResultSize {
    /// As large as can be: what is assumed of one that nobody tells.
    pub const MAX: Self = Self {
        bytes: u64::MAX,
        rows: Some(u64::MAX),
    };
}

impl Judgement {
    /// The labels of what the call brings, if rules were asked; none, if it was denied before.
    pub const fn labels(&self) -> Option<&BTreeSet<Label>> {
        match self.cause {
            Cause::Permitted | Cause::Held | Cause::Forbidden | Cause::NoPermit | Cause::RuleErred => {
                Some(&self.yields)
            }
            _ => None,
        }
    }

    fn deny(cause: Cause, reason: String, tier: Tier) -> Self {
        Self {
            verdict: Verdict::Deny,
            cause,
            reason,
            rules: Vec::new(),
            tier,
            requirements: Vec::new(),
            yields: BTreeSet::new(),
            reads_ledger: false,
            reads_pedigree: false,
            may_yield: BTreeSet::new(),
        }
    }

    fn by(mut self, rules: &[&CompiledRule]) -> Self {
        self.rules = rules.iter().map(|rule| rule.id.clone()).collect();
        self
    }
}

impl CompiledRule {
    /// Whether it is satisfied, or why that can't be said.
    fn evaluate(&self, evaluator: &Evaluator<'_>) -> Result<bool, &'static str> {
        let value = evaluator
            .interpret(&self.condition, &self.slots)
            .map_err(|error| explain(&error))?;
        match value.value_kind() {
            ValueKind::Lit(Literal::Bool(satisfied)) => Ok(*satisfied),
            _ => Err("its condition is neither true nor false"),
        }
    }

    /// Whether its scope is satisfied. Comparing identities can't err.
    fn applies(&self, evaluator: &Evaluator<'_>) -> bool {
        let scope = evaluator.interpret(&self.scope, &self.slots);
        !scope.is_ok_and(|scope| *scope.value_kind() == ValueKind::from(false))
    }

    /// The labels that it gives a result by how much that is.
    const fn labels_result(&self) -> Option<&BTreeSet<Label>> {
        match &self.kind {
            RuleKind::Yield(labels) if self.reads.result => Some(labels),
            _ => None,
        }
    }

    /// Its reason, for people.
    fn said(&self, what: &str) -> String {
        if self.reason.is_empty() {
            format!("{what} by rule `{}`", self.id)
        } else {
            format!("{} (rule `{}`)", self.reason, self.id)
        }
    }

    fn requirement(&self) -> Option<Requirement> {
        let RuleKind::Hold(terms) = &self.kind else {
            return None;
        };
        Some(Requirement {
            rule: self.id.clone(),
            group: terms.group.clone(),
            quorum: terms.quorum,
            decide_within_ms: terms.decide_within_ms,
            use_within_ms: terms.use_within_ms,
            reason: self.reason.clone(),
        })
    }
}

impl Mismatch {
    fn reason(&self) -> String {
        let shown = shown(&self.path);
        format!("argument `{shown}` {}", self.wrong)
    }
}

/// The first argument without an exact value that a rule of this scope reads. Only scopes are asked, not keys of the index:
/// the answer must not depend on how candidates were found.
fn unreadable<'q, 'b>(
    question: &'q Question,
    rules: impl Iterator<Item = &'b CompiledRule>,
    applies: impl Fn(&CompiledRule) -> bool,
) -> Option<&'q str> {
    if question.inexact.is_empty() {
        return None;
    }
    let rules: Vec<_> = rules.collect();
    let is_read = |argument: &&String| {
        let mut reading = rules.iter().filter(|rule| rule.reads.may_read(argument));
        reading.any(|rule| applies(rule))
    };
    question.inexact.iter().find(is_read).map(String::as_str)
}

/// How sensitive a resource is whose entity says so. A word that is none of the four stands for the highest.
pub(super) fn sensitivity_of(resource: &EntityUID, entities: &Entities) -> Option<Sensitivity> {
    let Dereference::Data(entity) = entities.entity(resource) else {
        return None;
    };
    let sensitivity = match entity.get(SENSITIVITY)? {
        PartialValue::Value(value) => match value.value_kind() {
            ValueKind::Lit(Literal::String(word)) => Sensitivity::named(word),
            _ => None,
        },
        PartialValue::Residual(_) => None,
    };
    Some(sensitivity.unwrap_or(Sensitivity::Restricted))
}

/// What went wrong, without the values it went wrong with: they may be secret.
const fn explain(error: &EvaluationError) -> &'static str {
    match error {
        EvaluationError::EntityDoesNotExist(_) => "it asks for an attribute of an entity that does not exist",
        EvaluationError::EntityAttrDoesNotExist(_) => "it asks for an attribute that an entity does not have",
        EvaluationError::RecordAttrDoesNotExist(_) => {
            "it asks for something that is not there; test with `has` first"
        }
        EvaluationError::TypeError(_) => "it compares values of different types",
        EvaluationError::IntegerOverflow(_) => "a number overflowed",
        EvaluationError::FailedExtensionFunctionExecution(_) => "a function was given a value it can't read",
        EvaluationError::RecursionLimit(_) => "it is nested too deep",
        _ => "it is not a rule that can be evaluated",
    }
}

#[cfg(test)]
mod labels;
#[cfg(test)]
mod tests;
