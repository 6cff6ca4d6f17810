//! What every token here is: a compact JWS (RFC 7515) with one algorithm, Ed25519 (RFC 9864).
//!
//! **Invariant**: the header is compared, not interpreted: there is no `alg` to confuse.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::InvalidGrant;
use super::chain::SEPARATOR;
use crate::action::Sha256;
use crate::key::{SigningKey, VerifyingKey};
use crate::text::shown;

const ALGORITHM: &str = "Ed25519";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// A token taken apart, its signature not looked at yet.
pub(super) struct Jws<'a> {
    signed: &'a str,
    kid: String,
    claims: &'a str,
    signature: &'a str,
}

/// Signs these claims.
pub(super) fn sign(token_type: &str, claims: &Value, key: &SigningKey) -> Result<String, serde_json::Error> {
    let header = Header {
        alg: ALGORITHM.into(),
        typ: token_type.into(),
        kid: key.id().0.clone(),
    };
    let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
    let signed = format!(
        "{}.{}",
        part(serde_json::to_vec(&header)?),
        part(serde_json::to_vec(claims)?)
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}

/// The digest of what was signed in the last of these tokens.
pub(super) fn signed_digest(presented: &str) -> Option<Sha256> {
    let last = presented.rsplit(SEPARATOR).next()?;
    let (signed, _) = last.rsplit_once('.')?;
    Some(Sha256::of(signed.as_bytes()))
}

impl<'a> Jws<'a> {
    /// Takes a token of this type and at most so many bytes apart.
    pub(super) fn parse(token: &'a str, token_type: &str, bytes_max: usize) -> Result<Self, InvalidGrant> {
        if token.len() > bytes_max {
            return Err(InvalidGrant::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidGrant::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidGrant::Malformed)?;
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| InvalidGrant::Header)?;
        if header.alg != ALGORITHM || header.typ != token_type {
            return Err(InvalidGrant::Header);
        }
        Ok(Self {
            signed,
            kid: header.kid,
            claims,
            signature,
        })
    }

    /// Whether it names this key as the one that signed it.
    pub(super) fn is_by(&self, key: &VerifyingKey) -> bool {
        key.id().0 == self.kid
    }

    /// What it says, if one of these keys signed it.
    pub(super) fn claims<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifyingKey>,
    ) -> Result<Vec<u8>, InvalidGrant> {
        let key = keys
            .into_iter()
            .find(|key| self.is_by(key))
            .ok_or_else(|| InvalidGrant::UnknownKey(shown(&self.kid)))?;
        key.verify(self.signed.as_bytes(), &decode(self.signature)?)
            .map_err(|_| InvalidGrant::Signature)?;
        decode(self.claims)
    }

    /// What it says, whoever signed it.
    pub(super) fn unverified(&self) -> Result<Vec<u8>, InvalidGrant> {
        decode(self.claims)
    }

    /// The digest of what was signed.
    pub(super) fn digest(&self) -> Sha256 {
        Sha256::of(self.signed.as_bytes())
    }
}

fn decode(part: &str) -> Result<Vec<u8>, InvalidGrant> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidGrant::Malformed)
}
