//! A proof is used once while it could be believed, and one grant's proofs leave room for others'.

use checkrein_shared::action::Arguments;
use checkrein_shared::clock::ManualClock;
use checkrein_shared::decision::Verdict;
use checkrein_shared::grant::{Limits, OwnGrant};
use checkrein_shared::key::SigningKey;

use super::*;
use crate::control_plane::{Charge, Confirmation};
use crate::fixture::{AGENT, Bench};
use crate::gate::Request;

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

/// A bench, and a grant that names a key.
fn keyed() -> (Bench, String, SigningKey) {
    let bench = Bench::new();
    let holder = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let grant = bench.grant_held(AGENT, bench.task, Limits::default(), Some(&holder));
    (bench, grant, holder)
}

const PAY: &[u8] = br#"{"to":"GB29","amount":10}"#;

#[tokio::test]
async fn a_full_tier_call_under_a_grant_with_a_key_needs_a_proof_for_that_very_call() {
    let (bench, grant, holder) = keyed();
    let own = OwnGrant::read(&grant).unwrap();
    let prove = |tool: &str, arguments: &[u8]| {
        let arguments = Arguments::parse(arguments).unwrap();
        own.prove(tool, &arguments, &holder, &bench.clock).unwrap()
    };
    let pay = |proof: &str| Request::new(&*grant, "bank/pay", PAY).proof(proof);
    let stale = prove("bank/pay", PAY);
    let refused = [
        ("missing", String::new()),
        ("of another tool", prove("bank/look", PAY)),
        (
            "of other arguments",
            prove("bank/pay", br#"{"to":"GB29","amount":11}"#),
        ),
        ("nonsense", "a.b.c".to_owned()),
        ("the grant itself", grant.clone()),
    ];
    for (what, proof) in refused {
        let answer = bench.gate.authorize(pay(&proof)).await.unwrap();
        assert_eq!(answer.decided().cause, Cause::InvalidProof, "{what}: {answer:?}");
    }
    let proof = prove("bank/pay", PAY);
    let once = bench.gate.authorize(pay(&proof)).await.unwrap();
    assert_eq!(once.verdict(), Verdict::Permit, "{once:?}");
    let twice = bench.gate.authorize(pay(&proof)).await.unwrap();
    assert_eq!(twice.decided().cause, Cause::InvalidProof);
    bench.clock.advance_ms(PROOF_LIFE_MS + 1);
    bench.confirm_fresh();
    let late = bench.gate.authorize(pay(&stale)).await.unwrap();
    assert_eq!(late.decided().cause, Cause::InvalidProof);
}

#[tokio::test]
async fn a_light_call_needs_no_proof_and_a_wrong_one_is_refused_all_the_same() {
    let (bench, grant, _) = keyed();
    let look = || Request::new(&*grant, "bank/look", b"{}");
    let without = bench.gate.authorize(look()).await.unwrap();
    assert_eq!(without.verdict(), Verdict::Permit);
    let wrong = bench.gate.authorize(look().proof("a.b.c")).await.unwrap();
    assert_eq!(wrong.decided().cause, Cause::InvalidProof);
    let keyless = bench.look().proof("a.b.c");
    let of_nothing = bench.gate.authorize(keyless).await.unwrap();
    assert_eq!(of_nothing.decided().cause, Cause::InvalidProof);
}

#[tokio::test]
async fn the_control_plane_is_told_which_proof_came_and_may_refuse_it() {
    let (bench, grant, holder) = keyed();
    let own = OwnGrant::read(&grant).unwrap();
    let proof = own
        .prove("bank/pay", &Arguments::parse(PAY).unwrap(), &holder, &bench.clock)
        .unwrap();
    let presented = grant.clone();
    bench.authority.on_confirm(move |ask| {
        assert_eq!(&*ask.presented, presented);
        let reason = format!("`{}` was used before", ask.proof.unwrap());
        Ok(Confirmation {
            slice: None,
            live: true,
            refused: Some(Refusal::new(Cause::InvalidProof, reason)),
            generation: ask.generation,
            charge: Charge::None,
            known: Some(crate::control_plane::Known::default()),
        })
    });
    let pay = Request::new(&*grant, "bank/pay", PAY).proof(proof);
    let answer = bench.gate.authorize(pay).await.unwrap();
    assert_eq!(answer.decided().cause, Cause::InvalidProof);
    assert!(answer.decided().reason.contains("used before"), "{answer:?}");
}
