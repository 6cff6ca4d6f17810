//! Finds the rules that could apply to a call, so that only they are evaluated.
//!
//! A rule's scope gives it a key: which actions, which principals, which resources. Groups of actions are spread over their
//! tools when the index is built; what a principal or resource is in, is looked up when it is asked for.
//!
//! **Invariant**: never too few. A rule that is not a candidate can't have a satisfied scope, whether or not the agent or
//! the resource exists as an entity. Candidates are evaluated whole, scope included, so too many cost time only.

use std::borrow::Cow;
use std::collections::HashMap;

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityType, EntityUID, Policy, PrincipalOrResourceConstraint,
};
use cedar_policy_core::entities::{Dereference, Entities};

/// Where a rule stands in the bundle.
pub(super) type RuleAt = u32;

/// A rule's demand on its principal or its resource, as far as it is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Any,
    Is(EntityType),
    Eq(EntityUID),
    In(EntityUID),
}

/// A key, numbered: most keys an entity could have stand in no rule, and cost nothing further.
pub(super) type KeyAt = u32;

/// Rules by principal and resource, for one action.
type Buckets = HashMap<(KeyAt, KeyAt), Vec<RuleAt>>;

/// The keys of entities that are in more than the bundle says.
pub(super) type Moved = HashMap<EntityUID, Box<[KeyAt]>>;

/// The rules of a bundle, by what they apply to.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: HashMap<Key, KeyAt>,
    /// For rules about any action.
    any: Buckets,
    /// By tool.
    by_action: HashMap<EntityUID, Buckets>,
    /// The keys of entities that exist, computed once.
    known: HashMap<EntityUID, Box<[KeyAt]>>,
}

impl Index {
    /// Indexes rules, numbered as they come. `actions` are all the tools, with every group each is in.
    pub(super) fn build<'a>(
        rules: impl Iterator<Item = &'a Policy>,
        actions: &[(EntityUID, Vec<EntityUID>)],
        entities: &Entities,
    ) -> Self {
        let mut index = Self::default();
        for (at, policy) in (0..).zip(rules) {
            index.insert(at, policy, actions);
        }
        let known = entities.iter().filter(|entity| !entity.uid().is_action());
        index.known = known
            .map(|entity| (entity.uid().clone(), index.keys_of(entity.uid(), entities).into()))
            .collect();
        index
    }

    /// The rules that could apply, in order. `moved` are the keys of whatever is in more among these entities than among those
    /// that the index was built of.
    pub(super) fn candidates(
        &self,
        principal: &EntityUID,
        action: &EntityUID,
        resource: &EntityUID,
        entities: &Entities,
        moved: Option<&Moved>,
    ) -> Vec<RuleAt> {
        let moved_keys = |uid: &EntityUID| moved.and_then(|moved| moved.get(uid));
        let keys = |uid| match moved_keys(uid) {
            Some(keys) => Cow::Borrowed(&**keys),
            None => self.keys(uid, entities),
        };
        let (principals, resources) = (keys(principal), keys(resource));
        let mut found = Vec::with_capacity(16);
        for buckets in [Some(&self.any), self.by_action.get(action)]
            .into_iter()
            .flatten()
        {
            for principal in &*principals {
                for resource in &*resources {
                    found.extend(buckets.get(&(*principal, *resource)).into_iter().flatten());
                }
            }
        }
        found.sort_unstable();
        found
    }

    fn insert(&mut self, at: RuleAt, policy: &Policy, actions: &[(EntityUID, Vec<EntityUID>)]) {
        let principal = self.number(Key::of(policy.principal_constraint().as_inner()));
        let resource = self.number(Key::of(policy.resource_constraint().as_inner()));
        let put = |buckets: &mut Buckets| buckets.entry((principal, resource)).or_default().push(at);
        let wanted: Vec<&EntityUID> = match policy.action_constraint() {
            ActionConstraint::Any => return put(&mut self.any),
            ActionConstraint::Eq(action) => vec![action],
            ActionConstraint::In(list) => list.iter().map(AsRef::as_ref).collect(),
        };
        let exact = matches!(policy.action_constraint(), ActionConstraint::Eq(_));
        for (action, groups) in actions {
            let is_meant = |wanted: &&EntityUID| *wanted == action || (!exact && groups.contains(wanted));
            if wanted.iter().any(is_meant) {
                put(self.by_action.entry(action.clone()).or_default());
            }
        }
    }

    /// The keys of an entity, known or not.
    fn keys(&self, uid: &EntityUID, entities: &Entities) -> Cow<'_, [KeyAt]> {
        match self.known.get(uid) {
            Some(keys) => Cow::Borrowed(keys),
            None => Cow::Owned(self.keys_of(uid, entities)),
        }
    }

    fn number(&mut self, key: Key) -> KeyAt {
        let next = KeyAt::try_from(self.keys.len()).unwrap_or(KeyAt::MAX);
        *self.keys.entry(key).or_insert(next)
    }

    /// The numbers of all keys this entity satisfies. An entity that does not exist is of its type, equal to itself and in
    /// itself, as Cedar has it.
    pub(super) fn keys_of(&self, uid: &EntityUID, entities: &Entities) -> Vec<KeyAt> {
        let own = [
            Key::Any,
            Key::Is(uid.entity_type().clone()),
            Key::Eq(uid.clone()),
            Key::In(uid.clone()),
        ];
        let mut keys: Vec<_> = own.iter().filter_map(|key| self.keys.get(key).copied()).collect();
        if let Dereference::Data(entity) = entities.entity(uid) {
            let ancestors = entity.ancestors().filter(|ancestor| *ancestor != uid);
            keys.extend(ancestors.filter_map(|ancestor| self.keys.get(&Key::In(ancestor.clone())).copied()));
        }
        keys
    }

    /// Empties one bucket: what a defect would do.
    #[cfg(test)]
    pub(super) fn break_bucket(&mut self, nth: usize) {
        let by_action = self.by_action.values_mut();
        let mut buckets: Vec<_> = by_action
            .chain([&mut self.any])
            .flat_map(HashMap::values_mut)
            .collect();
        buckets.sort();
        let count = buckets.len();
        buckets[nth % count].clear();
    }
}

impl Key {
    fn of(constraint: &PrincipalOrResourceConstraint) -> Self {
        use PrincipalOrResourceConstraint as Constraint;
        match constraint {
            Constraint::Is(entity_type) => Self::Is(entity_type.as_ref().clone()),
            Constraint::Eq(EntityReference::EUID(uid)) => Self::Eq(uid.as_ref().clone()),
            // `is T in X` is filed under X; whether it is a T is part of its condition.
            Constraint::In(EntityReference::EUID(uid)) | Constraint::IsIn(_, EntityReference::EUID(uid)) => {
                Self::In(uid.as_ref().clone())
            }
            // Templates are refused when a rule is read; were one here, it would always be a candidate.
            Constraint::Any
            | Constraint::Eq(EntityReference::Slot(_))
            | Constraint::In(EntityReference::Slot(_))
            | Constraint::IsIn(_, EntityReference::Slot(_)) => Self::Any,
        }
    }
}

#[cfg(test)]
mod tests;
