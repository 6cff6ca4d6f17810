//! A proof is used once while it could be believed, and one grant's proofs leave room for others'.

use checkrein_shared::clock::ManualClock;

use super::*;

#[test]
fn a_proof_is_used_once_until_it_can_t_be_believed_any_more() {
    let (proofs, clock) = (Proofs::default(), ManualClock::at(1));
    let (proof, grant) = (ProofId::new(&clock), GrantId::new(&clock));
    assert_eq!(proofs.use_once(proof, grant, 0), Ok(()));
    assert_eq!(
        proofs.use_once(proof, grant, REMEMBERED_MS),
        Err(Unusable::Replayed)
    );
    assert_eq!(
        proofs.use_once(proof, GrantId::new(&clock), 0),
        Err(Unusable::Replayed),
        "another grant"
    );
    assert_eq!(
        proofs.use_once(ProofId::new(&clock), grant, REMEMBERED_MS + 1),
        Ok(())
    );
    assert_eq!(proofs.used().ids.len(), 1, "what nobody believes is forgotten");
}

#[test]
fn a_grant_past_its_bound_is_refused_alone_and_only_for_a_while() {
    let (proofs, clock) = (Proofs::default(), ManualClock::at(1));
    let (loud, quiet) = (GrantId::new(&clock), GrantId::new(&clock));
    let use_one = |grant, boot_ms| proofs.use_once(ProofId::new(&clock), grant, boot_ms);
    for _ in 0..PROOFS_PER_GRANT_MAX {
        assert_eq!(use_one(loud, 0), Ok(()));
    }
    assert_eq!(use_one(loud, 0), Err(Unusable::TooMany));
    assert_eq!(use_one(quiet, 0), Ok(()));
    assert_eq!(use_one(loud, REMEMBERED_MS + 1), Ok(()));
}
