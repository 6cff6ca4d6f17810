//! What is probably a mistake, and refuses nothing.

use std::ops::Range;

use cedar_policy_core::ast::{ActionConstraint, EntityUID, PrincipalOrResourceConstraint};
use serde_json::Value;

use super::Check;
use crate::identity::SpiffeId;
use crate::policy::catalog::Tool;
use crate::policy::entity;
use crate::policy::finding::{Finding, Place};
use crate::policy::rule::Rule;

impl Check<'_> {
    pub(super) fn lints(&mut self) {
        for pack in self.packs {
            if pack.cases.is_empty() && !pack.rules.is_empty() {
                let help = "say in `tests/*.yaml` what must be permitted, held and denied";
                let finding = Place::new("tests", "").whole_warning("the pack has no tests", help);
                self.findings.push((pack.name(), finding));
            }
        }
        for (pack, rule) in self.each_rule() {
            let found = self.rule_lints(rule, pack.place(&rule.origin.file));
            self.findings
                .extend(found.into_iter().map(|finding| (pack.name(), finding)));
        }
    }

    fn rule_lints(&self, rule: &Rule, place: Place<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        if !self.means_a_tool(rule) {
            let message = format!("rule `{}` is about no tool of any catalog", rule.id);
            let help = "it will apply once there is one; is the group or tool what you meant?";
            found.push(place.warning(rule.at(), message, help));
        }
        let (principal, resource) = (
            rule.policy.principal_constraint(),
            rule.policy.resource_constraint(),
        );
        for constraint in [principal.as_inner(), resource.as_inner()] {
            if let Some(group) = self.empty_group(constraint) {
                let (message, help) = if *group.entity_type() == *entity::TEAM {
                    (
                        format!(
                            "nothing is in `{group}` but whom the register puts there: rule `{}` may never apply",
                            rule.id
                        ),
                        "is the name right? if its agents come from `fleet agents add --team`, declare it in `entities.json`",
                    )
                } else {
                    (
                        format!("nothing is in `{group}`: rule `{}` can't apply", rule.id),
                        "is the name right? what is in it stands in `entities.json`, as `parents`",
                    )
                };
                found.push(place.warning(rule.at(), message, help));
            }
        }
        let named = principal
            .as_inner()
            .get_euid()
            .filter(|uid| *uid.entity_type() == *entity::AGENT);
        found.extend(named.and_then(|uid| unlike_an_agent(uid.eid().as_ref(), place, rule.at())));
        found
    }

    /// Whether any tool of any catalog is in the rule's scope, as far as actions go.
    pub(super) fn means_a_tool(&self, rule: &Rule) -> bool {
        self.each_tool().any(|tool| is_about(rule, tool))
    }

    /// The entity of a scope that nothing can be in: a misspelt team would switch a rule off without a word. Into a team that is
    /// declared, the register may put agents of whom no pack speaks.
    fn empty_group<'r>(&self, constraint: &'r PrincipalOrResourceConstraint) -> Option<&'r EntityUID> {
        use PrincipalOrResourceConstraint as Constraint;
        let (Constraint::In(_) | Constraint::IsIn(..)) = constraint else {
            return None;
        };
        let group: &EntityUID = constraint.get_euid()?;
        let is_type = |name: &str| group.entity_type().to_string() == name;
        // Agents and resources are in themselves.
        let itself = is_type("Agent") || self.each_tool().any(|tool| is_type(tool.resource_type()));
        let name = group.to_string();
        let declared_team = is_type("Team") && self.hierarchy.declares(&name);
        (!itself && !declared_team && !self.hierarchy.holds_something(&name)).then_some(group)
    }
}

/// Whether a tool is in a rule's scope, as far as actions go.
pub(in super::super) fn is_about(rule: &Rule, tool: &Tool) -> bool {
    let is_meant = |wanted: &EntityUID, id: &str| *wanted == entity::of(&entity::ACTION, id);
    match rule.policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(action) => is_meant(action, &tool.id),
        ActionConstraint::In(list) => {
            let mut names = tool.groups().chain([tool.id.as_str()]);
            names.any(|name| list.iter().any(|wanted| is_meant(wanted, name)))
        }
    }
}

/// The entities that an entity is in, from its JSON.
pub(super) fn parents(entity: &str) -> Vec<String> {
    let entity: Value = serde_json::from_str(entity).unwrap_or_default();
    let name = |parent: &Value| {
        let (entity_type, id) = (parent.get("type")?.as_str()?, parent.get("id")?.as_str()?);
        Some(entity::of(&entity_type.parse().ok()?, id).to_string())
    };
    let parents = entity.get("parents").and_then(Value::as_array);
    parents.into_iter().flatten().filter_map(name).collect()
}

/// Warns of an agent that nobody could be.
pub(super) fn unlike_an_agent(id: &str, place: Place<'_>, at: Range<usize>) -> Option<Finding> {
    let error = id.parse::<SpiffeId>().err()?;
    let help = "agents are known by their SPIFFE ID: `Agent::\"spiffe://acme.example/agent/billing\"`";
    Some(place.warning(at, format!("no agent can be this one: {error}"), help))
}
