//! A stream offers the newest, once, and never what was refused.

use super::*;

fn digest(of: u8) -> Sha256 {
    Sha256::of(&[of])
}

fn bundle(of: u8) -> Offer {
    Offer {
        generation: Generation(of.into()),
        digest: digest(of),
    }
}

#[test]
fn what_runs_already_is_not_offered() {
    assert_eq!(Offers::new(Some(digest(1)), []).offer(bundle(1)), None);
}

#[test]
fn a_second_offer_waits_for_the_answer_to_the_first() {
    let mut offers = Offers::new(None, []);
    let nonce = offers.offer(bundle(1)).unwrap();
    assert_eq!(offers.offer(bundle(2)), None);
    assert_eq!(offers.acked(nonce), Ok(bundle(1)));
    assert!(offers.offer(bundle(2)).is_some());
}

#[test]
fn refused_bytes_are_not_offered_again_on_this_stream_or_the_next() {
    let mut offers = Offers::new(None, []);
    let nonce = offers.offer(bundle(1)).unwrap();
    assert_eq!(offers.nacked(nonce), Ok(bundle(1)));
    assert_eq!(offers.offer(bundle(1)), None);
    assert!(offers.offer(bundle(2)).is_some());
    assert_eq!(Offers::new(None, [digest(1)]).offer(bundle(1)), None);
}

#[test]
fn an_answer_with_a_nonce_of_another_stream_changes_nothing() {
    let mut offers = Offers::new(None, []);
    let nonce = offers.offer(bundle(1)).unwrap();
    assert_eq!(offers.acked(nonce + 1), Err(UnknownNonce));
    assert_eq!(offers.nacked(0), Err(UnknownNonce));
    assert_eq!(offers.acked(nonce), Ok(bundle(1)));
    assert_eq!(offers.acked(nonce), Err(UnknownNonce));
}
