//! A key vouches for what it signed by an algorithm of its own type, and for nothing else.

use serde_json::Value;

use super::*;

/// Keys of every type and a signature by every algorithm, of another implementation.
const SIGNATURES: &str = include_str!("signatures.json");
const MESSAGE: &[u8] = b"header.claims";

fn signatures() -> (KeySet, Vec<(String, String, Vec<u8>)>) {
    let document: Value = serde_json::from_str(SIGNATURES).unwrap();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let signature = |entry: &Value| {
        let bytes = URL_SAFE_NO_PAD.decode(text(entry, "signature")).unwrap();
        (text(entry, "kid"), text(entry, "alg"), bytes)
    };
    let made = document["signatures"].as_array().unwrap().iter().map(signature);
    (
        KeySet::parse(SIGNATURES.as_bytes(), Use::Signature).unwrap(),
        made.collect(),
    )
}

#[test]
fn every_algorithm_of_every_key_is_verified() {
    let (keys, made) = signatures();
    assert_eq!(made.len(), 9);
    for (id, algorithm, signature) in &made {
        assert_eq!(
            keys.verify(id, algorithm, MESSAGE, signature),
            Ok(()),
            "{algorithm}"
        );
        let other = keys.verify(id, algorithm, b"header.other", signature);
        assert_eq!(
            other,
            Err(Unverified::Signature),
            "{algorithm} of another message"
        );
    }
}

#[test]
fn a_signature_is_good_for_its_own_key_and_algorithm_only() {
    let (keys, made) = signatures();
    for (id, algorithm, signature) in &made {
        for (_, other, _) in made.iter().filter(|(_, other, _)| other != algorithm) {
            assert!(
                keys.verify(id, other, MESSAGE, signature).is_err(),
                "{algorithm} as {other}"
            );
        }
        for other in ["none", "HS256", "HS512", "ES512", ""] {
            assert_eq!(
                keys.verify(id, other, MESSAGE, signature),
                Err(Unverified::Algorithm),
                "{other}"
            );
        }
        let stranger = keys.verify("stranger", algorithm, MESSAGE, signature);
        assert_eq!(stranger, Err(Unverified::UnknownKey));
    }
}

#[test]
fn a_key_for_another_use_or_of_another_kind_is_none() {
    let ed25519 = r#""kty":"OKP","crv":"Ed25519","x":"AAAA""#;
    for (key, wanted) in [
        (format!(r#"{{{ed25519},"kid":"k","use":"enc"}}"#), Use::Signature),
        (format!(r#"{{{ed25519},"kid":"k","use":"sig"}}"#), Use::JwtSvid),
        (format!(r#"{{{ed25519},"kid":"k"}}"#), Use::JwtSvid),
        (
            format!(r#"{{{ed25519},"kid":"k","key_ops":["sign"]}}"#),
            Use::Signature,
        ),
        (format!("{{{ed25519}}}"), Use::Signature),
        (
            r#"{"kty":"oct","kid":"k","k":"c2VjcmV0"}"#.to_owned(),
            Use::Signature,
        ),
    ] {
        let set = format!(r#"{{"keys":[{key}]}}"#);
        assert!(KeySet::parse(set.as_bytes(), wanted).unwrap().is_empty(), "{key}");
    }
}
