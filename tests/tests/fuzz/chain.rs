//! `Chain::verify` and `Proof::verify`: nothing is believed that its holders did not sign, and what is believed narrows.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_shared::ManualClock;
use checkrein_shared::action::Arguments;
use checkrein_shared::grant::{Chain, Grant, Limits, Narrowing, OwnGrant, Proof, Scope};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::key::SigningKey;
use proptest::{prop_assert, prop_assert_eq};

use super::hostile;

const NOW_MS: u64 = 1_500;

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

/// A grant that was passed on twice, all by one holder.
fn passed_on(authority: &SigningKey, holder: &SigningKey) -> Vec<String> {
    let clock = ManualClock::at(NOW_MS);
    let root = Grant {
        id: GrantId::new(&clock),
        task: TaskId::new(&clock),
        epoch: 0,
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        user: "alice".into(),
        scope: Scope::parse(["bank/*".to_owned()]).unwrap(),
        data: None,
        named: Vec::new(),
        intent: "pay the rent".into(),
        environment: "production".into(),
        issued_ms: 1_000,
        expires_ms: 2_000,
        holder: Some(holder.verifying()),
        link: None,
        limits: Limits {
            depth: 2,
            ..Limits::default()
        },
    };
    let mut presented = vec![root.sign(authority).unwrap()];
    for depth in 0..2 {
        let narrowing = Narrowing {
            holder: Some(holder.verifying()),
            ..Narrowing::to("spiffe://acme.example/agent/search".parse().unwrap())
        };
        let own = OwnGrant::read(&presented[depth]).unwrap();
        presented.push(own.pass_on(narrowing, holder, &clock).unwrap());
    }
    presented
}

#[test]
fn a_chain_that_is_believed_is_one_that_its_holders_signed() {
    let (authority, holder) = (key(), key());
    let keys = [authority.verifying()];
    let signed = passed_on(&authority, &holder);
    let corpus: Vec<_> = signed.iter().map(|chain| chain.clone().into_bytes()).collect();
    hostile::run(&corpus, |input| {
        let presented = String::from_utf8_lossy(input);
        let is_believed = Chain::verify(&presented, &keys).is_ok();
        prop_assert_eq!(is_believed, signed.iter().any(|signed| *signed == presented));
        Ok(())
    });
}

#[test]
fn claims_of_any_bytes_that_a_true_holder_signs_give_no_more_than_there_was() {
    let (authority, holder) = (key(), key());
    let keys = [authority.verifying()];
    let signed = passed_on(&authority, &holder);
    let (parent, child) = signed[1].split_once('~').unwrap();
    let parts: Vec<_> = child.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    hostile::run(&[claims], |input| {
        let token = format!("{}.{}", parts[0], URL_SAFE_NO_PAD.encode(input));
        let signature = URL_SAFE_NO_PAD.encode(holder.sign(token.as_bytes()));
        if let Ok(chain) = Chain::verify(&format!("{parent}~{token}.{signature}"), &keys) {
            prop_assert_eq!(chain.leaf().narrows(chain.root()), Ok(()));
            prop_assert_eq!(chain.delegators().len(), 1);
        }
        Ok(())
    });
}

#[test]
fn a_proof_that_is_believed_is_the_one_that_was_made_for_the_call() {
    let (authority, holder) = (key(), key());
    let presented = passed_on(&authority, &holder).remove(0);
    let own = OwnGrant::read(&presented).unwrap();
    let arguments = Arguments::parse(br#"{"amount":10.0}"#).unwrap();
    let clock = ManualClock::at(NOW_MS);
    let made = own.prove("bank/pay", &arguments, &holder, &clock).unwrap();
    let parts: Vec<_> = made.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let call = ("bank/pay", &arguments);
    hostile::run(&[made.clone().into_bytes(), claims], |input| {
        let leaf = own.chain().leaf();
        let text = String::from_utf8_lossy(input);
        prop_assert_eq!(
            Proof::verify(&text, &presented, leaf, call, NOW_MS).is_ok(),
            text == made
        );
        // Whatever the holder itself signs is of the form of a proof, or none.
        let signed = format!("{}.{}", parts[0], URL_SAFE_NO_PAD.encode(input));
        let signed = format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(holder.sign(signed.as_bytes()))
        );
        if Proof::verify(&signed, &presented, leaf, call, NOW_MS).is_ok() {
            let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(input).is_ok();
            prop_assert!(is_json);
        }
        Ok(())
    });
}
