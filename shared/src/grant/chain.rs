//! A grant with everything it was narrowed from: what an agent presents, root first, joined by `~`.
//!
//! **Invariant**: a chain is believed whole or not at all: a key in use signed its root, each parent's holder or the control
//! plane what is below, and each gives nothing that the one above it does not give.

use super::token::{Above, Trust};
use super::{Grant, InvalidGrant, Widened};
use crate::action::Sha256;
use crate::identity::SpiffeId;
use crate::key::VerifyingKey;

/// All the tokens of a chain may have at most this many bytes.
pub const CHAIN_BYTES_MAX: usize = 256 << 10;
/// Stands between two tokens; no token holds it.
pub(super) const SEPARATOR: char = '~';

/// A grant that holds within all those above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Root first.
    above: Vec<Grant>,
    /// Their agents, as rules and records want them.
    delegators: Vec<SpiffeId>,
    leaf: Grant,
}

impl Chain {
    /// Believes what an agent presents, if the root is signed by one of these keys. Whether it holds *now* is
    /// [`Grant::holds_at`]'s to say, of the leaf: no other ends before it.
    pub fn verify(presented: &str, keys: &[VerifyingKey]) -> Result<Self, InvalidGrant> {
        Self::read(presented, Trust::Keys(keys)).map(|(chain, _)| chain)
    }

    /// The same, with the digest of what was signed in the leaf.
    pub(super) fn read(presented: &str, trust: Trust<'_>) -> Result<(Self, Sha256), InvalidGrant> {
        if presented.len() > CHAIN_BYTES_MAX {
            return Err(InvalidGrant::Malformed);
        }
        let (root, below) = match presented.split_once(SEPARATOR) {
            Some((root, below)) => (root, Some(below)),
            None => (presented, None),
        };
        let (root, mut sha256) = Grant::verify_below(root, Above::Nothing, trust)?;
        let mut chain = Self::from(root);
        for token in below.into_iter().flat_map(|below| below.split(SEPARATOR)) {
            sha256 = chain.descend(token, sha256, trust)?;
        }
        Ok((chain, sha256))
    }

    /// One token deeper; what is too deep is refused before its signature costs anything.
    fn descend(&mut self, token: &str, sha256: Sha256, trust: Trust<'_>) -> Result<Sha256, InvalidGrant> {
        if self.leaf.depth() >= self.leaf.limits.depth {
            return Err(InvalidGrant::Widened(Widened::Depth));
        }
        let (child, sha256) = Grant::verify_below(token, Above::Parent(&self.leaf, sha256), trust)?;
        child.narrows(&self.leaf).map_err(InvalidGrant::Widened)?;
        if self.grants().any(|grant| grant.id == child.id) {
            return Err(InvalidGrant::Repeated);
        }
        self.delegators.push(self.leaf.agent.clone());
        self.above.push(std::mem::replace(&mut self.leaf, child));
        Ok(sha256)
    }

    /// The grant that is used: it gives no more than any above it.
    pub const fn leaf(&self) -> &Grant {
        &self.leaf
    }

    /// The grant that `task start` gave.
    pub fn root(&self) -> &Grant {
        self.above.first().unwrap_or(&self.leaf)
    }

    /// Every grant, root first.
    pub fn grants(&self) -> impl DoubleEndedIterator<Item = &Grant> {
        self.above.iter().chain([&self.leaf])
    }

    /// Those who passed it on, root first.
    pub fn delegators(&self) -> &[SpiffeId] {
        &self.delegators
    }

    /// Whether any grant in it counts its calls.
    pub fn is_counted(&self) -> bool {
        self.grants().any(|grant| grant.limits.calls.is_some())
    }

    /// What an agent is told that has no call left. Every budget of a chain is charged; which of them is used up is not said.
    pub fn used_up(&self) -> String {
        let budgets = self.grants().filter_map(|grant| grant.limits.calls);
        let calls = budgets.min().unwrap_or_default();
        let whose = if self.above.is_empty() {
            format!("the task has made all of the {calls} calls it may make")
        } else {
            format!(
                "the task, or a grant on the way from it, has made all of its calls, {calls} at the least"
            )
        };
        format!("{whose}; do not try again in another way; tell the user")
    }
}

impl From<Grant> for Chain {
    /// A grant that nobody passed on.
    fn from(leaf: Grant) -> Self {
        Self {
            above: Vec::new(),
            delegators: Vec::new(),
            leaf,
        }
    }
}

#[cfg(test)]
mod tests;
