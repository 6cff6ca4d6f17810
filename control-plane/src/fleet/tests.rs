//! Whose journal is unfinished.

use checkrein_shared::SystemClock;

use super::*;

fn progress(instance: InstanceId, incarnation: u64, is_followed: bool) -> Progress {
    Progress {
        instance,
        incarnation,
        next_sequence: 7,
        advanced_ms: 1,
        forked_ms: None,
        is_followed,
    }
}

fn instance(id: InstanceId, incarnation: u64, connected: bool, journal_pending: u64) -> Instance {
    Instance {
        id,
        incarnation,
        build: String::new(),
        connected,
        last_seen_ms: 1,
        generation: 1,
        acked_ms: 1,
        journal_pending,
    }
}

#[test]
fn a_journal_is_unfinished_if_its_writer_is_gone_and_more_was_to_come() {
    let id = InstanceId::new(&SystemClock);
    let latest = progress(id, 2, false);
    let cases = [
        ("connected, with more to come", instance(id, 2, true, 3), false),
        ("gone, with nothing left", instance(id, 2, false, 0), false),
        ("gone, with more to come", instance(id, 2, false, 3), true),
        (
            "succeeded, and not brought home yet",
            instance(id, 3, true, 0),
            true,
        ),
    ];
    for (case, instance, expected) in cases {
        assert_eq!(is_unfinished(&latest, &[instance]), expected, "{case}");
    }
    let earlier = progress(id, 1, true);
    assert!(
        !is_unfinished(&earlier, &[instance(id, 2, false, 3)]),
        "a later journal follows it"
    );
}
