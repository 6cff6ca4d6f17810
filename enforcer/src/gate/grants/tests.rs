//! What is remembered is what was verified, within its bound.

use super::*;
use crate::fixture::{AGENT, Bench, Keys};
use checkrein_shared::id::TaskId;

fn held(known: &Known) -> usize {
    let bytes = |remembered: &Remembered| remembered.presented.len() * 2 + ENTRY_BYTES;
    known.young.values().chain(known.old.values()).map(bytes).sum()
}

#[tokio::test]
async fn a_grant_is_verified_once_per_key_set() {
    let bench = Bench::new();
    let grants = VerifiedGrants::default();
    let (token, keys) = (bench.grant(), bench.keys.set(1));
    let first = grants.verify(&token, &keys).unwrap();
    assert!(Arc::ptr_eq(&first, &grants.verify(&token, &keys).unwrap()));
    // Another key set, another verification: who signed it may have been taken out.
    let other = Keys::fresh().set(2);
    assert!(matches!(
        grants.verify(&token, &other),
        Err(InvalidGrant::UnknownKey(_))
    ));
    assert!(!Arc::ptr_eq(&first, &grants.verify(&token, &keys).unwrap()));
}

#[tokio::test]
async fn a_known_signature_under_another_token_is_refused() {
    let bench = Bench::new();
    let grants = VerifiedGrants::default();
    let keys = bench.keys.set(1);
    let mine = bench.grant_of(AGENT, TaskId::new(&bench.clock));
    let other = bench.grant_of(AGENT, TaskId::new(&bench.clock));
    grants.verify(&mine, &keys).unwrap();
    let (signed, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = mine.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{signature}");
    assert_eq!(
        grants.verify(&forged, &keys).unwrap_err(),
        InvalidGrant::Signature
    );
    assert!(grants.verify("short", &keys).is_err());
}

#[tokio::test]
async fn a_hundred_thousand_grants_stay_within_the_bound_and_those_in_use_are_kept() {
    let bench = Bench::new();
    let grants = VerifiedGrants::default();
    let (token, keys) = (bench.grant(), bench.keys.set(1));
    let in_use = grants.verify(&token, &keys).unwrap();
    let mut most = 0;
    for at in 0_u32..100_000 {
        let mut signature = [0; KNOWN_BY_CHARS];
        signature[..4].copy_from_slice(&at.to_le_bytes());
        let mut known = grants.known(&keys);
        known.remember(signature, &token, &in_use);
        if at % 1_000 == 0 {
            most = most.max(held(&known));
            drop(known);
            assert!(
                Arc::ptr_eq(&in_use, &grants.verify(&token, &keys).unwrap()),
                "after {at}"
            );
        }
    }
    assert!(most <= REMEMBERED_BYTES_MAX, "{most}");
    assert!(
        100_000 * (token.len() * 2 + ENTRY_BYTES) > REMEMBERED_BYTES_MAX,
        "more than fits was put in"
    );
}
