//! Whom rules ask, and whom their groups ask in turn: people who exist, in time, and not for ever in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::hold::{BREAKERS, Group};
use crate::policy::finding::Finding;
use crate::policy::pack::Pack;
use crate::policy::rule::RuleKind;

const SETTINGS: &str = "checkrein.toml";

impl Check<'_> {
    /// Every hold waits for people who exist.
    pub(super) fn groups(&mut self) {
        let groups: BTreeMap<&str, &Group> = self
            .packs
            .iter()
            .flat_map(|pack| &pack.groups)
            .map(|(name, group)| (&**name, group))
            .collect();
        self.asked_by_rules(&groups);
        let packs = self.packs;
        for pack in packs {
            let found = pack
                .groups
                .keys()
                .flat_map(|name| named(pack, name, &groups))
                .chain(glass(pack, &groups));
            self.findings.extend(found.map(|finding| (pack.name(), finding)));
        }
    }

    fn asked_by_rules(&mut self, groups: &BTreeMap<&str, &Group>) {
        let mut findings = Vec::new();
        for (pack, rule) in self.each_rule() {
            let RuleKind::Hold(terms) = &rule.kind else {
                continue;
            };
            let place = pack.place(&rule.origin.file);
            let Some(group) = groups.get(&*terms.group) else {
                let help = "name its people under `[groups]` in `checkrein.toml`";
                let message = format!("the group `{}` does not exist", terms.group);
                findings.push((pack.name(), place.error(rule.annotation("hold"), message, help)));
                continue;
            };
            if group.people() < terms.quorum as usize {
                let message = format!(
                    "`{}` has {} people, and the rule asks for {}: it could never be approved",
                    terms.group,
                    group.people(),
                    terms.quorum
                );
                let at = rule.annotation("quorum");
                findings.push((
                    pack.name(),
                    place.error(at, message, "ask for fewer, or add people"),
                ));
            }
            let escalation = group.escalation.as_ref();
            if let Some(late) = escalation.filter(|escalation| escalation.after_ms >= terms.decide_within_ms)
            {
                let message = format!(
                    "this rule's holds expire before `{}` is asked: `{}` escalates no sooner",
                    late.to, terms.group
                );
                let help = "give people longer with `@decide_within`, or let the group escalate earlier";
                let at = rule.annotation("decide_within");
                findings.push((pack.name(), place.warning(at, message, help)));
            }
        }
        self.findings.extend(findings);
    }
}

/// What is wrong with the other groups that a group names.
fn named(pack: &Pack, name: &str, groups: &BTreeMap<&str, &Group>) -> Vec<Finding> {
    let place = pack.place(SETTINGS);
    let Some(spans) = pack.group_spans.get(name) else {
        return Vec::new();
    };
    let judge = |(other, at): &(String, std::ops::Range<usize>)| {
        if !groups.contains_key(&**other) {
            let message = format!("the group `{other}` does not exist");
            return Some(place.error(
                at.clone(),
                message,
                "name its people under `[groups]`, or ask another group",
            ));
        }
        reaches(other, name, groups).then(|| {
            let message = if other == name {
                format!("`{name}` would ask itself")
            } else {
                format!("`{name}` asks `{other}`, which asks `{name}` again")
            };
            place.error(
                at.clone(),
                message,
                "let the last group of a chain ask nobody else",
            )
        })
    };
    spans.named.iter().filter_map(judge).collect()
}

/// What is wrong with the group that may break the glass.
fn glass(pack: &Pack, groups: &BTreeMap<&str, &Group>) -> Option<Finding> {
    let (name, at) = pack.break_glass.as_ref()?;
    let place = pack.place(SETTINGS);
    match groups.get(&**name) {
        None => {
            let message = format!("the group `{name}` does not exist");
            Some(place.error(at.clone(), message, "name its people under `[groups]`"))
        }
        Some(group) if group.people() < BREAKERS => {
            let message = format!(
                "breaking the glass takes {BREAKERS} people, and `{name}` has {}",
                group.people()
            );
            Some(place.error(at.clone(), message, "add people to it, or name a larger group"))
        }
        Some(_) => None,
    }
}

/// Whether a group asks another in the end.
fn reaches(from: &str, to: &str, groups: &BTreeMap<&str, &Group>) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(name) = next.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            next.extend(groups.get(name).into_iter().flat_map(|group| group.names()));
        }
    }
    false
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
