//! A signed token as it comes in, and what makes it one to believe.
//!
//! **Invariant**: nothing that a token claims is used before its signature is verified, but for its issuer and
//! the kind of its subject, which only say whose keys to verify it with. No part of a token is in an error.

mod keys;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;

pub use keys::{InvalidKeySet, KeySet, Unverified, Use};

/// A token is no longer than this.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// So far the clocks of an issuer and of this machine may be apart.
const SKEW_S: f64 = 30.0;

/// A token that nobody vouches for yet.
#[derive(Clone)]
pub struct Token {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// What a verified token says.
#[derive(Debug, Clone)]
pub struct Claims(Map<String, Value>);

/// A token that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidToken {
    /// Not three parts of what they should be.
    #[error("the bearer token is not a signed JSON Web Token")]
    Syntax,
    /// Extensions that must be understood, and are not.
    #[error("the token has a header that this does not know: `{0}`")]
    Header(&'static str),
    /// Of another kind.
    #[error("the token's `typ` is not that of a token to sign in with")]
    Type,
    /// No key is named.
    #[error("the token does not say which key signed it (`kid`)")]
    KeyNotNamed,
    /// No such key.
    #[error("the token is signed with a key that its issuer does not list")]
    UnknownKey,
    /// Another algorithm than the key's.
    #[error("the token's algorithm is not one that its key is for")]
    Algorithm,
    /// Not signed by it.
    #[error("the token's signature is wrong")]
    Signature,
    /// Of another issuer.
    #[error("the token is from an issuer that is not known here")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience than `{0}`")]
    Audience(String),
    /// A time that is missing or none.
    #[error("the token's claim `{0}` is missing or not a time")]
    Time(&'static str),
    /// Over.
    #[error("the token has expired: sign in again")]
    Expired,
    /// Not yet.
    #[error("the token is from the future; is the clock of its issuer or of this machine wrong?")]
    Early,
}

impl Token {
    /// Takes a token apart.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(InvalidToken::Syntax);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidToken::Syntax);
        let object = |part: &str| serde_json::from_slice(&decode(part)?).map_err(|_| InvalidToken::Syntax);
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(InvalidToken::Syntax);
        };
        let token = Self {
            header: object(header)?,
            claims: object(claims)?,
            signed: format!("{header}.{claims}").into_bytes(),
            signature: decode(signature)?,
        };
        // Each changes what is signed or must be understood to be sure; no issuer of ours needs one.
        for changing in ["crit", "b64", "zip"] {
            if token.header.contains_key(changing) {
                return Err(InvalidToken::Header(changing));
            }
        }
        Ok(token)
    }

    /// Whether the token says that it is from there.
    pub fn claims_issuer(&self, issuer: &str) -> bool {
        self.claims.get("iss").and_then(Value::as_str) == Some(issuer)
    }

    /// Whether the token says that it is of a workload.
    pub fn claims_workload(&self) -> bool {
        let subject = self.claims.get("sub").and_then(Value::as_str);
        subject.is_some_and(|subject| subject.starts_with("spiffe://"))
    }

    /// Refuses a token whose type, in lower case, is not one of these; one that says none passes.
    pub fn expect_type(&self, types: &[&str]) -> Result<(), InvalidToken> {
        match self.header.get("typ") {
            None => Ok(()),
            Some(Value::String(typ)) if types.contains(&typ.to_ascii_lowercase().as_str()) => Ok(()),
            Some(_) => Err(InvalidToken::Type),
        }
    }

    /// Refuses a token with a header that is not one of these.
    pub fn expect_headers(&self, known: &[&str]) -> Result<(), InvalidToken> {
        let strange = self.header.keys().any(|name| !known.contains(&name.as_str()));
        if strange {
            return Err(InvalidToken::Header("other than alg, kid and typ"));
        }
        Ok(())
    }

    /// As which the token says it is signed.
    pub fn algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    /// What the token says, if one of these keys vouches for it and it is for this audience and for now. Keys that the token
    /// brings along are nobody's.
    pub fn verify(&self, keys: &KeySet, audience: &str, now_ms: u64) -> Result<Claims, InvalidToken> {
        let id = self.header.get("kid").and_then(Value::as_str);
        let id = id.ok_or(InvalidToken::KeyNotNamed)?;
        keys.verify(id, self.algorithm(), &self.signed, &self.signature)
            .map_err(|reason| match reason {
                Unverified::UnknownKey => InvalidToken::UnknownKey,
                Unverified::Algorithm => InvalidToken::Algorithm,
                Unverified::Signature => InvalidToken::Signature,
            })?;
        let claims = Claims(self.claims.clone());
        claims.check(audience, now_ms)?;
        Ok(claims)
    }
}

impl Claims {
    /// Refuses claims that are for somebody else, or not for now.
    fn check(&self, audience: &str, now_ms: u64) -> Result<(), InvalidToken> {
        if !self.texts("aud").contains(&audience) {
            return Err(InvalidToken::Audience(audience.to_owned()));
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 fit for 285,000 years"
        )]
        let now_s = now_ms as f64 / 1_000.0;
        let expires = self.time("exp")?.ok_or(InvalidToken::Time("exp"))?;
        if now_s >= expires + SKEW_S {
            return Err(InvalidToken::Expired);
        }
        for begins in ["nbf", "iat"] {
            if self.time(begins)?.is_some_and(|at| at > now_s + SKEW_S) {
                return Err(InvalidToken::Early);
            }
        }
        Ok(())
    }

    /// Whether there is a claim of this name at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// One text of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A text or a list of them.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// When it ends, in milliseconds since 1970.
    pub fn expires_ms(&self) -> Result<u64, InvalidToken> {
        let expires = self.time("exp")?.ok_or(InvalidToken::Time("exp"))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float that does not fit saturates: a session has a bound of its own"
        )]
        let expires_ms = (expires * 1_000.0) as u64;
        Ok(expires_ms)
    }

    fn time(&self, name: &'static str) -> Result<Option<f64>, InvalidToken> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(InvalidToken::Time(name)),
        }
    }
}

impl std::fmt::Debug for Token {
    /// Without what would let a reader be its bearer.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod fuzz;
