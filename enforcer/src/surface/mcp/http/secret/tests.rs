//! The address stays the same, and is nobody else's.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn the_secret_of_an_address_is_made_once_and_kept_from_others() {
    let place = tempfile::tempdir().unwrap();
    let made = kept(place.path()).unwrap();
    assert_eq!(made.len(), 64);
    assert_eq!(kept(place.path()).unwrap(), made);
    let path = place.path().join(FILE);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(&path, "short").unwrap();
    assert!(kept(place.path()).is_err(), "a short one could be guessed");
}
