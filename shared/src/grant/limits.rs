//! What bounds a task beside its tools and its time: how often it may act, how risky it is held to be, how deep it may be
//! passed on.
//!
//! **Invariant**: [`Grant::narrows`] is `Ok` only if whatever the child may do, its parent may; the first dimension in which
//! that can't be shown is named.

use thiserror::Error;

use super::{DataScope, Grant};
use crate::ledger::{Amounts, Meter};

/// A task may make at most this many calls, if they are counted at all.
pub const CALLS_MAX: u64 = 1_000_000_000;
/// The highest risk there is.
pub const RISK_MAX: u8 = 100;
/// A grant may be passed on at most this many times in a row.
pub const DEPTH_MAX: u8 = 8;

/// The words for risks that people would else have to agree on numbers for.
const RISK_WORDS: [(&str, u8); 4] = [("low", 25), ("medium", 50), ("high", 75), ("critical", 100)];

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// How many calls the task may make in the whole fleet; none: they are not counted.
    pub calls: Option<u64>,
    /// At least so risky is whatever is done in it, from 0 to [`RISK_MAX`]; 0: nobody said.
    pub risk: u8,
    /// How many times in a row it may be passed on.
    pub depth: u8,
    /// How much of each meter it may use up in the whole fleet; absent: without bound.
    pub spend: Amounts,
}

/// A limit that can't be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidLimits {
    /// No call, or more than are ever counted.
    #[error("a budget is 1 to {CALLS_MAX} calls; leave it out for a task whose calls are not counted")]
    Calls,
    /// Not on the scale.
    #[error("a risk is `low`, `medium`, `high`, `critical`, or a whole number from 0 to {RISK_MAX}")]
    Risk,
    /// Deeper than is ever needed.
    #[error("a grant can be passed on at most {DEPTH_MAX} times in a row")]
    Depth,
    /// Said elsewhere.
    #[error("how many calls a task may make stands in `calls`, and not among its other budgets")]
    CallsTwice,
    /// Not an amount.
    #[error("{0}")]
    Spend(String),
}

/// What a child may not have, because its parent has it not: the dimension in which it is wider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Widened {
    /// A tool.
    #[error("it names a tool that its parent does not")]
    Tools,
    /// An argument.
    #[error("an argument may be what its parent does not allow, or what can't be shown to be allowed")]
    Arguments,
    /// Data.
    #[error("it may touch data that its parent may not")]
    Data,
    /// Calls.
    #[error("its budget is larger than its parent's")]
    Budget,
    /// Risk.
    #[error("it declares a lower risk than its parent")]
    Risk,
    /// Depth.
    #[error("it may be passed on more often than its parent")]
    Depth,
    /// Time.
    #[error("it holds before or after its parent")]
    Expiry,
    /// Environment, user or named values.
    #[error(
        "it is for another task, epoch, user, intent or environment, or names values that its parent does not"
    )]
    Origin,
    /// Proof of possession.
    #[error("whoever uses it would prove nothing, and whoever uses its parent does")]
    Holder,
}

impl Limits {
    /// Within their bounds, or not at all.
    pub const fn checked(self) -> Result<Self, InvalidLimits> {
        match self.calls {
            Some(0) => return Err(InvalidLimits::Calls),
            Some(calls) if calls > CALLS_MAX => return Err(InvalidLimits::Calls),
            _ => {}
        }
        if self.spend.get(Meter::Calls).is_some() {
            return Err(InvalidLimits::CallsTwice);
        }
        if self.risk > RISK_MAX {
            return Err(InvalidLimits::Risk);
        }
        if self.depth > DEPTH_MAX {
            return Err(InvalidLimits::Depth);
        }
        Ok(self)
    }

    /// Whether whoever has these has no more than whoever has its parent's. A relation of limits alone, reflexive and
    /// transitive; that passing on uses up depth is for whoever passes on.
    pub fn narrows(&self, parent: &Self) -> Result<(), Widened> {
        let is_within = match (self.calls, parent.calls) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(parent)) => own <= parent,
        };
        narrower(is_within && self.spend.is_within(&parent.spend), Widened::Budget)?;
        narrower(self.risk >= parent.risk, Widened::Risk)?;
        narrower(self.depth <= parent.depth, Widened::Depth)
    }
}

impl Grant {
    /// Whether it gives nothing that its parent does not give.
    pub fn narrows(&self, parent: &Self) -> Result<(), Widened> {
        self.scope.narrows(&parent.scope)?;
        DataScope::narrows(self.data.as_ref(), parent.data.as_ref())?;
        self.limits.narrows(&parent.limits)?;
        let is_within = self.issued_ms >= parent.issued_ms && self.expires_ms <= parent.expires_ms;
        narrower(is_within, Widened::Expiry)?;
        let is_named = self.named.iter().all(|value| parent.named.contains(value));
        let is_same = (self.task, self.epoch) == (parent.task, parent.epoch)
            && self.user == parent.user
            && self.intent == parent.intent
            && self.environment == parent.environment;
        narrower(is_named && is_same, Widened::Origin)?;
        narrower(self.holder.is_some() || parent.holder.is_none(), Widened::Holder)
    }
}

/// A risk as people write it: a word, or a whole number from 0 to [`RISK_MAX`].
pub fn parse_risk(text: &str) -> Result<u8, InvalidLimits> {
    let known = RISK_WORDS.iter().find(|(word, _)| *word == text);
    let risk = known.map(|(_, risk)| *risk).or_else(|| text.parse().ok());
    risk.filter(|risk| *risk <= RISK_MAX).ok_or(InvalidLimits::Risk)
}

pub(super) fn narrower(is_narrower: bool, otherwise: Widened) -> Result<(), Widened> {
    if is_narrower { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests;
