//! What opening a directory of keys promises.

use std::fs;

use checkrein_shared::clock::ManualClock;
use tempfile::TempDir;

use super::{Authority, AuthorityError};

/// A day in 2026, for certificates to hold on.
const NOW_MS: u64 = 1_790_000_000_000;

fn keys() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    open(&directory).unwrap();
    directory
}

fn open(directory: &TempDir) -> Result<Authority, AuthorityError> {
    Authority::open(directory.path(), "acme.example", &ManualClock::at(NOW_MS))
}

#[test]
fn a_key_of_another_installation_is_refused_by_the_name_of_its_file() {
    for file in ["bundle.key", "grant.key", "ca.pem", "ca.key"] {
        let (directory, other) = (keys(), keys());
        fs::copy(other.path().join(file), directory.path().join(file)).unwrap();
        match open(&directory) {
            Err(AuthorityError::Uncertified(found)) => assert_eq!(found, file),
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn the_same_directory_opens_to_the_same_claim() {
    let directory = keys();
    assert_eq!(
        open(&directory).unwrap().claim(),
        open(&directory).unwrap().claim()
    );
    assert_ne!(
        open(&directory).unwrap().claim(),
        open(&keys()).unwrap().claim(),
        "two installations are not one"
    );
}

#[test]
fn the_masking_key_is_not_printed() {
    let authority = open(&keys()).unwrap();
    let secret = format!("{:?}", authority.masking_key);
    assert!(!format!("{authority:?}").contains(secret.trim_matches(['[', ']'])));
}
