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

#[test]
fn openings_on_one_start_of_the_machine_are_known_and_those_before_are_not() {
    let clock = ManualClock::at(1);
    let place = tempfile::tempdir().unwrap();
    let open = || Directory::open(place.path(), &clock).unwrap().up_since();
    assert_eq!((open(), open()), (1, 1));
    let identity = place.path().join(IDENTITY);
    let text = fs::read_to_string(&identity).unwrap();
    let boot = text.split(' ').nth(2).unwrap();
    fs::write(&identity, text.replace(boot, "another-start")).unwrap();
    assert_eq!((open(), open()), (3, 3));
}

#[test]
fn a_machine_whose_start_nobody_wrote_down_was_not_up_before() {
    let place = tempfile::tempdir().unwrap();
    fs::write(
        place.path().join(IDENTITY),
        "inst_0198c0de000070008000000000000001 7\n",
    )
    .unwrap();
    let opened = Directory::open(place.path(), &ManualClock::at(1)).unwrap();
    assert_eq!((opened.incarnation(), opened.up_since()), (8, 8));
}
