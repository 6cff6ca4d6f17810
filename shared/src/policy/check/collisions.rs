//! What two packs may not both have: a tool, a rule, an entity, a group of approvers.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Check;
use crate::policy::finding::{Finding, Place};
use crate::policy::schema::find;

/// Who has what.
#[derive(Default)]
pub(super) struct Owners(BTreeMap<String, String>);

impl Owners {
    /// Notes that a pack has something; a finding if one has it already.
    pub(super) fn claim(
        &mut self,
        kind: &str,
        name: &str,
        pack: &str,
        place: Place<'_>,
        at: Range<usize>,
    ) -> Option<Finding> {
        let owner = self.0.insert(name.to_owned(), pack.to_owned())?;
        let message = if owner == pack {
            format!("the {kind} `{name}` stands twice in this pack")
        } else {
            format!("the {kind} `{name}` belongs to pack `{owner}`")
        };
        Some(place.error(at, message, "rename or remove one of them"))
    }
}

impl Check<'_> {
    pub(super) fn collisions(&mut self) {
        let (mut rules, mut tools, mut groups) = (Owners::default(), Owners::default(), Owners::default());
        let mut findings = Vec::new();
        for pack in self.packs {
            let mut found =
                |finding: Option<Finding>| findings.extend(finding.map(|finding| (pack.name(), finding)));
            for rule in &pack.rules {
                let place = pack.place(&rule.origin.file);
                found(rules.claim("rule", &rule.id, pack.name(), place, rule.annotation("id")));
            }
            for tool in &pack.tools {
                let file = format!("catalog/{}.toml", tool.catalog());
                let place = pack.place(&file);
                let at = find(
                    place.text,
                    tool.id.trim_start_matches(tool.catalog()).trim_start_matches('/'),
                );
                found(tools.claim("tool", &tool.id, pack.name(), place, at));
            }
            for group in pack.groups.keys() {
                let place = pack.place("checkrein.toml");
                found(groups.claim("group", group, pack.name(), place, find(place.text, group)));
            }
        }
        self.findings.extend(findings);
    }
}
