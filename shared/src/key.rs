//! Keys by purpose: a root key, kept offline and pinned by enforcers, certifies the bundle and grant keys.
//!
//! **Invariant**: a key set is believed only with the root's signature and a version that never falls and means one set.
//! Private keys are PKCS#8 in files; nothing prints them.

use std::cmp::Ordering;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_proto::fleet::v1 as wire;
use prost::Message;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use thiserror::Error;

use crate::action::Sha256;

/// The private half of an Ed25519 key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: KeyId,
}

/// The public half.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    bytes: [u8; 32],
    id: KeyId,
}

/// Names a key by what it is: the first 16 hex digits of the SHA-256 of its public half.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub String);

/// The keys in use, as the root certified them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// Rises by one with each rotation.
    pub version: u64,
    /// Sign bundles.
    pub bundle: Vec<VerifyingKey>,
    /// Sign grants.
    pub grant: Vec<VerifyingKey>,
    /// SHA-256 of the CA certificate, DER.
    pub ca: Sha256,
}

/// The newest key set that was ever believed here. The default: none was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldKeySet {
    /// Its version.
    pub version: u64,
    /// The digest of its bytes; none if only the version was kept.
    pub sha256: Option<Sha256>,
}

/// A key that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidKey {
    /// Not an Ed25519 private key in PKCS#8.
    #[error("not an Ed25519 private key in PKCS#8; was the file cut or replaced?")]
    Private,
    /// Not 32 bytes.
    #[error("an Ed25519 public key has 32 bytes, found {0}")]
    Public(usize),
    /// Not text that stands for bytes.
    #[error(
        "an Ed25519 public key is written in base64url without padding, as `checkrein task key` prints it"
    )]
    Base64,
}

/// A signature, or a key set, that is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// The bytes were not signed by this key.
    #[error("the signature does not match")]
    Signature,
    /// Signed by the root, and not readable.
    #[error("the key set can't be decoded")]
    Undecodable,
    /// An older key set than the one in use.
    #[error("key set {offered} is older than {held}, which is in use")]
    Rollback {
        /// What came.
        offered: u64,
        /// What is held.
        held: u64,
    },
    /// The root signed two key sets of one version: somebody has its key, or rotated it twice.
    #[error(
        "key set {version} is another than the key set {version} in use; the root signed both: find out who has its key"
    )]
    Forked {
        /// Of both.
        version: u64,
    },
}

impl SigningKey {
    /// A fresh key, as the PKCS#8 bytes to store.
    pub fn generate() -> Result<Vec<u8>, InvalidKey> {
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| InvalidKey::Private)
    }

    /// From stored PKCS#8 bytes.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, InvalidKey> {
        Ed25519KeyPair::from_pkcs8(bytes)
            .map_err(|_| InvalidKey::Private)
            .and_then(Self::of)
    }

    /// The same, from a key that other tools made too: those leave the public half out (RFC 5958), and then nothing shows that
    /// the file was changed.
    pub fn from_foreign_pkcs8(bytes: &[u8]) -> Result<Self, InvalidKey> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)
            .map_err(|_| InvalidKey::Private)
            .and_then(Self::of)
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, InvalidKey> {
        let id = VerifyingKey::try_from(pair.public_key().as_ref())?.id;
        Ok(Self { pair, id })
    }

    /// Its name.
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// What verifies its signatures.
    pub fn verifying(&self) -> VerifyingKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        VerifyingKey {
            bytes,
            id: self.id.clone(),
        }
    }

    /// Signs; deterministic.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id.0)
    }
}

impl VerifyingKey {
    /// Its name.
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// As tokens and people spell it: base64url without padding.
    pub fn to_base64(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes)
    }

    /// From what [`VerifyingKey::to_base64`] gives.
    pub fn from_base64(text: &str) -> Result<Self, InvalidKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidKey::Base64)?;
        Self::try_from(&*bytes)
    }

    /// As a JSON web key (RFC 8037).
    pub fn to_jwk(&self) -> serde_json::Value {
        serde_json::json!({"crv": "Ed25519", "kty": "OKP", "x": self.to_base64()})
    }

    /// Names the key wherever JSON web keys are named (RFC 7638).
    pub fn thumbprint(&self) -> Sha256 {
        // Members sorted, no white space: the standard's form.
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.to_base64());
        Sha256::of(jwk.as_bytes())
    }

    /// Checks a signature.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Untrusted> {
        UnparsedPublicKey::new(&ED25519, &self.bytes)
            .verify(message, signature)
            .map_err(|_| Untrusted::Signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.id.0)
    }
}

impl TryFrom<&[u8]> for VerifyingKey {
    type Error = InvalidKey;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| InvalidKey::Public(bytes.len()))?;
        let id = KeyId(Sha256::of(&bytes).to_string()[..16].to_owned());
        Ok(Self { bytes, id })
    }
}

impl KeySet {
    /// Encodes and signs, as the root does.
    pub fn sign(&self, root: &SigningKey) -> wire::SignedKeySet {
        let keys = |keys: &[VerifyingKey]| {
            let encode = |key: &VerifyingKey| wire::PublicKey {
                key_id: key.id.0.clone(),
                ed25519: bytes::Bytes::copy_from_slice(&key.bytes),
            };
            keys.iter().map(encode).collect()
        };
        let key_set = wire::KeySet {
            version: self.version,
            bundle_keys: keys(&self.bundle),
            grant_keys: keys(&self.grant),
            ca_sha256: self.ca.to_bytes(),
        }
        .encode_to_vec();
        let signature = root.sign(&key_set).to_vec().into();
        wire::SignedKeySet {
            key_set: key_set.into(),
            signature,
        }
    }

    /// Believes a key set if the root signed it and it is the one held or a newer one.
    pub fn verify(
        signed: &wire::SignedKeySet,
        root: &VerifyingKey,
        held: HeldKeySet,
    ) -> Result<Self, Untrusted> {
        root.verify(&signed.key_set, &signed.signature)?;
        let set = wire::KeySet::decode(&*signed.key_set).map_err(|_| Untrusted::Undecodable)?;
        held.admits(set.version, &signed.key_set)?;
        let keys = |keys: &[wire::PublicKey]| {
            let decode = |key: &wire::PublicKey| VerifyingKey::try_from(&*key.ed25519);
            keys.iter()
                .map(decode)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| Untrusted::Undecodable)
        };
        Ok(Self {
            version: set.version,
            bundle: keys(&set.bundle_keys)?,
            grant: keys(&set.grant_keys)?,
            ca: Sha256::try_from(&*set.ca_sha256).map_err(|_| Untrusted::Undecodable)?,
        })
    }
}

impl HeldKeySet {
    /// This key set, once it was verified.
    pub fn of(version: u64, signed: &wire::SignedKeySet) -> Self {
        let sha256 = Some(Sha256::of(&signed.key_set));
        Self { version, sha256 }
    }

    fn admits(self, offered: u64, key_set: &[u8]) -> Result<(), Untrusted> {
        let held = self.version;
        match offered.cmp(&held) {
            Ordering::Less => Err(Untrusted::Rollback { offered, held }),
            Ordering::Equal if self.sha256.is_some_and(|sha256| sha256 != Sha256::of(key_set)) => {
                Err(Untrusted::Forked { version: held })
            }
            Ordering::Equal | Ordering::Greater => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
