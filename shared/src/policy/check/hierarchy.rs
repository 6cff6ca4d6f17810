//! Entities that are in themselves, by way of what several packs say of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Check;
use crate::policy::pack::Pack;
use crate::policy::schema::ENTITIES_FILE;

/// What is in what, over all packs.
#[derive(Default)]
pub(super) struct Hierarchy<'p> {
    /// Every entity, by uid.
    entities: BTreeMap<String, Declared<'p>>,
    /// Every entity that has something in it, declared or not.
    groups: BTreeSet<String>,
}

struct Declared<'p> {
    pack: &'p Pack,
    at: Range<usize>,
    parents: Vec<String>,
}

impl<'p> Hierarchy<'p> {
    pub(super) fn add(&mut self, uid: &str, pack: &'p Pack, at: Range<usize>, parents: Vec<String>) {
        self.groups.extend(parents.iter().cloned());
        self.entities
            .insert(uid.to_owned(), Declared { pack, at, parents });
    }

    /// Whether anything is in this.
    pub(super) fn holds_something(&self, uid: &str) -> bool {
        self.groups.contains(uid)
    }

    /// Whether a pack declares this.
    pub(super) fn declares(&self, uid: &str) -> bool {
        self.entities.contains_key(uid)
    }

    /// Something that this is in, of what is left.
    fn parent_left(&self, uid: &str, left: &BTreeSet<&str>) -> Option<&str> {
        let parents = &self.entities.get(uid)?.parents;
        parents
            .iter()
            .map(String::as_str)
            .find(|parent| left.contains(parent))
    }

    /// The entities of one cycle, each in the next and the last in the first.
    fn cycle(&self) -> Option<Vec<&str>> {
        // What is in nothing that is left is in no cycle; what remains in the end is in one, or below one.
        let mut left: BTreeSet<&str> = self.entities.keys().map(String::as_str).collect();
        loop {
            let free: Vec<_> = left
                .iter()
                .copied()
                .filter(|uid| self.parent_left(uid, &left).is_none())
                .collect();
            if free.is_empty() {
                break;
            }
            for uid in free {
                left.remove(uid);
            }
        }
        let mut path = vec![*left.first()?];
        while let Some(next) = path.last().and_then(|uid| self.parent_left(uid, &left)) {
            if let Some(start) = path.iter().position(|seen| *seen == next) {
                return Some(path.split_off(start));
            }
            path.push(next);
        }
        None
    }
}

impl Check<'_> {
    /// A cycle within one pack is refused with its entities; this is about what packs say of each other's.
    pub(super) fn cycles(&mut self) {
        let Some(cycle) = self.hierarchy.cycle() else {
            return;
        };
        let mut shown: Vec<_> = cycle.iter().map(|uid| format!("`{uid}`")).collect();
        shown.extend(shown.first().cloned());
        let owner = cycle.first().and_then(|uid| self.hierarchy.entities.get(*uid));
        if let Some(owner) = owner {
            let finding = owner.pack.place(ENTITIES_FILE).error(
                owner.at.clone(),
                format!("nothing can be in itself: {}", shown.join(" is in ")),
                "remove one of these `parents`",
            );
            self.findings.push((owner.pack.name(), finding));
        }
    }
}
