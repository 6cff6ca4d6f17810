//! What is known only grows newer, and what was forgotten is unknown.

use checkrein_shared::ManualClock;

use super::*;

fn task() -> TaskId {
    TaskId::new(&ManualClock::at(1))
}

fn ledger(revision: u64, labels: &[&str]) -> Arc<Ledger> {
    Arc::new(Ledger {
        revision,
        labels: labels.iter().map(|label| label.parse().unwrap()).collect(),
        ..Ledger::default()
    })
}

#[test]
fn an_answer_that_was_overtaken_changes_nothing_but_when_the_control_plane_was_asked() {
    let (ledgers, task) = (Ledgers::default(), task());
    ledgers.learn(task, 0, ledger(2, &["pii"]), 10);
    ledgers.learn(task, 0, ledger(1, &[]), 20);
    let view = ledgers.view(task, 0).unwrap();
    assert_eq!((view.ledger.revision, view.asked_boot_ms), (2, 20));
    ledgers.learn(task, 0, ledger(3, &["pii", "credentials"]), 15);
    assert_eq!(ledgers.view(task, 0).unwrap().ledger.revision, 3);
}

#[test]
fn what_was_known_of_another_epoch_is_not_known() {
    let (ledgers, task) = (Ledgers::default(), task());
    ledgers.learn(task, 1, ledger(5, &["pii"]), 10);
    let pii = BTreeSet::from(["pii".parse().unwrap()]);
    assert!(ledgers.lacks(task, 1, &pii).is_empty());
    for epoch in [0, 2] {
        assert!(ledgers.view(task, epoch).is_none());
        assert_eq!(
            ledgers.lacks(task, epoch, &pii),
            pii,
            "and so it is written again"
        );
    }
    ledgers.learn(task, 0, ledger(9, &[]), 20);
    assert!(
        ledgers.view(task, 1).is_some(),
        "an older epoch does not come back"
    );
}

#[test]
fn of_more_tasks_than_are_remembered_the_longest_unasked_is_unknown_and_the_others_are_whole() {
    let (ledgers, kept) = (Ledgers::default(), task());
    let first = task();
    ledgers.learn(first, 0, ledger(1, &["pii"]), 1);
    ledgers.learn(kept, 0, ledger(1, &["pii"]), 1);
    for at in 0..VIEWS_MAX as u64 {
        ledgers.learn(TaskId::new(&ManualClock::at(at)), 0, ledger(1, &[]), 1);
        if at % 1_000 == 0 {
            assert!(ledgers.view(kept, 0).is_some());
        }
    }
    assert!(ledgers.view(first, 0).is_none());
    let pii = BTreeSet::from(["pii".parse().unwrap()]);
    assert_eq!(ledgers.lacks(first, 0, &pii), pii, "unknown is not empty");
    assert_eq!(ledgers.view(kept, 0).unwrap().ledger.labels, pii);
    let views = ledgers.views();
    assert!(views.young.len() + views.old.len() <= VIEWS_MAX);
}
