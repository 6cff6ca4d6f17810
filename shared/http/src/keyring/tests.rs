//! Keys come from their source, and are forgotten when it stays silent.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_shared::key::SigningKey;
use checkrein_shared::{Clock, ManualClock};
use serde_json::json;

use super::*;

const OURS: &str = "checkrein";
const NOW_MS: u64 = 1_800_000_000_000;

/// A bundle with one key, and a token that it signs for a day and an hour.
fn bundle() -> (String, Token) {
    let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let expires = NOW_MS / 1_000 + 25 * 60 * 60;
    let signed = format!(
        "{}.{}",
        part(json!({"alg": "EdDSA", "kid": "one"})),
        part(json!({"aud": OURS, "exp": expires}))
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    let x = URL_SAFE_NO_PAD.encode(key.verifying().as_bytes());
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "use": "jwt-svid", "x": x});
    let token = Token::parse(&format!("{signed}.{signature}")).unwrap();
    (json!({"keys": [key]}).to_string(), token)
}

#[tokio::test]
async fn keys_outlast_their_source_for_a_day_and_no_longer() {
    let (bundle, token) = bundle();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bundle).unwrap();
    let clock = ManualClock::at(NOW_MS);
    let source = Source::Bundle(file.path().to_owned());
    let (ring, follower) = Keyring::new(source, Arc::new(clock.clone()));
    let ask = |audience: &str| ring.try_verify(&token, audience, &ring.known.borrow());
    assert!(
        matches!(ask(OURS), Err(Disbelief::NoKeys(_))),
        "nothing was fetched yet"
    );

    assert!(follower.fetch_once().await);
    assert!(ask(OURS).is_ok());
    let elsewhere = ask("another");
    assert!(matches!(
        elsewhere,
        Err(Disbelief::Token(InvalidToken::Audience(_)))
    ));

    drop(file);
    assert!(!follower.fetch_once().await);
    let day_ms = u64::try_from(KEYS_AGE_MAX.as_millis()).unwrap();
    clock.advance_ms(day_ms);
    assert!(
        ask(OURS).is_ok(),
        "the source is away, and what it said is a day old"
    );
    clock.advance_ms(1);
    let Err(Disbelief::NoKeys(cause)) = ask(OURS) else {
        panic!("keys that nobody confirms are believed")
    };
    assert!(cause.contains("can't read"), "{cause}");
}

#[tokio::test]
async fn a_source_without_a_usable_key_takes_nothing_away() {
    let (bundle, token) = bundle();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bundle).unwrap();
    let clock = ManualClock::at(NOW_MS);
    let (ring, follower) = Keyring::new(Source::Bundle(file.path().to_owned()), Arc::new(clock.clone()));
    assert!(follower.fetch_once().await);
    for bad in [
        "",
        "no JSON",
        r#"{"keys": []}"#,
        r#"{"keys": [{"kty": "oct", "kid": "one", "k": "AA"}]}"#,
    ] {
        std::fs::write(file.path(), bad).unwrap();
        assert!(!follower.fetch_once().await, "{bad}");
        assert!(follower.failure().is_some(), "{bad}");
        assert!(
            ring.try_verify(&token, OURS, &ring.known.borrow()).is_ok(),
            "{bad}"
        );
    }
    // The token's own time is asked each time.
    clock.set_wall_ms(clock.wall_ms() + 26 * 60 * 60 * 1_000);
    let late = ring.try_verify(&token, OURS, &ring.known.borrow());
    assert!(matches!(late, Err(Disbelief::Token(InvalidToken::Expired))));
}
