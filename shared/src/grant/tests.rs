//! A grant gives what was signed, while it holds, and nothing else.

use super::*;
use crate::clock::ManualClock;

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

fn grant() -> Grant {
    let clock = ManualClock::at(1_000_000);
    Grant {
        id: GrantId::new(&clock),
        task: TaskId::new(&clock),
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        user: "alice".into(),
        scope: Scope::parse(["bank/send_money".into(), "mail/*".into()]).unwrap(),
        named: vec!["GB29NWBK60161331926819".into()],
        intent: "pay the rent".into(),
        environment: "production".into(),
        issued_ms: 1_000_000,
        expires_ms: 2_000_000,
    }
}

#[test]
fn a_signed_grant_comes_back_as_it_was() {
    let key = key();
    let token = grant().sign(&key).unwrap();
    let read = Grant::verify(&token, &[key.verifying()]).unwrap();
    assert_eq!(
        (&read.user, &read.scope, &read.named),
        (&grant().user, &grant().scope, &grant().named)
    );
    assert_eq!((read.issued_ms, read.expires_ms), (1_000_000, 2_000_000));
}

#[test]
fn any_changed_byte_of_a_token_is_refused() {
    let key = key();
    let token = grant().sign(&key).unwrap();
    for at in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of a part may carry unused bits; the decoder refuses those too.
        assert!(Grant::verify(&changed, &[key.verifying()]).is_err(), "byte {at}");
    }
}

#[test]
fn another_key_another_algorithm_and_none_are_refused() {
    let (key, other) = (key(), self::key());
    let token = grant().sign(&key).unwrap();
    assert!(matches!(
        Grant::verify(&token, &[other.verifying()]),
        Err(InvalidGrant::UnknownKey(_))
    ));
    assert!(matches!(
        Grant::verify(&token, &[]),
        Err(InvalidGrant::UnknownKey(_))
    ));
    let claims = token.split('.').nth(1).unwrap();
    let long = format!(
        r#"{{"alg":"Ed25519","typ":"{TOKEN_TYPE}","kid":"{}"}}"#,
        "é".repeat(9_000)
    );
    let forged = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(long));
    assert_eq!(
        Grant::verify(&forged, &[key.verifying()]),
        Err(InvalidGrant::UnknownKey("é".repeat(64))),
        "a name that anybody may choose is cut"
    );
    for header in [
        r#"{"alg":"none","typ":"checkrein-grant+jwt","kid":""}"#,
        r#"{"alg":"HS256","typ":"JWT","kid":"x"}"#,
    ] {
        let forged = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(header));
        assert_eq!(
            Grant::verify(&forged, &[key.verifying()]),
            Err(InvalidGrant::Header)
        );
    }
    for nonsense in ["", ".", "..", "a.b.c", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
        assert!(Grant::verify(nonsense, &[key.verifying()]).is_err());
    }
}

#[test]
fn a_claim_that_stands_twice_or_is_unknown_is_refused() {
    let key = key();
    let header = format!(
        r#"{{"alg":"Ed25519","typ":"checkrein-grant+jwt","kid":"{}"}}"#,
        key.id().0
    );
    let good = grant().sign(&key).unwrap();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(good.split('.').nth(1).unwrap()).unwrap()).unwrap();
    for changed in [
        claims.replacen('{', r#"{"sub":"eve","#, 1),
        claims.replacen('{', r#"{"admin":true,"#, 1),
    ] {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(&header),
            URL_SAFE_NO_PAD.encode(&changed)
        );
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())));
        assert!(
            matches!(
                Grant::verify(&token, &[key.verifying()]),
                Err(InvalidGrant::Claims(_))
            ),
            "{changed}"
        );
    }
}

#[test]
fn a_grant_holds_from_its_issue_until_it_expires() {
    let grant = grant();
    assert_eq!(grant.holds_at(1_000_000), Ok(()));
    assert_eq!(grant.holds_at(1_999_999), Ok(()));
    assert_eq!(grant.holds_at(2_000_000), Err(InvalidGrant::Expired));
    assert_eq!(grant.holds_at(1_000_000 - CLOCK_SKEW_MS), Ok(()));
    assert_eq!(
        grant.holds_at(1_000_000 - CLOCK_SKEW_MS - 1),
        Err(InvalidGrant::NotYet)
    );
}

#[test]
fn a_scope_covers_its_tools_and_no_others() {
    let scope = grant().scope;
    assert!(scope.covers("bank/send_money") && scope.covers("mail/send"));
    for other in ["bank/send", "bank/send_money2", "mailbox/send", "mail", "*", ""] {
        assert!(!scope.covers(other), "{other}");
    }
    for bad in ["*", "bank", "/x", "bank/", "*/x"] {
        assert!(Scope::parse([bad.to_owned()]).is_err(), "{bad}");
    }
}

#[test]
fn a_pattern_that_would_cover_nothing_is_refused() {
    for bad in ["bank/dir/*", "bank/send*", "bank/**", "ba*/send", "bank/*/send"] {
        let refused = Scope::parse([bad.to_owned()]).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("`{bad}` is not a tool")),
            "{refused}"
        );
    }
    assert!(
        Scope::parse(["bank/dir/send".to_owned()])
            .unwrap()
            .covers("bank/dir/send")
    );
}
