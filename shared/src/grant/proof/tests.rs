//! A proof is good for one grant, one tool, one set of arguments and about one minute.

use super::*;
use crate::clock::ManualClock;
use crate::grant::tests::{grant, key};

const NOW_MS: u64 = 1_500_000;
const TOOL: &str = "bank/send_money";

struct World {
    holder: SigningKey,
    presented: String,
    own: OwnGrant,
    arguments: Arguments,
}

impl World {
    fn new() -> Self {
        let holder = key();
        let mut grant = grant();
        grant.holder = Some(holder.verifying());
        let presented = grant.sign(&key()).unwrap();
        Self {
            holder,
            own: OwnGrant::read(&presented).unwrap(),
            presented,
            arguments: Arguments::parse(br#"{"amount":10.0,"recipient":"GB29"}"#).unwrap(),
        }
    }

    fn proof(&self) -> String {
        self.own
            .prove(TOOL, &self.arguments, &self.holder, &ManualClock::at(NOW_MS))
            .unwrap()
    }

    fn verify(&self, proof: &str, now_ms: u64) -> Result<Proof, InvalidProof> {
        Proof::verify(
            proof,
            &self.presented,
            self.own.chain().leaf(),
            (TOOL, &self.arguments),
            now_ms,
        )
    }
}

#[test]
fn a_proof_holds_around_the_moment_it_was_made() {
    let world = World::new();
    let proof = world.proof();
    for now_ms in [NOW_MS, NOW_MS - PROOF_LIFE_MS, NOW_MS + PROOF_LIFE_MS] {
        assert!(world.verify(&proof, now_ms).is_ok());
    }
    for now_ms in [NOW_MS - PROOF_LIFE_MS - 1, NOW_MS + PROOF_LIFE_MS + 1] {
        assert_eq!(world.verify(&proof, now_ms), Err(InvalidProof::Stale));
    }
    let other = world.proof();
    assert_ne!(
        world.verify(&proof, NOW_MS).unwrap().id,
        world.verify(&other, NOW_MS).unwrap().id
    );
}

#[test]
fn a_proof_for_another_call_proves_nothing() {
    let world = World::new();
    let proof = world.proof();
    let leaf = world.own.chain().leaf();
    let with = |tool: &str, arguments: &[u8]| {
        let arguments = Arguments::parse(arguments).unwrap();
        Proof::verify(&proof, &world.presented, leaf, (tool, &arguments), NOW_MS)
    };
    assert!(
        with(TOOL, br#"{"recipient":"GB29","amount":10.0}"#).is_ok(),
        "members in another order"
    );
    assert_eq!(
        with("bank/delete", br#"{"amount":10.0,"recipient":"GB29"}"#),
        Err(InvalidProof::Other("tool"))
    );
    assert_eq!(
        with(TOOL, br#"{"amount":10.1,"recipient":"GB29"}"#),
        Err(InvalidProof::Arguments)
    );
    let other = World::new();
    assert_eq!(other.verify(&proof, NOW_MS), Err(InvalidProof::Forged));
    let mut again = grant();
    again.holder = Some(world.holder.verifying());
    let again = again.sign(&key()).unwrap();
    let other_grant = OwnGrant::read(&again).unwrap();
    assert_eq!(
        Proof::verify(
            &proof,
            &again,
            other_grant.chain().leaf(),
            (TOOL, &world.arguments),
            NOW_MS
        ),
        Err(InvalidProof::Other("grant"))
    );
}

#[test]
fn whoever_has_not_the_key_proves_nothing() {
    let world = World::new();
    let clock = ManualClock::at(NOW_MS);
    assert!(world.own.prove(TOOL, &world.arguments, &key(), &clock).is_err());
    let forged = super::sign(&world.own, TOOL, &world.arguments, &key(), &clock).unwrap();
    assert_eq!(world.verify(&forged, NOW_MS), Err(InvalidProof::Forged));
    for nonsense in ["", "a.b.c", &world.presented, &"x".repeat(PROOF_BYTES_MAX + 1)] {
        assert_eq!(world.verify(nonsense, NOW_MS), Err(InvalidProof::Forged));
    }
    let keyless = OwnGrant::read(&grant().sign(&key()).unwrap()).unwrap();
    assert_eq!(
        Proof::verify(
            &world.proof(),
            &world.presented,
            keyless.chain().leaf(),
            (TOOL, &world.arguments),
            NOW_MS
        ),
        Err(InvalidProof::NoKey)
    );
}

#[test]
fn a_grant_is_no_proof_and_a_proof_no_grant() {
    let world = World::new();
    assert!(OwnGrant::read(&world.proof()).is_err());
    assert_eq!(world.verify(&world.presented, NOW_MS), Err(InvalidProof::Forged));
}
