//! A segment's records, as bytes that somebody changed: read up to the change, never past it, never with a panic.
//!
//! As many inputs as `PROPTEST_CASES` says; `make fuzz` says many.

use checkrein_shared::ManualClock;
use proptest::prelude::*;

use crate::journal::frame::{self, Found};
use crate::journal::*;

/// Three records in a row, and the chain they begin.
fn three() -> (Chain, Vec<Vec<u8>>, Vec<u8>) {
    let begin = Chain::begin(InstanceId::new(&ManualClock::at(1)), 1);
    let payloads = [&b"a"[..], &[0; 300], &[7; 5_000]].map(<[u8]>::to_vec);
    let mut chain = begin;
    let mut bytes = Vec::new();
    for payload in &payloads {
        chain = chain.extend(payload);
        bytes.extend(frame::encode(payload, &chain).unwrap());
    }
    (begin, payloads.to_vec(), bytes)
}

/// The records that are read before the end or a flaw.
fn read(mut bytes: &[u8], mut chain: Chain) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Found::Record(payload, after) = frame::read(&mut bytes, chain).unwrap() {
        records.push(payload);
        chain = after;
    }
    records
}

proptest! {
    #[test]
    fn of_changed_bytes_only_records_that_were_written_are_read(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 0..6),
    ) {
        let (begin, payloads, mut bytes) = three();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len() + 1);
            match kind {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.extend_from_within(at..),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|it| *it = byte),
            }
        }
        // Four bytes of a SHA-256 stand by each record: none of these few inputs meets them by chance.
        prop_assert!(payloads.starts_with(&read(&bytes, begin)));
    }

    #[test]
    fn bytes_of_any_kind_are_no_record(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(read(&bytes, three().0).is_empty());
    }
}
