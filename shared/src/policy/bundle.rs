//! A bundle: packs compiled together, signed, and what an enforcer makes of it.
//!
//! **Invariant**: what cannot be verified, decoded or does not decide as the control plane did never becomes a [`Bundle`].

mod compose;
mod error;
mod manifest;
mod segment;

use std::collections::HashMap;

use bytes::Bytes;
use cedar_policy_core::ast::{Entity, EntityType, EntityUID, Expr, SlotEnv};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;

pub use compose::{ComposeError, Composition, Segment, compose};
pub use error::{BundleError, Stage};
pub use manifest::{MANIFEST_BYTES_MAX, Manifest, SEGMENT_BYTES_MAX, SEGMENTS_MAX, SegmentKind, SegmentRef};

use super::catalog::Tool;
use super::entity;
use super::index::Index;
use super::pack::{BOUNDS_DEFAULT, Bounds};
use super::reads::Reads;
use super::rule::{Rule, RuleKind};
use super::self_test::SelfTests;
use crate::action::Sha256;
use crate::decision::Tier;
use crate::id::Generation;

/// The version of manifest and segments that this code writes and reads.
pub const BUNDLE_FORMAT: u32 = 0;

/// What decides: rules, tools and entities, indexed.
#[derive(Debug)]
pub struct Bundle {
    pub(super) epoch: u64,
    pub(super) generation: Generation,
    pub(super) bounds: Bounds,
    pub(super) tools: HashMap<String, CompiledTool>,
    /// By id, across all packs.
    pub(super) rules: Vec<CompiledRule>,
    pub(super) entities: Entities,
    pub(super) index: Index,
}

/// A tool, with what every judgement of it needs.
#[derive(Debug)]
pub(super) struct CompiledTool {
    pub(super) tool: Tool,
    pub(super) tier: Tier,
    pub(super) action: EntityUID,
    pub(super) resource_type: EntityType,
}

/// A rule, ready to be evaluated: Cedar itself puts these expressions together anew for each request.
#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) id: String,
    pub(super) kind: RuleKind,
    pub(super) reason: String,
    /// Scope and conditions.
    pub(super) condition: Expr,
    /// The scope alone.
    pub(super) scope: Expr,
    pub(super) reads: Reads,
    pub(super) slots: SlotEnv,
}

/// The segments of a bundle, decoded, while they are put together.
#[derive(Default)]
struct Parts {
    tools: Vec<Tool>,
    rules: Vec<Rule>,
    entities: Vec<Entity>,
    full_bound_ms: Vec<u64>,
    light_bound_ms: Vec<u64>,
    self_tests: Option<SelfTests>,
}

impl Bundle {
    /// Checks every segment's digest and length, decodes, indexes, and runs the self-test.
    pub fn decode(
        manifest: &Manifest,
        segment: impl Fn(&Sha256) -> Option<Bytes>,
    ) -> Result<Self, BundleError> {
        let mut parts = Parts::default();
        for reference in &manifest.segments {
            let bytes = segment(&reference.sha256).ok_or(BundleError::MissingSegment(reference.sha256))?;
            if bytes.len() as u64 != reference.length || Sha256::of(&bytes) != reference.sha256 {
                return Err(BundleError::ChangedSegment(reference.sha256));
            }
            parts.add(reference, bytes)?;
        }
        let self_tests = parts.self_tests.take();
        let bundle = parts.bundle(manifest.epoch, manifest.generation)?;
        let self_tests = self_tests.ok_or(BundleError::SelfTest("the self-test is missing".to_owned()))?;
        self_tests.check(&bundle, manifest.self_test)?;
        Ok(bundle)
    }

    /// Its generation.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Its epoch.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How old it may be and still decide.
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The catalog entry of a tool.
    pub fn tool(&self, id: &str) -> Option<&Tool> {
        self.tools.get(id).map(|compiled| &compiled.tool)
    }

    /// Every tool of its catalogs, in no order.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tools.values().map(|compiled| &compiled.tool)
    }

    /// How many rules it has.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }
}

impl Parts {
    fn add(&mut self, reference: &SegmentRef, bytes: Bytes) -> Result<(), BundleError> {
        let unreadable = |why: String| BundleError::Segment {
            pack: reference.pack.clone(),
            why,
        };
        match reference.kind {
            SegmentKind::Catalog => {
                let catalog = segment::decode_catalog(bytes).map_err(unreadable)?;
                self.tools.extend(catalog.tools);
                self.full_bound_ms.extend(catalog.full_bound_ms);
                self.light_bound_ms.extend(catalog.light_bound_ms);
            }
            SegmentKind::Rules => self
                .rules
                .extend(segment::decode_rules(bytes).map_err(unreadable)?),
            SegmentKind::Entities => self
                .entities
                .extend(segment::decode_entities(bytes).map_err(unreadable)?),
            SegmentKind::SelfTest => self.self_tests = Some(SelfTests::decode(bytes).map_err(unreadable)?),
        }
        Ok(())
    }

    fn bundle(mut self, epoch: u64, generation: Generation) -> Result<Bundle, BundleError> {
        self.rules.sort_by(|left, right| left.id.cmp(&right.id));
        if let Some(pair) = self.rules.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(BundleError::Twice {
                kind: "rule",
                name: pair[0].id.clone(),
            });
        }
        // The default is one of them: a pack that sets no bound relies on it, whatever another pack asks for.
        let smallest = |bounds: Vec<u64>, default| bounds.into_iter().fold(default, u64::min);
        let bounds = Bounds {
            full_ms: smallest(self.full_bound_ms, BOUNDS_DEFAULT.full_ms),
            light_ms: smallest(self.light_bound_ms, BOUNDS_DEFAULT.light_ms),
        };
        let mut tools = HashMap::with_capacity(self.tools.len());
        for tool in self.tools {
            let id = tool.id.clone();
            if tools.insert(id.clone(), CompiledTool::of(tool)?).is_some() {
                return Err(BundleError::Twice {
                    kind: "tool",
                    name: id,
                });
            }
        }
        let actions: Vec<_> = tools
            .values()
            .map(|compiled| (compiled.action.clone(), compiled.groups()))
            .collect();
        let entities = entities(self.entities, &actions)?;
        let index = Index::build(self.rules.iter().map(|rule| &*rule.policy), &actions, &entities);
        let rules = self.rules.into_iter().map(CompiledRule::of).collect();
        Ok(Bundle {
            epoch,
            generation,
            bounds,
            tools,
            rules,
            entities,
            index,
        })
    }
}

impl CompiledTool {
    fn of(tool: Tool) -> Result<Self, BundleError> {
        let resource_type =
            entity::entity_type(tool.resource_type()).ok_or_else(|| BundleError::Segment {
                pack: String::new(),
                why: format!("`{}` is not an entity type", tool.resource_type()),
            })?;
        let action = entity::of(&entity::ACTION, &tool.id);
        Ok(Self {
            tier: tool.tier(),
            action,
            resource_type,
            tool,
        })
    }

    fn groups(&self) -> Vec<EntityUID> {
        self.tool
            .groups()
            .map(|group| entity::of(&entity::ACTION, group))
            .collect()
    }
}

impl CompiledRule {
    fn of(rule: Rule) -> Self {
        let policy = &rule.policy;
        let scope = Expr::and(
            policy.principal_constraint().as_expr(),
            Expr::and(
                policy.action_constraint().as_expr(),
                policy.resource_constraint().as_expr(),
            ),
        );
        let condition = policy.condition();
        let reads = policy
            .non_scope_constraints()
            .map_or_else(Reads::nothing, Reads::of);
        Self {
            condition,
            scope,
            reads,
            slots: SlotEnv::new(),
            id: rule.id,
            kind: rule.kind,
            reason: rule.reason,
        }
    }
}

/// All packs' entities, with each tool as an action in its groups.
fn entities(entities: Vec<Entity>, actions: &[(EntityUID, Vec<EntityUID>)]) -> Result<Entities, BundleError> {
    let groups = actions.iter().flat_map(|(_, groups)| groups).cloned();
    let groups: std::collections::BTreeSet<_> = groups.collect();
    let groups = groups.into_iter().map(Entity::with_uid);
    let tools = actions.iter().map(|(action, groups)| {
        let mut entity = Entity::with_uid(action.clone());
        for group in groups {
            entity.add_parent(group.clone());
        }
        entity
    });
    Entities::from_entities(
        entities.into_iter().chain(groups).chain(tools),
        None::<&NoEntitiesSchema>,
        TCComputation::ComputeNow,
        Extensions::all_available(),
    )
    .map_err(|error| BundleError::Entities(error.to_string()))
}

#[cfg(test)]
mod tests;
