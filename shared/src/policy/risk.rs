//! How risky one call is, from 0 to 100: `context.risk`.
//!
//! A declared sum, so that anyone can work it out by hand and nothing is learnt, weighed or guessed:
//!
//! | term | points |
//! |---|---|
//! | effects: the worst of the tool's | `read` 5, `write` 10, `trigger` 15, `send` 20, `publish` 20, `approve` 25, `spend` 25, `destroy` 30, `administer` 30 |
//! | reversibility of the tool | `read_only` 0, `reversible` 5, `externally_reversible` 15, `irreversible` 25 |
//! | carried: the highest sensitivity that the task has read | `public` 0, `internal` 5, `confidential` 15, `restricted` 25 |
//! | resource: its own sensitivity | `public` 0, `internal` 5, `confidential` 10, `restricted` 15 |
//! | chain: each agent that passed the task on | 2 |
//! | untrusted: the task has read `untrusted_content` | 20 |
//!
//! The risk is that sum, at most 100, and never less than the floor that the orchestrator declared for the task. A tool that the
//! catalog does not know has every effect and is irreversible.
//!
//! **Invariant**: raising any input never lowers it.

use super::catalog::{Effect, Reversibility, Tool};
use crate::grant::RISK_MAX;
use crate::ledger::{Ledger, Sensitivity};

/// The label of what was written by others, and may have been written to steer an agent.
pub const UNTRUSTED_CONTENT: &str = "untrusted_content";
/// For each agent that passed the task on.
const POINTS_PER_HOP: u8 = 2;
/// For a task that has read what others wrote.
const POINTS_UNTRUSTED: u8 = 20;
/// How many terms there are.
const TERMS: usize = 6;

/// What a risk is the sum of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exposure<'a> {
    /// What is called; none: the catalog does not know it.
    pub(super) tool: Option<&'a Tool>,
    /// The highest sensitivity that was released in the task.
    pub(super) carried: Sensitivity,
    /// How sensitive the resource is; none: nothing says so.
    pub(super) resource: Option<Sensitivity>,
    /// How many agents passed the task on.
    pub(super) depth: usize,
    /// Something that others wrote was released in the task.
    pub(super) is_untrusted: bool,
    /// At least so much, as the orchestrator declared.
    pub(super) floor: u8,
}

/// A risk, and what it is the sum of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    /// At least so much, as the orchestrator declared.
    pub floor: u8,
    /// What was added up, in the order of the table.
    pub terms: Vec<RiskTerm>,
    /// The higher of the two: what rules read.
    pub total: u8,
}

/// One term of a risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskTerm {
    /// Its name.
    pub term: &'static str,
    /// What made it so high, for people.
    pub why: String,
    /// How much it adds.
    pub points: u8,
}

impl<'a> Exposure<'a> {
    /// Of a call in a task that has done this.
    pub(super) fn of(
        tool: Option<&'a Tool>,
        ledger: &Ledger,
        resource: Option<Sensitivity>,
        depth: usize,
        floor: u8,
    ) -> Self {
        Self {
            tool,
            carried: ledger.sensitivity(),
            resource,
            depth,
            is_untrusted: ledger
                .labels
                .iter()
                .any(|label| label.as_str() == UNTRUSTED_CONTENT),
            floor,
        }
    }

    /// The risk, without its reasons.
    pub(super) fn total(&self) -> u8 {
        let sum = self.points().into_iter().fold(0, u8::saturating_add);
        sum.max(self.floor).min(RISK_MAX)
    }

    /// The risk, with its reasons.
    pub(super) fn risk(&self) -> Risk {
        let names = [
            "effects",
            "reversibility",
            "carried",
            "resource",
            "chain",
            "untrusted",
        ];
        let terms = names.into_iter().zip(self.reasons()).zip(self.points());
        Risk {
            floor: self.floor,
            terms: terms
                .map(|((term, why), points)| RiskTerm { term, why, points })
                .collect(),
            total: self.total(),
        }
    }

    fn points(&self) -> [u8; TERMS] {
        let hops = u8::try_from(self.depth).unwrap_or(RISK_MAX);
        [
            self.worst_effect().map_or(0, points_of_effect),
            points_of_reversibility(self.reversibility()),
            points_of_carried(self.carried),
            points_of_resource(self.resource.unwrap_or_default()),
            hops.saturating_mul(POINTS_PER_HOP),
            if self.is_untrusted { POINTS_UNTRUSTED } else { 0 },
        ]
    }

    fn reasons(&self) -> [String; TERMS] {
        let untrusted = if self.is_untrusted { "has" } else { "has not" };
        let effect = match (self.tool, self.worst_effect()) {
            (None, _) => "the catalog does not know the tool: it may do anything".to_owned(),
            (Some(_), Some(effect)) => format!("the worst that it does is `{effect}`"),
            (Some(_), None) => "it has no effect".to_owned(),
        };
        let resource = self.resource.map_or_else(
            || "nothing says how sensitive the resource is".to_owned(),
            |sensitivity| format!("the resource is `{sensitivity}`"),
        );
        let agents = match self.depth {
            0 => "nobody passed the task on".to_owned(),
            1 => "1 agent passed the task on".to_owned(),
            depth => format!("{depth} agents passed the task on"),
        };
        [
            effect,
            format!("it is `{}`", self.reversibility()),
            format!("the task has read what is `{}`", self.carried),
            resource,
            agents,
            format!("the task {untrusted} read what others wrote"),
        ]
    }

    fn worst_effect(&self) -> Option<Effect> {
        let worst = |effects: &mut dyn Iterator<Item = Effect>| effects.max_by_key(|e| points_of_effect(*e));
        match self.tool {
            Some(tool) => worst(&mut tool.effects.iter().copied()),
            None => worst(&mut Effect::ALL.into_iter()),
        }
    }

    fn reversibility(&self) -> Reversibility {
        self.tool
            .map_or(Reversibility::Irreversible, |tool| tool.reversibility)
    }
}

const fn points_of_effect(effect: Effect) -> u8 {
    match effect {
        Effect::Read => 5,
        Effect::Write => 10,
        Effect::Trigger => 15,
        Effect::Send | Effect::Publish => 20,
        Effect::Approve | Effect::Spend => 25,
        Effect::Destroy | Effect::Administer => 30,
    }
}

const fn points_of_reversibility(reversibility: Reversibility) -> u8 {
    match reversibility {
        Reversibility::ReadOnly => 0,
        Reversibility::Reversible => 5,
        Reversibility::ExternallyReversible => 15,
        Reversibility::Irreversible => 25,
    }
}

const fn points_of_carried(sensitivity: Sensitivity) -> u8 {
    match sensitivity {
        Sensitivity::Public => 0,
        Sensitivity::Internal => 5,
        Sensitivity::Confidential => 15,
        Sensitivity::Restricted => 25,
    }
}

const fn points_of_resource(sensitivity: Sensitivity) -> u8 {
    match sensitivity {
        Sensitivity::Public => 0,
        Sensitivity::Internal => 5,
        Sensitivity::Confidential => 10,
        Sensitivity::Restricted => 15,
    }
}

#[cfg(test)]
mod tests;
