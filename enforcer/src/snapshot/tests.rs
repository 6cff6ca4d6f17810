//! A snapshot changes whole, and only the writer frees one.

use checkrein_shared::action::{Action, Arguments};
use checkrein_shared::decision::Verdict;
use checkrein_shared::grant::Grant;

use super::*;
use crate::fixture::{Bench, NOW_MS, Offer, TEAM_ONLY, roster};

#[test]
fn a_pinned_snapshot_does_not_change_and_is_freed_by_the_writer_alone() {
    let snapshots = Snapshots::new(Snapshot::default());
    let pinned = snapshots.pin();
    snapshots.install(|next| {
        next.revocations = Arc::new(Revocations::default().extended(7, [], 0));
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

/// What is said of a payment of 10 now.
fn verdict(bench: &Bench, policy: &Policy) -> Verdict {
    let action = Action {
        tool: "bank/pay".into(),
        arguments: Arguments::parse(br#"{"to":"GB29","amount":10}"#).unwrap(),
        call_id: "call".into(),
    };
    let grant = Grant::verify(&bench.grant(), &bench.keys.set(1).grant).unwrap();
    let situation = Situation {
        action: &action,
        grant: &grant,
        delegated_by: &[],
        now_ms: NOW_MS,
        policy_age_ms: 0,
        ledger: None,
        pedigree: None,
        result: None,
    };
    policy.judge(&situation).verdict
}

#[tokio::test]
async fn a_policy_decides_with_the_teams_of_the_roster_whichever_came_first() {
    let bench = Bench::new();
    let policy = || bench.decode(&Offer::of(TEAM_ONLY, 1, 2, &bench.keys.bundle));
    let member = || Arc::new(roster(2, &["billing"]));
    let said = |snapshots: &Snapshots| verdict(&bench, snapshots.pin().policy.as_ref().unwrap());

    let first = Snapshots::new(Snapshot {
        policy: Some(policy()),
        roster: member(),
        ..Snapshot::default()
    });
    assert_eq!(said(&first), Verdict::Permit);
    let policy_first = Snapshots::new(Snapshot::default());
    policy_first.install(|next| next.policy = Some(policy()));
    assert_eq!(said(&policy_first), Verdict::Deny);
    policy_first.install(|next| next.roster = member());
    assert_eq!(said(&policy_first), Verdict::Permit);
    let roster_first = Snapshots::new(Snapshot::default());
    roster_first.install(|next| next.roster = member());
    roster_first.install(|next| next.policy = Some(policy()));
    assert_eq!(said(&roster_first), Verdict::Permit);
    roster_first.install(|next| next.roster = Arc::new(roster(3, &["sales"])));
    assert_eq!(said(&roster_first), Verdict::Deny);
    assert_eq!(roster_first.running().borrow().roster_revision, 3);
}

#[tokio::test]
async fn a_policy_that_is_installed_again_decides_with_the_roster_of_now() {
    let bench = Bench::new();
    let snapshots = Snapshots::new(Snapshot {
        policy: Some(bench.decode(&Offer::of(TEAM_ONLY, 1, 2, &bench.keys.bundle))),
        roster: Arc::new(roster(1, &["billing"])),
        ..Snapshot::default()
    });
    // As one that was taken out of the snapshot before, and put back after.
    let taken = snapshots.pin().policy.clone();
    snapshots.install(|next| next.roster = Arc::new(roster(2, &[])));
    snapshots.install(|next| next.policy = taken);
    let said = verdict(&bench, snapshots.pin().policy.as_ref().unwrap());
    assert_eq!(said, Verdict::Deny);
    let before = snapshots.pin().policy.clone().unwrap();
    snapshots.install(|next| next.roster = Arc::new(roster(3, &[])));
    let after = snapshots.pin().policy.clone().unwrap();
    assert!(Arc::ptr_eq(&before.bundle, &after.bundle) && after.seated.is_none());
}
