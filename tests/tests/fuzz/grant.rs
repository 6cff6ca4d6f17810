//! `Grant::verify` and `Scope::parse_json`: what is believed is what was signed, and is written as it was read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_shared::ManualClock;
use checkrein_shared::grant::{DataScope, Grant, Limits, Scope};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::key::SigningKey;
use proptest::{prop_assert, prop_assert_eq};

use super::hostile;

const SCOPES: &str = include_str!("corpus/scope.txt");

fn grant(scope: &str) -> Grant {
    let clock = ManualClock::at(1_000);
    Grant {
        id: GrantId::new(&clock),
        task: TaskId::new(&clock),
        epoch: 0,
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        user: "alice".into(),
        scope: Scope::parse_json(scope.as_bytes()).unwrap(),
        data: Some(DataScope::parse(["pii", "public"]).unwrap()),
        named: vec!["GB29NWBK60161331926819".into()],
        intent: "pay the rent".into(),
        environment: "production".into(),
        issued_ms: 1_000,
        expires_ms: 2_000,
        holder: None,
        link: None,
        limits: Limits::default(),
    }
}

#[test]
fn a_token_that_is_believed_is_the_one_that_was_signed() {
    let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let keys = [key.verifying()];
    let signed: Vec<_> = hostile::lines(SCOPES)
        .iter()
        .filter_map(|line| std::str::from_utf8(line).ok())
        .filter(|line| Scope::parse_json(line.as_bytes()).is_ok())
        .map(|scope| grant(scope).sign(&key).unwrap())
        .collect();
    let corpus: Vec<_> = signed.iter().map(|token| token.clone().into_bytes()).collect();
    hostile::run(&corpus, |input| {
        let token = String::from_utf8_lossy(input);
        prop_assert_eq!(
            Grant::verify(&token, &keys).is_ok(),
            signed.iter().any(|signed| *signed == token)
        );
        Ok(())
    });
}

#[test]
fn claims_of_any_bytes_under_a_true_signature_are_read_in_one_way_or_not_at_all() {
    let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let keys = [key.verifying()];
    let token = grant(r#"{"bank/send":{"to":{"constraint_type":"exact","value":"x"}}}"#)
        .sign(&key)
        .unwrap();
    let parts: Vec<_> = token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    hostile::run(&[claims], |input| {
        let signed = format!("{}.{}", parts[0], URL_SAFE_NO_PAD.encode(input));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
        if let Ok(grant) = Grant::verify(&format!("{signed}.{signature}"), &keys) {
            let again = Grant::verify(&grant.sign(&key).unwrap(), &keys);
            prop_assert_eq!(again, Ok(grant));
            let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(input).is_ok();
            prop_assert!(is_json);
        }
        Ok(())
    });
}

#[test]
fn a_scope_that_is_read_is_written_and_read_back_as_itself() {
    hostile::run(&hostile::lines(SCOPES), |input| {
        if let Ok(scope) = Scope::parse_json(input) {
            let written = serde_json::to_vec(&scope.to_json()).unwrap();
            prop_assert_eq!(Scope::parse_json(&written), Ok(scope));
        }
        Ok(())
    });
}
