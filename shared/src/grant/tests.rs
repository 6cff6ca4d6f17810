//! A grant gives what was signed, while it holds, and nothing else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::clock::ManualClock;
use crate::key::SigningKey;
use crate::ledger::{Amounts, Meter};

const TOOLS: &str = r#"{
    "mail/*": {},
    "bank/send_money": {
        "recipient": {"constraint_type": "one_of", "values": ["GB29NWBK60161331926819"]},
        "amount": {"constraint_type": "range", "max": 500},
        "memo": {"constraint_type": "wildcard", "optional": true}
    }
}"#;

pub(super) fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

pub(super) fn grant() -> Grant {
    let clock = ManualClock::at(1_000_000);
    Grant {
        id: GrantId::new(&clock),
        task: TaskId::new(&clock),
        epoch: 0,
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        user: "alice".into(),
        scope: Scope::parse_json(TOOLS.as_bytes()).unwrap(),
        limits: Limits {
            calls: Some(60),
            risk: 75,
            depth: 2,
            spend: Amounts::default().with(Meter::Money, 5_000_000),
        },
        data: Some(DataScope::parse(["pii", "public"]).unwrap()),
        named: vec!["GB29NWBK60161331926819".into()],
        intent: "pay the rent".into(),
        environment: "production".into(),
        issued_ms: 1_000_000,
        expires_ms: 2_000_000,
        holder: None,
        link: None,
    }
}

/// The claims of a token, changed and signed again.
fn resigned(key: &SigningKey, token: &str, change: impl FnOnce(String) -> String) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let claims = URL_SAFE_NO_PAD.decode(rest.split('.').next().unwrap()).unwrap();
    let claims = change(String::from_utf8(claims).unwrap());
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())))
}

fn refusal(key: &SigningKey, token: &str) -> String {
    match Grant::verify(token, &[key.verifying()]) {
        Err(InvalidGrant::Claims(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_grant_comes_back_as_it_was() {
    let key = key();
    let grant = grant();
    let token = grant.sign(&key).unwrap();
    assert_eq!(Grant::verify(&token, &[key.verifying()]), Ok(grant));
}

#[test]
fn a_token_says_its_limits_and_leaves_none_out() {
    let key = key();
    let mut grant = grant();
    grant.limits = Limits::default();
    grant.data = None;
    let token = grant.sign(&key).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims = String::from_utf8(claims).unwrap();
    for member in [
        r#""budgets":{"calls":null,"money":null,"rows":null,"bytes":null,"tokens":null,"model_calls":null}"#,
        r#""data":null"#,
        r#""risk":0"#,
        r#""del_max_depth":0"#,
    ] {
        assert!(claims.contains(member), "{member} in {claims}");
    }
    assert_eq!(Grant::verify(&token, &[key.verifying()]), Ok(grant));
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
        r#"{{"alg":"Ed25519","typ":"aat+jwt","kid":"{}"}}"#,
        "é".repeat(9_000)
    );
    let forged = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(long));
    assert_eq!(
        Grant::verify(&forged, &[key.verifying()]),
        Err(InvalidGrant::UnknownKey("é".repeat(64))),
        "a name that anybody may choose is cut"
    );
    for header in [
        r#"{"alg":"none","typ":"aat+jwt","kid":""}"#,
        r#"{"alg":"HS256","typ":"aat+jwt","kid":"x"}"#,
        r#"{"alg":"EdDSA","typ":"aat+jwt","kid":"x"}"#,
        r#"{"alg":"Ed25519","typ":"JWT","kid":"x"}"#,
        r#"{"alg":"Ed25519","alg":"none","typ":"aat+jwt","kid":"x"}"#,
        r#"{"alg":"Ed25519","typ":"aat+jwt","kid":"x","jwk":{}}"#,
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
fn a_claim_that_stands_twice_is_unknown_or_is_missing_is_refused() {
    let key = key();
    let good = grant().sign(&key).unwrap();
    let changes: [(&str, &str); 36] = [
        (r#""cnf":null,"#, ""),
        (
            r#""cnf":null"#,
            r#""cnf":{"jwk":{"crv":"P-256","kty":"EC","x":"AA"}}"#,
        ),
        (r#""par_hash":null,"#, ""),
        (r#""par_hash":null"#, r#""par_hash":"AA""#),
        (r#""epoch":0,"#, ""),
        (r#"{"aat_spec""#, r#"{"sub":"eve","aat_spec""#),
        (r#"{"aat_spec""#, r#"{"admin":true,"aat_spec""#),
        (r#""sub":"alice","#, ""),
        (r#""checkrein-1""#, r#""checkrein-2""#),
        (r#""del_depth":0"#, r#""del_depth":1"#),
        (r#""del_max_depth":2"#, r#""del_max_depth":9"#),
        (r#""del_max_depth":2"#, r#""del_max_depth":258"#),
        (r#""risk":75"#, r#""risk":101"#),
        (r#""risk":75"#, r#""risk":-1"#),
        (r#""risk":75,"#, ""),
        (r#""calls":60"#, r#""calls":0"#),
        (r#""calls":60"#, r#""calls":60,"spend":5"#),
        (r#""calls":60,"#, ""),
        (r#""money":5000000,"#, ""),
        (r#""money":5000000"#, r#""money":-1"#),
        (r#""money":5000000"#, r#""money":1000000000000000001"#),
        (r#""money":5000000"#, r#""money":1.5"#),
        (
            r#""budgets":{"calls":60,"money":5000000,"rows":null,"bytes":null,"tokens":null,"model_calls":null},"#,
            "",
        ),
        (
            r#""budgets":{"calls":60,"money":5000000,"rows":null,"bytes":null,"tokens":null,"model_calls":null}"#,
            r#""budgets":60"#,
        ),
        (r#""data":["pii","public"],"#, ""),
        (r#""data":["pii","public"]"#, r#""data":"pii""#),
        (r#""data":["pii","public"]"#, r#""data":{"pii":true}"#),
        (r#""data":["pii","public"]"#, r#""data":["public","pii"]"#),
        (r#""data":["pii","public"]"#, r#""data":["pii","pii"]"#),
        (r#""data":["pii","public"]"#, r#""data":["pii",null]"#),
        (r#""data":["pii","public"]"#, r#""data":["*"]"#),
        (r#""data":["pii","public"]"#, r#""data":["pii"],"data":null"#),
        (r#""data":["pii","public"]"#, r#""data":["pii "]"#),
        (r#""max":500"#, r#""max":500,"step":5"#),
        (
            r#""constraint_type":"range""#,
            r#""constraint_type":"reasonable""#,
        ),
        (
            r#""iss":"spiffe://acme.example""#,
            r#""iss":"spiffe://other.example""#,
        ),
    ];
    for (from, to) in changes {
        let changed = resigned(&key, &good, |claims| {
            assert!(claims.contains(from), "{from} in {claims}");
            claims.replacen(from, to, 1)
        });
        assert!(!refusal(&key, &changed).is_empty(), "{to}");
    }
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    let key = key();
    let good = grant().sign(&key).unwrap();
    let longer = resigned(&key, &good, |claims| {
        claims.replacen(r#""expires_ms":2000000"#, r#""expires_ms":9000000"#, 1)
    });
    assert_eq!(refusal(&key, &longer), "its times contradict each other");
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
