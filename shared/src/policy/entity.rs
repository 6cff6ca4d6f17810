//! The entities every pack can speak of, by name. All in the empty namespace.

use std::sync::LazyLock;

use cedar_policy_core::ast::{Eid, EntityType, EntityUID, Name};

/// Those who act.
pub(super) static AGENT: LazyLock<EntityType> = LazyLock::new(|| base("Agent"));
/// What agents are in.
pub(super) static TEAM: LazyLock<EntityType> = LazyLock::new(|| base("Team"));
/// Humans.
pub(super) static USER: LazyLock<EntityType> = LazyLock::new(|| base("User"));
/// Resources that are the tool itself.
pub(super) static TOOL: LazyLock<EntityType> = LazyLock::new(|| base("Tool"));
/// Tools as actions, and the groups they are in.
pub(super) static ACTION: LazyLock<EntityType> = LazyLock::new(|| base("Action"));

/// A type in the empty namespace; none if the text is not an identifier.
pub(super) fn entity_type(name: &str) -> Option<EntityType> {
    Name::parse_unqualified_name(name).ok().map(EntityType::from)
}

/// An entity of this type.
pub(super) fn of(entity_type: &EntityType, id: &str) -> EntityUID {
    EntityUID::from_components(entity_type.clone(), Eid::new(id), None)
}

fn base(name: &str) -> EntityType {
    // INVARIANT: the names above are identifiers.
    entity_type(name).unwrap_or_else(|| unreachable!("`{name}` is an identifier"))
}
