//! Proof of possession: whoever presents a grant has its key, and means this call of this tool with these arguments.
//!
//! The arguments stand in it as a digest, so that nothing secret is in a proof, and a proof of large arguments is small.
//!
//! **Invariant**: a proof is good for one call, for [`PROOF_LIFE_MS`] around the moment it was made; that it is used once is
//! its [`Proof::id`]'s to show.

use serde_json::json;
use thiserror::Error;

use super::claims::Claims;
use super::jws::{self, Jws};
use super::{Grant, OwnGrant};
use crate::action::{Arguments, Sha256};
use crate::clock::Clock;
use crate::id::ProofId;
use crate::key::SigningKey;

/// A proof may have at most this many bytes.
pub const PROOF_BYTES_MAX: usize = 8 << 10;
/// How far the moment it was made may be from the moment it is looked at, before and after.
pub const PROOF_LIFE_MS: u64 = 30_000;

const TOKEN_TYPE: &str = "aat-pop+jwt";

/// A proof that was believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Of this proof; seen twice, it proves nothing.
    pub id: ProofId,
    /// When it was made; nobody believes it [`PROOF_LIFE_MS`] later.
    pub made_ms: u64,
}

/// Why nothing is proved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidProof {
    /// There is none, and the tool wants one.
    #[error("this tool wants a proof of possession with each call, and there is none")]
    Missing,
    /// The grant names no key.
    #[error("the grant names no key, so nothing can be proved of it; leave the proof out")]
    NoKey,
    /// Not a token of this kind, or not signed by the holder.
    #[error("the proof of possession is not one that the holder of the grant signed for it")]
    Forged,
    /// Not for this call.
    #[error("the proof of possession is for another {0}")]
    Other(&'static str),
    /// Not with these arguments.
    #[error("the proof of possession is for a call with other arguments")]
    Arguments,
    /// Too old, or from a clock that runs ahead.
    #[error("the proof of possession was not made just now; make one for each call, and check the clocks")]
    Stale,
}

/// Signs a proof for a grant whose key this is.
pub(super) fn sign(
    grant: &OwnGrant,
    tool: &str,
    arguments: &Arguments,
    key: &SigningKey,
    clock: &dyn Clock,
) -> Result<String, serde_json::Error> {
    let claims = json!({
        "jti": ProofId::new(clock).to_string(),
        "iat_ms": clock.wall_ms(),
        "aat_id": grant.chain().leaf().id.to_string(),
        "aat_hash": grant.sha256().to_base64(),
        "aat_tool": tool,
        "hta_sha256": digest(arguments),
    });
    jws::sign(TOKEN_TYPE, &claims, key)
}

impl Proof {
    /// Believes a proof that the holder of the last grant of what is presented made for this call at about this time. What is
    /// presented must have been verified before.
    pub fn verify(
        proof: &str,
        presented: &str,
        leaf: &Grant,
        (tool, arguments): (&str, &Arguments),
        now_ms: u64,
    ) -> Result<Self, InvalidProof> {
        let holder = leaf.holder.as_ref().ok_or(InvalidProof::NoKey)?;
        let jws = Jws::parse(proof, TOKEN_TYPE, PROOF_BYTES_MAX).map_err(|_| InvalidProof::Forged)?;
        let claims = jws.claims([holder]).map_err(|_| InvalidProof::Forged)?;
        let claims = Arguments::parse(&claims).map_err(|_| InvalidProof::Forged)?;
        let said = Said::read(Claims::new(&claims)).map_err(|_| InvalidProof::Forged)?;
        let grant = jws::signed_digest(presented).map(Sha256::to_base64);
        if said.grant != leaf.id.to_string() || Some(said.grant_hash) != grant.as_deref() {
            return Err(InvalidProof::Other("grant"));
        }
        if said.tool != tool {
            return Err(InvalidProof::Other("tool"));
        }
        if said.arguments != digest(arguments) {
            return Err(InvalidProof::Arguments);
        }
        if said.made_ms.abs_diff(now_ms) > PROOF_LIFE_MS {
            return Err(InvalidProof::Stale);
        }
        Ok(Self {
            id: said.id,
            made_ms: said.made_ms,
        })
    }
}

/// What a proof says.
struct Said<'a> {
    id: ProofId,
    made_ms: u64,
    grant: &'a str,
    grant_hash: &'a str,
    tool: &'a str,
    arguments: &'a str,
}

impl<'a> Said<'a> {
    fn read(mut claims: Claims<'a>) -> Result<Self, String> {
        let said = Self {
            id: claims.parsed("jti")?,
            made_ms: claims.whole("iat_ms")?,
            grant: claims.text("aat_id")?,
            grant_hash: claims.text("aat_hash")?,
            tool: claims.text("aat_tool")?,
            arguments: claims.text("hta_sha256")?,
        };
        claims.end()?;
        Ok(said)
    }
}

fn digest(arguments: &Arguments) -> String {
    Sha256::of(arguments.canonical().as_bytes()).to_base64()
}

#[cfg(test)]
mod tests;
