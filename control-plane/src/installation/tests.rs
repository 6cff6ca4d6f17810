//! What becomes of the first operator.

use std::fs;

use checkrein_shared::clock::ManualClock;
use checkrein_shared::identity::Role;

use super::*;

const NOW_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

#[test]
fn an_operators_certificate_near_its_end_is_renewed_for_the_same_key_and_no_sooner() {
    let home = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOW_MS);
    let authority = Authority::open(&home.path().join("keys"), "acme.example", &clock).unwrap();
    let operator = home.path().join("operator");
    fs::create_dir(&operator).unwrap();
    let identity = authority.issue(&clock, Role::Operator, FIRST_OPERATOR).unwrap();
    let (certificate, key) = (operator.join(CERTIFICATE_FILE), operator.join(KEY_FILE));
    fs::write(&certificate, &identity.certificate).unwrap();
    fs::write(&key, &identity.key).unwrap();

    clock.advance_ms(30 * DAY_MS);
    renew_operator(&authority, &clock, &operator).unwrap();
    assert_eq!(fs::read_to_string(&certificate).unwrap(), identity.certificate);

    clock.advance_ms(31 * DAY_MS);
    renew_operator(&authority, &clock, &operator).unwrap();
    let renewed = fs::read_to_string(&certificate).unwrap();
    assert!(authority::not_after_ms(&renewed).unwrap() >= clock.wall_ms() + 89 * DAY_MS);
    assert_eq!(fs::read_to_string(&key).unwrap(), identity.key);

    // Moved away on purpose: not made again.
    fs::remove_file(&certificate).unwrap();
    renew_operator(&authority, &clock, &operator).unwrap();
    assert!(!certificate.exists());
}
