//! Grants: the signed token that carries a task's authority, verified offline by any enforcer.
//!
//! | file | what it says |
//! |---|---|
//! | `grant.rs` | what a grant is, and when it holds |
//! | [`scope`](Scope) | which tools it covers, with which arguments |
//! | [`DataScope`] | which kinds of data it may touch |
//! | [`constraint`] | what one argument must be |
//! | [`Limits`] | how often, how risky, how deep; and what narrows what |
//! | [`Chain`] | a grant with all it was narrowed from, as it is presented |
//! | [`Narrowing`], [`OwnGrant`] | passing a grant on, and proving whose it is |
//! | [`Proof`] | that whoever presents a grant has its key |
//! | [`Revocation`] | what ends a grant before its time |
//! | `token.rs` | a grant as a signed token, and back |
//! | `jws.rs`, `claims.rs` | what every token here is, and what it says |
//!
//! **Invariant**: a grant gives nothing that its issuer's signature does not cover, and nothing after it expires.

mod chain;
mod claims;
pub mod constraint;
mod data;
mod jws;
mod limits;
mod narrowing;
mod proof;
mod revocation;
mod scope;
mod token;

use thiserror::Error;

pub use chain::{CHAIN_BYTES_MAX, Chain};
pub use data::{DATA_LABELS_MAX, DataScope, InvalidData};
pub use limits::{CALLS_MAX, DEPTH_MAX, InvalidLimits, Limits, RISK_MAX, Widened, parse_risk};
pub use narrowing::{Narrowing, NotNarrowed, OwnGrant};
pub use proof::{InvalidProof, PROOF_BYTES_MAX, PROOF_LIFE_MS, Proof};
pub use revocation::{Revocation, Revoked, Stopped};
pub use scope::{InvalidScope, OutOfScope, SCOPE_BYTES_MAX, SCOPE_TOOLS_MAX, Scope};
pub use token::holder_thumbprint;

use crate::action::Sha256;
use crate::id::{GrantId, TaskId};
use crate::identity::SpiffeId;
use crate::key::VerifyingKey;

/// A token may have at most this many bytes.
pub const TOKEN_BYTES_MAX: usize = 64 << 10;
/// How far apart the clocks of issuer and verifier may be.
pub const CLOCK_SKEW_MS: u64 = 30_000;

/// What a task may do, for whom, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// This token.
    pub id: GrantId,
    /// The task whose authority it carries.
    pub task: TaskId,
    /// How often the task was changed before it was issued.
    pub epoch: u64,
    /// The agent that may use it, and nobody else.
    pub agent: SpiffeId,
    /// The human it acts for.
    pub user: String,
    /// What it may use.
    pub scope: Scope,
    /// How much of it.
    pub limits: Limits,
    /// Which data it may touch; none: any.
    pub data: Option<DataScope>,
    /// Values the user named.
    pub named: Vec<String>,
    /// What the user wants, in words.
    pub intent: String,
    /// Where it runs: `production`, …
    pub environment: String,
    /// From when it holds.
    pub issued_ms: u64,
    /// Until when.
    pub expires_ms: u64,
    /// The key of whoever holds it: it signs the grants that are narrowed from it, and proofs of possession.
    pub holder: Option<VerifyingKey>,
    /// What it was narrowed from; none: `task start` gave it.
    pub link: Option<Link>,
}

/// How a delegated grant hangs on its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The digest of what was signed in the parent's token.
    pub parent: Sha256,
    /// How many grants stand above it.
    pub depth: u8,
    /// Who vouches for it.
    pub signer: Signer,
}

/// Who signs a delegated grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// Whoever holds the parent, with its own key.
    Holder,
    /// The control plane, which was asked to.
    Authority,
}

/// A token that gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidGrant {
    /// Not three base64url parts, or too long.
    #[error("the grant is not a token that `task start` gave")]
    Malformed,
    /// Another type or algorithm.
    #[error("the grant has a header this verifier does not accept")]
    Header,
    /// Signed by a key that is not in the key set.
    #[error("the grant is signed by `{0}`, which is not a grant key in use")]
    UnknownKey(String),
    /// Changed, or forged.
    #[error("the grant's signature does not match")]
    Signature,
    /// Signed, and not understood.
    #[error("the grant's claims can't be read: {0}")]
    Claims(String),
    /// From a clock that runs ahead.
    #[error("the grant holds only from later on; check the clocks")]
    NotYet,
    /// Over.
    #[error("the grant expired; start a new task")]
    Expired,
    /// Wider than its parent.
    #[error("a delegated grant gives more than the one above it: {0}")]
    Widened(Widened),
    /// One token twice.
    #[error("a grant stands twice in its own chain")]
    Repeated,
}

impl Grant {
    /// How many grants stand above it.
    pub fn depth(&self) -> u8 {
        self.link.map_or(0, |link| link.depth)
    }

    /// Whether the grant holds at this moment, by the wall clock.
    pub const fn holds_at(&self, wall_ms: u64) -> Result<(), InvalidGrant> {
        if wall_ms >= self.expires_ms {
            return Err(InvalidGrant::Expired);
        }
        if wall_ms.saturating_add(CLOCK_SKEW_MS) < self.issued_ms {
            return Err(InvalidGrant::NotYet);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
