//! Checks packs that will run together: collisions, groups, strict validation of every rule, and what is probably a mistake.
//!
//! **Invariant**: what passes here composes, as a whole and for enforcers without labels; and every rule in
//! it can be evaluated on every call it may meet, but for entities that do not exist and numbers that overflow.

mod budgets;
mod collisions;
mod groups;
mod hierarchy;
mod lints;
mod monotone;
mod reach;
mod selection;

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, ValidationWarning, Validator};

use super::catalog::Tool;
use super::finding::{Finding, Severity};
use super::pack::Pack;
use super::rule::Rule;
use super::schema;
use crate::label::Label;
use hierarchy::Hierarchy;
pub(super) use lints::is_about;
pub use selection::{check_selected, enforcers_with};

/// Packs, and what is found in them.
struct Check<'p> {
    packs: &'p [&'p Pack],
    /// Whether there are packs beside these, which other enforcers run and which a check has seen.
    is_part: bool,
    hierarchy: Hierarchy<'p>,
    /// The labels of the sensitivities that entities say of themselves.
    sensitivities: BTreeSet<Label>,
    findings: Vec<(&'p str, Finding)>,
}

/// Checks packs that will run together: all of them in some enforcers, and in every enforcer those that select nothing.
/// Errors refuse a push.
pub fn check(packs: &[&Pack]) -> Vec<Finding> {
    let mut findings = check_together(packs);
    if !findings.iter().any(Finding::is_error) {
        findings.splice(0..0, check_selected(packs, &[]));
    }
    findings
}

fn check_together(packs: &[&Pack]) -> Vec<Finding> {
    let mut check = Check::of(packs);
    for pack in packs {
        check
            .findings
            .extend(pack.warnings.iter().map(|warning| (pack.name(), warning.clone())));
    }
    check.collisions();
    check.groups();
    check.types();
    check.lints();
    check.budgets();
    check.finish()
}

impl<'p> Check<'p> {
    fn of(packs: &'p [&'p Pack]) -> Self {
        Self {
            packs,
            is_part: false,
            hierarchy: Hierarchy::default(),
            sensitivities: BTreeSet::new(),
            findings: Vec::new(),
        }
    }

    /// Entities and rules are of the types that these packs declare.
    fn types(&mut self) {
        match schema::schema_of(self.packs) {
            Ok(schema) => {
                self.entities(&schema);
                self.cycles();
                self.rules(schema);
            }
            Err(findings) => self.findings.extend(findings),
        }
    }

    fn entities(&mut self, schema: &Schema) {
        let mut owners = collisions::Owners::default();
        for pack in self.packs {
            let place = pack.place(schema::ENTITIES_FILE);
            let entities = match schema::pack_entities(pack, schema) {
                Ok(entities) => entities,
                Err(finding) => {
                    self.findings.push((pack.name(), finding));
                    continue;
                }
            };
            for (uid, json) in &entities {
                let id = uid.split("::").nth(1).unwrap_or(uid);
                let at = schema::find(place.text, id);
                self.hierarchy.add(uid, pack, at.clone(), lints::parents(json));
                let odd = self.sensitivity(json, place, at.clone());
                self.findings.extend(odd.map(|finding| (pack.name(), finding)));
                if let Some(finding) = owners.claim("entity", uid, pack.name(), place, at.clone()) {
                    self.findings.push((pack.name(), finding));
                }
                let agent = uid
                    .strip_prefix("Agent::\"")
                    .and_then(|rest| rest.strip_suffix('"'));
                self.findings.extend(
                    agent
                        .and_then(|agent| lints::unlike_an_agent(agent, place, at))
                        .map(|f| (pack.name(), f)),
                );
            }
        }
    }

    /// Strict validation, against the schema of everything that runs together.
    fn rules(&mut self, schema: Schema) {
        let mut policies = PolicySet::new();
        let mut rules = HashMap::new();
        for (pack, rule) in self.each_rule() {
            // Ids that stand twice are reported as collisions; what the parser refuses was refused with the pack.
            let policy = Policy::parse(Some(PolicyId::new(&rule.id)), &rule.text);
            if policy.is_ok_and(|policy| policies.add(policy).is_ok()) {
                rules.insert(rule.id.clone(), (pack, rule));
            }
        }
        let declared = schema.entity_types().map(ToString::to_string).collect();
        let result = Validator::new(schema).validate(&policies, ValidationMode::Strict);
        let found = |id: &PolicyId| rules.get(AsRef::<str>::as_ref(id)).copied();
        let (mut refused, mut never) = (HashSet::new(), HashSet::new());
        for error in result.validation_errors() {
            let Some((pack, rule)) = found(error.policy_id()) else {
                continue;
            };
            if self.is_part && selection::only_leads_nowhere(error, rule, &declared) {
                continue;
            }
            let finding = pack
                .place(&rule.origin.file)
                .diagnostic(Severity::Error, error, rule.offset);
            self.findings.push((pack.name(), finding));
            refused.insert(rule.id.as_str());
        }
        for warning in result.validation_warnings() {
            let Some((pack, rule)) = found(warning.policy_id()) else {
                continue;
            };
            if self.means_a_tool(rule) {
                let finding =
                    pack.place(&rule.origin.file)
                        .diagnostic(Severity::Warning, warning, rule.offset);
                self.findings.push((pack.name(), finding));
            }
            if let ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) =
                warning
            {
                never.insert(rule.id.as_str());
            }
        }
        self.order(&refused);
        never.extend(refused);
        self.reach(&never);
    }

    /// No verdict falls as its task gets worse. Asked of rules whose types are right, and once: of all packs together.
    fn order(&mut self, refused: &HashSet<&str>) {
        if self.is_part {
            return;
        }
        for (pack, rule) in self
            .each_rule()
            .filter(|(_, rule)| !refused.contains(rule.id.as_str()))
        {
            let found = monotone::findings(rule, pack.place(&rule.origin.file));
            self.findings
                .extend(found.into_iter().map(|finding| (pack.name(), finding)));
        }
    }

    fn each_rule(&self) -> impl Iterator<Item = (&'p Pack, &'p Rule)> + use<'p> {
        self.packs
            .iter()
            .flat_map(|pack| pack.rules.iter().map(move |rule| (*pack, rule)))
    }

    fn each_tool(&self) -> impl Iterator<Item = &'p Tool> + use<'p> {
        self.packs.iter().flat_map(|pack| pack.tools.iter())
    }

    /// Errors first, then in the order of files and lines.
    fn finish(self) -> Vec<Finding> {
        let several = self.is_part || self.packs.len() > 1;
        let name = |(pack, finding): (&str, Finding)| if several { finding.within(pack) } else { finding };
        let mut findings: Vec<_> = self.findings.into_iter().map(name).collect();
        findings.sort_by(|left, right| {
            let key = |finding: &Finding| {
                (
                    finding.severity,
                    finding.file.clone(),
                    finding.line,
                    finding.column,
                )
            };
            key(left).cmp(&key(right))
        });
        findings
    }
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
