//! The tier of a tool: how much must be true before a call of it is released, and what about the tool demands that.
//!
//! | tier | which tools |
//! |---|---|
//! | static | no effect, nothing to undo |
//! | light | reads, and writes that we can undo |
//! | full | every other effect, whatever we can't undo ourselves, and what no catalog knows |
//!
//! **Invariant**: the tier is the highest that any reason demands, and nothing lowers it.

use super::catalog::{Effect, Reversibility, Tool};
use crate::decision::Tier;

/// Something about a tool that demands a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierReason {
    /// What it demands.
    pub tier: Tier,
    /// What it is, for people.
    pub why: String,
}

impl Tool {
    /// How much must be true before it is released. The highest that anything about the tool demands.
    pub fn tier(&self) -> Tier {
        let effects = self.effects.iter().copied().map(of_effect);
        effects
            .max()
            .unwrap_or(Tier::Static)
            .max(of_reversibility(self.reversibility))
    }

    /// What each thing about it demands, the highest first.
    pub fn tier_because(&self) -> Vec<TierReason> {
        let effects = self.effects.iter().map(|effect| TierReason {
            tier: of_effect(*effect),
            why: format!("its effect `{effect}`"),
        });
        let reversibility = TierReason {
            tier: of_reversibility(self.reversibility),
            why: format!("it is `{}`", self.reversibility),
        };
        let mut reasons: Vec<_> = effects.chain([reversibility]).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.tier));
        reasons
    }
}

impl TierReason {
    /// Of a tool that the catalog does not know.
    pub(super) fn uncatalogued() -> Self {
        Self {
            tier: Tier::Full,
            why: "no catalog here knows it: it has every effect and is irreversible".to_owned(),
        }
    }
}

const fn of_effect(effect: Effect) -> Tier {
    match effect {
        Effect::Read | Effect::Write => Tier::Light,
        Effect::Destroy
        | Effect::Send
        | Effect::Spend
        | Effect::Approve
        | Effect::Trigger
        | Effect::Administer
        | Effect::Publish => Tier::Full,
    }
}

const fn of_reversibility(reversibility: Reversibility) -> Tier {
    match reversibility {
        Reversibility::ReadOnly => Tier::Static,
        Reversibility::Reversible => Tier::Light,
        Reversibility::ExternallyReversible | Reversibility::Irreversible => Tier::Full,
    }
}

#[cfg(test)]
mod tests;
