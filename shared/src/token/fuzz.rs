//! Bearer tokens and key sets as bytes that somebody changed: only what was signed is believed, and nothing panics.
//!
//! As many inputs as `PROPTEST_CASES` says; `make fuzz` says many.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::{KeySet, Token, Use};

const NOW_MS: u64 = 1_000_000;
const CLAIMS: &str =
    r#"{"iss":"https://issuer.example","sub":"olga","aud":["checkrein","x"],"exp":2e3,"iat":900}"#;

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn key_set() -> String {
    let x = URL_SAFE_NO_PAD.encode(pair().public_key());
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","x":"{x}"}}]}}"#)
}

fn signed(claims: &[u8]) -> String {
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(br#"{"alg":"EdDSA","kid":"k"}"#), encode(claims));
    let signature = encode(pair().sign(message.as_bytes()).as_ref());
    format!("{message}.{signature}")
}

fn is_believed(token: &str, keys: &KeySet) -> bool {
    Token::parse(token).is_ok_and(|token| token.verify(keys, "checkrein", NOW_MS).is_ok())
}

/// A text with bytes cut off, put in, repeated and replaced.
fn changed(text: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let bytes = text.as_bytes().to_vec();
    vec((any::<Index>(), any::<u8>(), 0_u8..4), 0..4).prop_map(move |changes| {
        let mut bytes = bytes.clone();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len() + 1);
            match kind {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.extend_from_within(at..),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|it| *it = byte),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn a_token_that_is_believed_is_the_one_that_was_signed(bytes in changed(&signed(CLAIMS.as_bytes()))) {
        let keys = KeySet::parse(key_set().as_bytes(), Use::Signature).unwrap();
        let token = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(is_believed(&token, &keys), token == signed(CLAIMS.as_bytes()));
    }

    #[test]
    fn claims_of_any_bytes_are_believed_only_for_their_audience_and_time(claims in changed(CLAIMS)) {
        let keys = KeySet::parse(key_set().as_bytes(), Use::Signature).unwrap();
        if is_believed(&signed(&claims), &keys) {
            let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
            prop_assert!(claims["aud"].to_string().contains(r#""checkrein""#));
            prop_assert!(claims["exp"].as_f64().is_some_and(|expires| expires > 970.0));
        }
    }

    #[test]
    fn a_key_set_of_any_bytes_vouches_for_no_signature_but_the_keys_own(keys in changed(&key_set())) {
        let Ok(keys) = KeySet::parse(&keys, Use::Signature) else {
            return Ok(());
        };
        let mut forged = signed(CLAIMS.as_bytes());
        forged.truncate(forged.rfind('.').unwrap() + 1);
        forged.push_str(&URL_SAFE_NO_PAD.encode([0; 64]));
        prop_assert!(!is_believed(&forged, &keys));
    }
}
