//! A chain tells of any record that is not where it was written.

use super::*;
use crate::clock::ManualClock;

fn follow(begin: Chain, records: &[&[u8]]) -> Chain {
    records.iter().fold(begin, |chain, record| chain.extend(record))
}

#[test]
fn records_relabelled_to_another_instance_or_incarnation_do_not_verify() {
    let clock = ManualClock::at(1);
    let (ours, theirs) = (InstanceId::new(&clock), InstanceId::new(&clock));
    let records: [&[u8]; 2] = [b"first", b"second"];
    let head = follow(Chain::begin(ours, 1), &records);
    assert_eq!(follow(Chain::begin(ours, 1), &records), head);
    assert_ne!(follow(Chain::begin(ours, 2), &records), head);
    assert_ne!(follow(Chain::begin(theirs, 1), &records), head);
    assert_ne!(
        Chain::begin(ours, 2),
        Chain::begin(ours, 1),
        "not even when empty"
    );
}

#[test]
fn records_changed_reordered_or_removed_do_not_verify() {
    let begin = Chain::begin(InstanceId::new(&ManualClock::at(1)), 1);
    let head = follow(begin, &[b"first", b"second", b"third"]);
    for other in [
        &[b"first".as_slice(), b"Second", b"third"][..],
        &[b"second", b"first", b"third"],
        &[b"first", b"third"],
        &[b"second", b"third"],
        &[b"firstsecond", b"third"],
    ] {
        assert_ne!(follow(begin, other).hash, head.hash);
    }
}
