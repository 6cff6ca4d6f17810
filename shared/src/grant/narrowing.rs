//! Passing a grant on: less of it, for another agent, signed by whoever holds it or by the control plane that is asked to.
//!
//! **Invariant**: whatever is given here, [`Chain::verify`] believes; what it would not believe is refused here, by its
//! dimension.

use std::time::Duration;

use thiserror::Error;

use super::chain::SEPARATOR;
use super::token::Trust;
use super::{
    CHAIN_BYTES_MAX, Chain, DataScope, Grant, InvalidGrant, Link, Scope, Signer, TOKEN_BYTES_MAX, Widened,
};
use crate::action::{Arguments, Sha256};
use crate::clock::Clock;
use crate::id::GrantId;
use crate::identity::SpiffeId;
use crate::key::{SigningKey, VerifyingKey};
use crate::ledger::Amounts;

/// What a child is given of its parent's grant. Whatever is not said stays as the parent has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// Who may use it.
    pub agent: SpiffeId,
    /// Tools with their arguments.
    pub scope: Option<Scope>,
    /// Which data.
    pub data: Option<DataScope>,
    /// How many calls.
    pub calls: Option<u64>,
    /// How much of each meter.
    pub spend: Amounts,
    /// At least how risky.
    pub risk: Option<u8>,
    /// How far from its root the last grant below it may be.
    pub depth: Option<u8>,
    /// Which of the named values.
    pub named: Option<Vec<String>>,
    /// How long.
    pub expires_in: Option<Duration>,
    /// The child's own key.
    pub holder: Option<VerifyingKey>,
}

/// A grant as the agent has it that was given it: read, and not verified. It permits nothing; it can be passed on, and shown
/// to be its holder's.
#[derive(Debug, Clone)]
pub struct OwnGrant {
    presented: String,
    chain: Chain,
    /// Of what was signed in the leaf.
    sha256: Sha256,
}

/// A grant that can't be passed on like this.
#[derive(Debug, Error)]
pub enum NotNarrowed {
    /// More than there is.
    #[error("it can't be passed on like this: {0}")]
    Widened(#[from] Widened),
    /// Signed by somebody else.
    #[error(
        "this is not the key of whoever holds the grant; `checkrein task start --holder` says which it is"
    )]
    Key,
    /// It does not hold any more.
    #[error(transparent)]
    Invalid(#[from] InvalidGrant),
    /// More than is ever read.
    #[error(
        "the grants would have {0} bytes, and at most {TOKEN_BYTES_MAX} each and {CHAIN_BYTES_MAX} together are read; \
         name fewer or shorter values"
    )]
    TooLong(usize),
    /// It can't be written.
    #[error("the grant can't be signed")]
    Unsigned(#[from] serde_json::Error),
}

impl Narrowing {
    /// The same grant for this agent.
    pub const fn to(agent: SpiffeId) -> Self {
        Self {
            agent,
            scope: None,
            data: None,
            calls: None,
            spend: Amounts::none(),
            risk: None,
            depth: None,
            named: None,
            expires_in: None,
            holder: None,
        }
    }

    fn child(self, parent: &Grant, link: Link, id: GrantId, now_ms: u64) -> Grant {
        // The parent's clock may run ahead of ours; its child can't be older than it.
        let issued_ms = now_ms.max(parent.issued_ms);
        let life_ms = self
            .expires_in
            .map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let expires_ms = life_ms.map_or(parent.expires_ms, |life_ms| issued_ms.saturating_add(life_ms));
        let mut limits = parent.limits;
        limits.calls = self.calls.or(limits.calls);
        limits.spend = self.spend.or(limits.spend);
        limits.risk = self.risk.unwrap_or(limits.risk);
        limits.depth = self.depth.unwrap_or(limits.depth);
        Grant {
            id,
            agent: self.agent,
            scope: self.scope.unwrap_or_else(|| parent.scope.clone()),
            data: self.data.or_else(|| parent.data.clone()),
            limits,
            named: self.named.unwrap_or_else(|| parent.named.clone()),
            issued_ms,
            expires_ms,
            holder: self.holder,
            link: Some(link),
            ..parent.clone()
        }
    }
}

impl OwnGrant {
    /// Reads what an agent was given, without the keys to verify it.
    pub fn read(presented: &str) -> Result<Self, InvalidGrant> {
        Self::of(presented, Trust::Own)
    }

    /// Verifies what is presented, to pass it on for its holder.
    pub fn verify(presented: &str, keys: &[VerifyingKey]) -> Result<Self, InvalidGrant> {
        Self::of(presented, Trust::Keys(keys))
    }

    fn of(presented: &str, trust: Trust<'_>) -> Result<Self, InvalidGrant> {
        let (chain, sha256) = Chain::read(presented, trust)?;
        Ok(Self {
            presented: presented.to_owned(),
            chain,
            sha256,
        })
    }

    /// As it is presented.
    pub fn presented(&self) -> &str {
        &self.presented
    }

    /// What it says.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The digest of what was signed in its last token.
    pub const fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Passes it on with its holder's key. Returns what the child presents.
    pub fn pass_on(
        &self,
        narrowing: Narrowing,
        key: &SigningKey,
        clock: &dyn Clock,
    ) -> Result<String, NotNarrowed> {
        if self.chain.leaf().holder.as_ref() != Some(&key.verifying()) {
            return Err(NotNarrowed::Key);
        }
        let (id, now_ms) = (GrantId::new(clock), clock.wall_ms());
        let (_, presented) = self.narrow(narrowing, Signer::Holder, key, (id, now_ms))?;
        Ok(presented)
    }

    /// Passes it on with a key of the control plane, which has verified it. Returns the child, and what it presents.
    pub fn pass_on_as_authority(
        &self,
        narrowing: Narrowing,
        key: &SigningKey,
        made: (GrantId, u64),
    ) -> Result<(Grant, String), NotNarrowed> {
        self.narrow(narrowing, Signer::Authority, key, made)
    }

    fn narrow(
        &self,
        narrowing: Narrowing,
        signer: Signer,
        key: &SigningKey,
        (id, now_ms): (GrantId, u64),
    ) -> Result<(Grant, String), NotNarrowed> {
        let parent = self.chain.leaf();
        parent.holds_at(now_ms)?;
        if parent.depth() >= parent.limits.depth {
            return Err(Widened::Depth.into());
        }
        let link = Link {
            parent: self.sha256,
            depth: parent.depth() + 1,
            signer,
        };
        let child = narrowing.child(parent, link, id, now_ms);
        child
            .limits
            .checked()
            .map_err(|error| InvalidGrant::Claims(error.to_string()))?;
        child.narrows(parent)?;
        let token = child.sign(key)?;
        let presented = format!("{}{SEPARATOR}{token}", self.presented);
        if token.len() > TOKEN_BYTES_MAX || presented.len() > CHAIN_BYTES_MAX {
            return Err(NotNarrowed::TooLong(token.len().max(presented.len())));
        }
        Ok((child, presented))
    }

    /// Proves, for one call of one tool with these arguments, that whoever presents the grant has its key.
    pub fn prove(
        &self,
        tool: &str,
        arguments: &Arguments,
        key: &SigningKey,
        clock: &dyn Clock,
    ) -> Result<String, NotNarrowed> {
        if self.chain.leaf().holder.as_ref() != Some(&key.verifying()) {
            return Err(NotNarrowed::Key);
        }
        Ok(super::proof::sign(self, tool, arguments, key, clock)?)
    }
}

#[cfg(test)]
mod tests;
