//! One rule: a Cedar policy, and what its annotations say.
//!
//! **Invariant**: everything about a rule comes from its text, by this code, in the control plane and in the enforcer: the
//! two can't differ. An annotation that is not understood refuses the rule, so that a misspelt `@hold` never becomes a
//! plain forbid or, worse, nothing.

mod annotations;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use cedar_policy_core::ast::{self, PolicyID};
use cedar_policy_core::parser;

use super::finding::{Finding, Place, diagnosed};
use crate::label::Label;
use annotations::Said;

/// How many people must say yes, unless `@quorum` says otherwise.
pub const QUORUM_DEFAULT: u32 = 1;
/// How long people may take, unless `@decide_within` says otherwise.
pub const DECIDE_WITHIN_MS_DEFAULT: u64 = 15 * 60_000;
/// How long an approval stays usable, unless `@use_within` says otherwise.
pub const USE_WITHIN_MS_DEFAULT: u64 = 5 * 60_000;
/// The file of a pack whose rules label results: apart from those that decide, because a plain Cedar evaluator takes them for permits.
pub(super) const LABELS_FILE: &str = "labels.cedar";

/// What a satisfied rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleKind {
    /// Allows, if nothing forbids.
    Permit,
    /// Forbids, and no approval covers it.
    Forbid,
    /// Forbids until people approve.
    Hold(HoldTerms),
    /// Decides nothing: labels what the call brings into its task.
    Yield(BTreeSet<Label>),
}

/// Whom a held action waits for, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldTerms {
    /// The group that may answer.
    pub group: String,
    /// How many of its people must say yes.
    pub quorum: u32,
    /// How long people may take.
    pub decide_within_ms: u64,
    /// How long an approval stays usable.
    pub use_within_ms: u64,
}

/// Where a rule stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file in the pack.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique among all packs that run together.
    pub id: String,
    /// What it does.
    pub kind: RuleKind,
    /// What it says of itself; may be empty.
    pub reason: String,
    /// The controls it implements: `ASI02`, `PR.AA-05`.
    pub controls: Vec<String>,
    /// The Cedar text, annotations and all.
    pub text: String,
    /// Where it stands.
    pub origin: Origin,
    /// Where its text begins in the file, in bytes.
    pub(super) offset: usize,
    pub(super) policy: Arc<ast::Policy>,
}

/// What is wrong with a rule's text, and where in it.
#[derive(Debug)]
pub(super) struct InvalidRule {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
}

impl Rule {
    /// Reads the text of one rule.
    pub(super) fn parse(text: &str, origin: Origin, offset: usize) -> Result<Self, Vec<InvalidRule>> {
        let unnamed = parser::parse_policy(None, text).map_err(|errors| InvalidRule::all(&errors))?;
        let policy = ast::Policy::from(unnamed);
        let said = annotations::read(&policy, text.len()).map_err(|error| vec![error])?;
        let Said {
            id,
            kind,
            reason,
            controls,
        } = said;
        let policy = Arc::new(policy.new_id(PolicyID::from_string(&id)));
        Ok(Self {
            id,
            kind,
            reason,
            controls,
            text: text.to_owned(),
            origin,
            offset,
            policy,
        })
    }

    /// Reads every rule of a file.
    pub(super) fn parse_file(place: Place<'_>) -> (Vec<Self>, Vec<Finding>) {
        let set = match parser::parse_policyset(place.text) {
            Ok(set) => set,
            Err(errors) => {
                let findings = InvalidRule::all(&errors);
                return (
                    Vec::new(),
                    findings
                        .into_iter()
                        .map(|error| error.finding(place, 0))
                        .collect(),
                );
            }
        };
        let mut findings = Vec::new();
        let mut spans: Vec<Range<usize>> = set
            .all_templates()
            .filter_map(|template| template.loc())
            .map(|loc| loc.start()..loc.end())
            .collect();
        spans.sort_by_key(|span| span.start);
        let mut rules = Vec::new();
        for span in spans {
            let text = place.text.get(span.clone()).unwrap_or_default();
            let (line, column) = place.line_and_column(span.start);
            let origin = Origin {
                file: place.file.to_owned(),
                line,
                column,
            };
            match Self::parse(text, origin, span.start) {
                Ok(rule) => {
                    findings.extend(rule.misplaced(place));
                    rules.push(rule);
                }
                Err(errors) => {
                    findings.extend(errors.into_iter().map(|error| error.finding(place, span.start)));
                }
            }
        }
        (rules, findings)
    }
}

impl Rule {
    /// Rules that label and rules that decide are kept apart.
    fn misplaced(&self, place: Place<'_>) -> Option<Finding> {
        let labels = matches!(self.kind, RuleKind::Yield(_));
        let (message, help) = match (labels, place.file == LABELS_FILE) {
            (true, false) => (
                "a rule with `@yields` stands among rules that decide",
                "move it to `labels.cedar`: to a plain Cedar evaluator it is a permit",
            ),
            (false, true) => (
                "a rule without `@yields` decides nothing here",
                "say what it yields, or move it to another file",
            ),
            _ => return None,
        };
        Some(place.error(self.at(), message, help))
    }

    /// Where it stands in its file.
    pub(super) fn at(&self) -> Range<usize> {
        self.offset..self.offset + self.text.len()
    }

    /// Where one of its annotations stands in its file; the whole rule if it has none of this name.
    pub(super) fn annotation(&self, key: &str) -> Range<usize> {
        let mut annotations = self.policy.annotations();
        let found = annotations.find(|(known, _)| known.as_ref() == key);
        match found.and_then(|(_, annotation)| annotation.loc.as_ref()) {
            Some(loc) => self.offset + loc.start()..self.offset + loc.end(),
            None => self.at(),
        }
    }
}

impl InvalidRule {
    /// What a Cedar parser had to say.
    fn all(errors: &parser::err::ParseErrors) -> Vec<Self> {
        errors.iter().map(Self::cedar).collect()
    }

    fn cedar(error: &parser::err::ParseError) -> Self {
        let (at, help) = diagnosed(error);
        Self {
            at,
            message: error.to_string(),
            help,
        }
    }

    pub(super) fn finding(self, place: Place<'_>, offset: usize) -> Finding {
        place.error(
            self.at.start + offset..self.at.end + offset,
            self.message,
            self.help,
        )
    }
}

#[cfg(test)]
mod tests;
