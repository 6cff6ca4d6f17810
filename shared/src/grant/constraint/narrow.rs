//! Whether one constraint is inside another.
//!
//! **Invariant**: a yes is a proof; a no may only mean that no rule here shows it.

use super::Constraint;
use crate::action::Json;

/// Whether the parent admits whatever the child admits.
pub(super) fn narrows(child: &Constraint, parent: &Constraint) -> bool {
    use Constraint::{All, Any, Exact, NotOneOf, OneOf, Wildcard};
    if matches!(parent, Wildcard) || child == parent {
        return true;
    }
    match (child, parent) {
        (_, All(parents)) => parents.iter().all(|parent| narrows(child, parent)),
        (Any(children), _) => children.iter().all(|child| narrows(child, parent)),
        (Exact(value), _) => parent.admits(value).is_ok(),
        (OneOf(values), _) => values.iter().all(|value| parent.admits(value).is_ok()),
        // A child inside one alternative, or one condition of the child inside the parent, is enough.
        (All(children), Any(parents)) => {
            parents.iter().any(|parent| narrows(child, parent))
                || children.iter().any(|child| narrows(child, parent))
        }
        (_, Any(parents)) => parents.iter().any(|parent| narrows(child, parent)),
        (All(children), NotOneOf(excluded)) => {
            children.iter().any(|child| narrows(child, parent)) || avoids(child, excluded)
        }
        (All(children), _) => children.iter().any(|child| narrows(child, parent)),
        (_, NotOneOf(excluded)) => avoids(child, excluded),
        _ => alike(child, parent),
    }
}

/// Two of one type, or of two types of lists.
fn alike(child: &Constraint, parent: &Constraint) -> bool {
    use Constraint::{
        Cidr, Contains, Each, EmailDomain, OneOf, Path, Pattern, Range, Shell, Sql, Subset, Url,
    };
    match (child, parent) {
        (Contains(child), Contains(parent)) => contains(child, parent),
        (Subset(child), Subset(parent)) => contains(parent, child),
        (Subset(allowed), Each(parent)) => allowed.iter().all(|value| parent.admits(value).is_ok()),
        (Each(child), Subset(allowed)) => narrows(child, &OneOf(allowed.clone())),
        (Each(child), Each(parent)) => narrows(child, parent),
        (Range(child), Range(parent)) => child.narrows(parent),
        (Pattern(child), Pattern(parent)) => child.narrows(parent),
        (Path(child), Path(parent)) => child.narrows(parent),
        (Url(child), Url(parent)) => child.narrows(parent),
        (Shell(child), Shell(parent)) => child.narrows(parent),
        (Cidr(child), Cidr(parent)) => child.narrows(parent),
        (EmailDomain(child), EmailDomain(parent)) => child.narrows(parent),
        (Sql(child), Sql(parent)) => child.narrows(parent),
        _ => false,
    }
}

/// Whether the child admits none of these.
fn avoids(child: &Constraint, excluded: &[Json]) -> bool {
    excluded.iter().all(|value| child.admits(value).is_err())
}

/// Whether all of these are among those.
fn contains(those: &[Json], these: &[Json]) -> bool {
    these.iter().all(|value| super::has(those, value))
}
