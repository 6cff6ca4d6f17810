//! The messages join, are small enough, and say all that counts.

use checkrein_shared::SystemClock;
use checkrein_shared::grant::{Revocation, Revoked};
use checkrein_shared::id::TaskId;
use prost::Message;

use super::*;

/// What tonic decodes unless told otherwise.
const DECODED_BYTES_MAX: usize = 4 << 20;

fn log(sequence: u64, entries: impl IntoIterator<Item = u64>) -> RevocationLog {
    let entry = |sequence| {
        let revoked = Revocation {
            what: Revoked::Task(TaskId::new(&SystemClock)),
            expires_ms: 1_800_000_000_000,
            cause: "revoked".to_owned(),
        };
        (sequence, revoked)
    };
    RevocationLog {
        sequence,
        entries: entries.into_iter().map(entry).collect(),
    }
}

/// Follows the messages as an enforcer does: refuses a gap. Gives where it gets to, and how many entries it heard.
fn follow(messages: &[wire::Revocations], mut known: u64) -> (u64, usize) {
    for message in messages {
        assert!(message.previous_sequence <= known, "a gap after {known}");
        assert!(message.encoded_len() < DECODED_BYTES_MAX);
        known = known.max(message.sequence);
    }
    (known, messages.iter().map(|message| message.entries.len()).sum())
}

#[test]
fn a_log_of_any_length_comes_in_messages_that_an_enforcer_decodes() {
    let log = log(100_000, 1..=100_000);
    assert_eq!(follow(&after(&log, 0), 0), (100_000, 100_000));
    assert_eq!(follow(&after(&log, 99_000), 99_000), (100_000, 1_000));
    assert!(after(&log, 100_000).is_empty());
}

#[test]
fn what_was_forgotten_leaves_no_gap_before_between_or_after() {
    for known in 0..=9 {
        let log = log(9, [3, 4, 7]);
        let later = [3, 4, 7].iter().filter(|sequence| **sequence > known).count();
        assert_eq!(follow(&after(&log, known), known), (9, later));
    }
    assert_eq!(follow(&after(&log(9, []), 2), 2), (9, 0));
}
