//! A snapshot changes whole, and only the writer frees one.

use checkrein_shared::ManualClock;

use super::*;

fn revoked(expires_ms: u64) -> RevokedTask {
    RevokedTask {
        expires_ms,
        cause: "ended".into(),
    }
}

#[test]
fn a_pinned_snapshot_does_not_change_and_is_freed_by_the_writer_alone() {
    let snapshots = Snapshots::new(Snapshot::default());
    let pinned = snapshots.pin();
    snapshots.install(|next| {
        next.revocations = Arc::new(Revocations {
            sequence: 7,
            ..Revocations::default()
        });
    });
    assert_eq!(pinned.running().revocation_sequence, 0);
    assert_eq!(snapshots.pin().running().revocation_sequence, 7);
    assert_eq!(snapshots.running().borrow().revocation_sequence, 7);
    assert!(snapshots.sweep().is_empty(), "somebody still reads it");
    let retired = Arc::downgrade(&pinned);
    drop(pinned);
    assert!(retired.upgrade().is_some(), "the reader did not free it");
    assert_eq!(snapshots.sweep().len(), 1);
    assert!(retired.upgrade().is_none());
}

#[test]
fn a_revocation_is_kept_until_no_grant_can_outlive_it() {
    let clock = ManualClock::at(0);
    let (short, long) = (TaskId::new(&clock), TaskId::new(&clock));
    let first = Revocations::default().extended(2, [(short, revoked(100)), (long, revoked(101))], 50);
    assert_eq!((first.sequence, first.tasks.len()), (2, 2));
    let later = first.extended(1, [], 100 + REMEMBERED_MS);
    assert_eq!(later.sequence, 2, "a sequence never falls");
    assert!(later.tasks.contains_key(&long) && !later.tasks.contains_key(&short));
}
