//! Tokens, signed in every way in which one can be: well, and otherwise.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_shared::{Clock, SystemClock};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// A key that signs tokens by ES256.
pub(crate) struct Signer {
    id: &'static str,
    key: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self { id, key }
    }

    /// The public key as a set lists it.
    pub(crate) fn public(&self, used: &str) -> Value {
        let point = self.key.public_key().as_ref();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": used, "x": number(&point[1..33]), "y": number(&point[33..])})
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "ES256", "kid": self.id, "typ": "JWT"})
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    /// Signed by ES256, whatever the header says.
    pub(crate) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        joined(header, claims, |message| {
            let signature = self.key.sign(&SystemRandom::new(), message).unwrap();
            signature.as_ref().to_vec()
        })
    }

    /// The oldest trick: the public key as the secret of a symmetric algorithm.
    pub(crate) fn sign_with_the_public_key_as_secret(&self, claims: &Value) -> String {
        let header = json!({"alg": "HS256", "kid": self.id, "typ": "JWT"});
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.public_key().as_ref());
        joined(&header, claims, |message| {
            hmac::sign(&key, message).as_ref().to_vec()
        })
    }

    /// Signed by nobody.
    pub(crate) fn unsigned(&self, claims: &Value) -> String {
        let header = json!({"alg": "none", "kid": self.id, "typ": "JWT"});
        joined(&header, claims, |_| Vec::new())
    }
}

pub(crate) fn now_s() -> u64 {
    SystemClock.wall_ms() / 1_000
}

fn joined(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}
