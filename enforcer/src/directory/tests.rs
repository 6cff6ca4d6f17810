//! A directory is one process's, and every opening is counted.

use checkrein_shared::ManualClock;

use super::*;

#[test]
fn every_opening_is_a_new_incarnation_of_the_same_instance() {
    let clock = ManualClock::at(1);
    let place = tempfile::tempdir().unwrap();
    let first = Directory::open(place.path(), &clock).unwrap();
    let (instance, incarnation) = (first.instance(), first.incarnation());
    drop(first);
    let second = Directory::open(place.path(), &clock).unwrap();
    assert_eq!(
        (second.instance(), second.incarnation()),
        (instance, incarnation + 1)
    );
}

#[test]
fn a_second_process_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let _held = Directory::open(place.path(), &ManualClock::at(1)).unwrap();
    let error = Directory::open(place.path(), &ManualClock::at(1)).unwrap_err();
    assert!(matches!(&error, DirectoryError::Locked(path) if path == place.path()));
}

#[test]
fn a_damaged_identity_is_never_guessed() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join(IDENTITY), "inst_ 7").unwrap();
    let error = Directory::open(place.path(), &ManualClock::at(1)).unwrap_err();
    assert!(matches!(error, DirectoryError::Identity(_)));
}
