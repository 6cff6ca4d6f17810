//! Public keys that a token may be signed with, as a JSON Web Key Set lists them.
//!
//! **Invariant**: a key verifies only what its own type signs: the algorithm is chosen by the key and never by the token
//! alone, no secret is ever a key, and a key for another use is none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use thiserror::Error;

/// Keys of one set; a set that lists more is refused.
const KEYS_MAX: usize = 128;

/// What the keys of a set are listed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Of an OIDC issuer: `sig`, or nothing said.
    Signature,
    /// Of a SPIFFE bundle: `jwt-svid`, and nothing else.
    JwtSvid,
}

/// The usable keys of a set.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Key>);

/// One key.
#[derive(Debug, Clone)]
struct Key {
    id: String,
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A text that is no set of keys.
#[derive(Debug, Error)]
pub enum InvalidKeySet {
    /// Not the JSON it should be.
    #[error("it is not a JSON Web Key Set: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Too many.
    #[error("it lists {0} keys, more than the {KEYS_MAX} allowed")]
    Length(usize),
}

/// Why no key of a set vouches for a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// No key of this id.
    UnknownKey,
    /// The key of this id is not for this algorithm.
    Algorithm,
    /// It did not sign this.
    Signature,
}

#[derive(Deserialize)]
struct WireSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct WireKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    crv: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// The keys that are for this use. Keys of kinds that nobody here knows are left out, as the standard has it.
    pub fn parse(text: &[u8], wanted: Use) -> Result<Self, InvalidKeySet> {
        let set: WireSet = serde_json::from_slice(text)?;
        if set.keys.len() > KEYS_MAX {
            return Err(InvalidKeySet::Length(set.keys.len()));
        }
        let known = set.keys.into_iter().filter_map(|key| {
            let key: WireKey = serde_json::from_value(key).ok()?;
            key.is_for(wanted).then(|| key.usable()).flatten()
        });
        Ok(Self(known.collect()))
    }

    /// Whether there is a key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says that the key of this id made this signature by this algorithm.
    pub fn verify(
        &self,
        id: &str,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Unverified> {
        let mut worst = Unverified::UnknownKey;
        for key in self.0.iter().filter(|key| key.id == id) {
            match key.verify(algorithm, message, signature) {
                Ok(()) => return Ok(()),
                Err(reason) => worst = reason,
            }
        }
        Err(worst)
    }
}

impl WireKey {
    fn is_for(&self, wanted: Use) -> bool {
        let used = match wanted {
            Use::Signature => self.r#use.as_deref().is_none_or(|listed| listed == "sig"),
            Use::JwtSvid => self.r#use.as_deref() == Some("jwt-svid"),
        };
        let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
        used && self.key_ops.as_ref().is_none_or(verifies)
    }

    fn usable(self) -> Option<Key> {
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let point = |length: usize| {
            let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
            // Uncompressed: SEC 1, section 2.3.3.
            (x.len() == length && y.len() == length).then(|| [vec![4], x, y].concat())
        };
        let number = |text: &Option<String>| {
            let bytes = bytes(text)?;
            let start = bytes.iter().position(|byte| *byte != 0)?;
            Some(bytes[start..].to_vec())
        };
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Material::Rsa {
                n: number(&self.n)?,
                e: number(&self.e)?,
            },
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&self.x)?),
            _ => return None,
        };
        Some(Key {
            id: self.kid?,
            algorithm: self.alg,
            material,
        })
    }
}

impl Key {
    fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<(), Unverified> {
        if self.algorithm.as_deref().is_some_and(|only| only != algorithm) {
            return Err(Unverified::Algorithm);
        }
        let verified = match (&self.material, algorithm) {
            (Material::Rsa { n, e }, _) => {
                let parameters = rsa(algorithm).ok_or(Unverified::Algorithm)?;
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Material::P256(point), "ES256") => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Material::P384(point), "ES384") => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            (Material::Ed25519(point), "EdDSA") => {
                UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signature)
            }
            _ => return Err(Unverified::Algorithm),
        };
        verified.map_err(|_| Unverified::Signature)
    }
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
