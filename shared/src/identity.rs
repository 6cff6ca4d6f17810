//! Who is speaking: SPIFFE IDs, and the role that one carries.
//!
//! `spiffe://<domain>/<role>/<name>`: the first path segment is the role, the rest the name.

mod certificate;
mod draft;
mod join;
mod verifier;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use certificate::{InvalidSvid, Svid};
pub use draft::{Draft, DraftError};
pub use join::{InvalidJoinToken, JoinToken, JoinWord, WrongCertificate};
pub use verifier::{ControlPlaneVerifier, InvalidCa};

use crate::text::shown;

/// A SPIFFE ID may have at most this many bytes (SPIFFE-ID, section 2.4).
const SPIFFE_ID_BYTES_MAX: usize = 2_048;
/// A trust domain may have at most this many (SPIFFE-ID, section 2.1).
const TRUST_DOMAIN_BYTES_MAX: usize = 255;

/// A SPIFFE ID: `spiffe://acme.example/agent/billing`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId(String);

/// What an identity may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Changes policy and the fleet.
    Operator,
    /// Answers holds.
    Approver,
    /// Starts and ends tasks.
    Orchestrator,
    /// Decides.
    Enforcer,
    /// Acts.
    Agent,
    /// A control-plane replica.
    ControlPlane,
}

/// A text that is not a SPIFFE ID.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidSpiffeId {
    /// It does not begin with `spiffe://`.
    #[error("`{0}` is not a SPIFFE ID: expected `spiffe://<domain>/<role>/<name>`")]
    Scheme(String),
    /// The trust domain is empty or has a character it may not have.
    #[error(
        "`{0}` has an invalid trust domain: at most {TRUST_DOMAIN_BYTES_MAX} lower-case letters, digits, dots, dashes and \
         underscores, and not `.` or `..`"
    )]
    TrustDomain(String),
    /// The path is missing, or a segment is empty, a dot or has a character it may not have.
    #[error(
        "`{0}` has an invalid path: expected `/<role>/<name>`, letters, digits, dots, dashes and underscores only"
    )]
    Path(String),
    /// It is too long.
    #[error("a SPIFFE ID of {0} bytes is longer than the {SPIFFE_ID_BYTES_MAX} allowed")]
    Length(usize),
}

/// A role nobody has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a role: expected `operator`, `approver`, `orchestrator`, `enforcer` or `agent`")]
pub struct InvalidRole(String);

impl SpiffeId {
    /// The id of `name` in `role`.
    pub fn of(domain: &str, role: Role, name: &str) -> Result<Self, InvalidSpiffeId> {
        format!("spiffe://{domain}/{role}/{name}").parse()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who vouches for it: `acme.example`.
    pub fn trust_domain(&self) -> &str {
        self.0["spiffe://".len()..].split('/').next().unwrap_or_default()
    }

    /// The role, if the path begins with one.
    pub fn role(&self) -> Option<Role> {
        self.path().split('/').next()?.parse().ok()
    }

    /// The path after the role: `billing`.
    pub fn name(&self) -> &str {
        self.path().split_once('/').map_or("", |(_, name)| name)
    }

    fn path(&self) -> &str {
        self.0["spiffe://".len()..]
            .split_once('/')
            .map_or("", |(_, path)| path)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidSpiffeId;

    fn from_str(text: &str) -> Result<Self, InvalidSpiffeId> {
        if text.len() > SPIFFE_ID_BYTES_MAX {
            return Err(InvalidSpiffeId::Length(text.len()));
        }
        let whole = || text.to_owned();
        let rest = text
            .strip_prefix("spiffe://")
            .ok_or_else(|| InvalidSpiffeId::Scheme(whole()))?;
        let (domain, path) = rest
            .split_once('/')
            .ok_or_else(|| InvalidSpiffeId::Path(whole()))?;
        let domain_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let is_path = matches!(domain, "" | "." | "..");
        if is_path || domain.len() > TRUST_DOMAIN_BYTES_MAX || !domain.chars().all(domain_char) {
            return Err(InvalidSpiffeId::TrustDomain(whole()));
        }
        let path_char = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let segment_is_good = |s: &str| !matches!(s, "" | "." | "..") && s.chars().all(path_char);
        if !path.contains('/') || !path.split('/').all(segment_is_good) {
            return Err(InvalidSpiffeId::Path(whole()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = InvalidSpiffeId;

    fn try_from(text: String) -> Result<Self, InvalidSpiffeId> {
        text.parse()
    }
}

impl From<SpiffeId> for String {
    fn from(id: SpiffeId) -> Self {
        id.0
    }
}

impl Role {
    /// Every role, for tables that must be complete.
    pub const ALL: [Self; 6] = [
        Self::Operator,
        Self::Approver,
        Self::Orchestrator,
        Self::Enforcer,
        Self::Agent,
        Self::ControlPlane,
    ];

    /// As it stands in a SPIFFE ID.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Orchestrator => "orchestrator",
            Self::Enforcer => "enforcer",
            Self::Agent => "agent",
            Self::ControlPlane => "control-plane",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| InvalidRole(shown(text)))
    }
}

#[cfg(test)]
mod tests;
