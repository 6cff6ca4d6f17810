//! Grants: the signed token that carries a task's authority, verified offline by any enforcer.
//!
//! A compact JWS (RFC 7515) with one algorithm, Ed25519 (RFC 9864). The header is compared, not interpreted: there is no
//! `alg` to confuse.
//!
//! **Invariant**: a grant gives nothing that its issuer's signature does not cover, and nothing after it expires.

pub mod constraint;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::{GrantId, TaskId};
use crate::identity::SpiffeId;
use crate::key::{SigningKey, VerifyingKey};
use crate::text::shown;

/// A token may have at most this many bytes.
pub const TOKEN_BYTES_MAX: usize = 64 << 10;
/// How far apart the clocks of issuer and verifier may be.
pub const CLOCK_SKEW_MS: u64 = 30_000;

const TOKEN_TYPE: &str = "checkrein-grant+jwt";

/// What a task may do, for whom, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// This token.
    pub id: GrantId,
    /// The task whose authority it carries.
    pub task: TaskId,
    /// The agent that may use it, and nobody else.
    pub agent: SpiffeId,
    /// The human it acts for.
    pub user: String,
    /// What it may use.
    pub scope: Scope,
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
}

/// The tools a grant covers: `<catalog>/<tool>`, or `<catalog>/*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scope(Vec<String>);

/// A tool pattern that can't stand in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a tool: expected `<catalog>/<tool>`, or `<catalog>/*` for every tool of a catalog; \
     a `*` stands for nothing else"
)]
pub struct InvalidScope(String);

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
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    jti: String,
    txn: String,
    sub: String,
    agent: SpiffeId,
    scope: Scope,
    named: Vec<String>,
    intent: String,
    environment: String,
    iat_ms: u64,
    exp_ms: u64,
}

impl Scope {
    /// From patterns.
    pub fn parse(patterns: impl IntoIterator<Item = String>) -> Result<Self, InvalidScope> {
        // Whoever writes `c/x*` means more than one tool: it would cover none, and nobody would be told.
        let is_tool = |tool: &str| tool == "*" || !(tool.is_empty() || tool.contains('*'));
        let is_catalog = |catalog: &str| !(catalog.is_empty() || catalog.contains('*'));
        let check = |pattern: String| match pattern.split_once('/') {
            Some((catalog, tool)) if is_catalog(catalog) && is_tool(tool) => Ok(pattern),
            _ => Err(InvalidScope(shown(&pattern))),
        };
        patterns
            .into_iter()
            .map(check)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether it covers this tool.
    pub fn covers(&self, tool: &str) -> bool {
        let catalog_of = |id: &str| id.split_once('/').map(|(catalog, _)| catalog.to_owned());
        self.0.iter().any(|pattern| match pattern.strip_suffix("/*") {
            Some(catalog) => catalog_of(tool).as_deref() == Some(catalog),
            None => pattern == tool,
        })
    }

    /// The patterns.
    pub fn patterns(&self) -> &[String] {
        &self.0
    }
}

impl Grant {
    /// Signs it into a token.
    pub fn sign(&self, key: &SigningKey) -> Result<String, serde_json::Error> {
        let header = Header {
            alg: "Ed25519".into(),
            typ: TOKEN_TYPE.into(),
            kid: key.id().0.clone(),
        };
        let claims = Claims {
            jti: self.id.to_string(),
            txn: self.task.to_string(),
            sub: self.user.clone(),
            agent: self.agent.clone(),
            scope: self.scope.clone(),
            named: self.named.clone(),
            intent: self.intent.clone(),
            environment: self.environment.clone(),
            iat_ms: self.issued_ms,
            exp_ms: self.expires_ms,
        };
        let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
        let signed = format!(
            "{}.{}",
            part(serde_json::to_vec(&header)?),
            part(serde_json::to_vec(&claims)?)
        );
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
        Ok(format!("{signed}.{signature}"))
    }

    /// Reads a token signed by one of these keys. Whether it holds *now* is [`Grant::holds_at`]'s to say, so that a token
    /// can be verified once and asked often.
    pub fn verify(token: &str, keys: &[VerifyingKey]) -> Result<Self, InvalidGrant> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(InvalidGrant::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidGrant::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidGrant::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidGrant::Malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| InvalidGrant::Header)?;
        if header.alg != "Ed25519" || header.typ != TOKEN_TYPE {
            return Err(InvalidGrant::Header);
        }
        let key = keys
            .iter()
            .find(|key| key.id().0 == header.kid)
            .ok_or_else(|| InvalidGrant::UnknownKey(shown(&header.kid)))?;
        key.verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| InvalidGrant::Signature)?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?)
            .map_err(|error| InvalidGrant::Claims(error.to_string()))?;
        let unreadable = |error: &dyn std::error::Error| InvalidGrant::Claims(error.to_string());
        Ok(Self {
            id: claims.jti.parse().map_err(|error| unreadable(&error))?,
            task: claims.txn.parse().map_err(|error| unreadable(&error))?,
            agent: claims.agent,
            user: claims.sub,
            scope: Scope::parse(claims.scope.0).map_err(|error| unreadable(&error))?,
            named: claims.named,
            intent: claims.intent,
            environment: claims.environment,
            issued_ms: claims.iat_ms,
            expires_ms: claims.exp_ms,
        })
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
