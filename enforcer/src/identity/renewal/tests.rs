//! A certificate is replaced by another of the same, and by nothing else.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::fixture::Ca;

const EDGE: &str = "spiffe://acme.example/enforcer/edge";
const OTHER: &str = "spiffe://acme.example/enforcer/other";

/// An identity whose certificate ends with 2050.
fn identity(ca: &Ca, place: &TempDir) -> (Source, Pem) {
    let config = ca.config(place, EDGE, "https://127.0.0.1:1");
    let files = config.files();
    let key = fs::read_to_string(&files.key).unwrap();
    fs::write(&files.certificate, ca.recertify(EDGE, &key, 2050)).unwrap();
    let source = Source::read(files).unwrap();
    let pem = Pem::read(source.files().unwrap()).unwrap();
    (source, pem)
}

#[tokio::test]
async fn a_later_certificate_of_the_same_key_and_name_takes_the_place() {
    let (ca, place) = (Ca::new(), tempfile::tempdir().unwrap());
    let (source, pem) = identity(&ca, &place);
    let before = source.current().svid().not_after_ms;
    let later = ca.recertify(EDGE, pem.key(), 2051);
    replace(&source, source.files().unwrap(), &pem, &later).unwrap();
    source.look().await;
    assert!(source.current().svid().not_after_ms > before);
    assert_eq!(
        fs::read_to_string(&source.files().unwrap().certificate).unwrap(),
        later
    );
    assert_eq!(
        fs::read_to_string(&source.files().unwrap().key).unwrap(),
        pem.key()
    );
}

#[test]
fn another_name_another_key_and_an_end_that_is_no_later_are_refused() {
    let (ca, place, elsewhere) = (
        Ca::new(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let (source, pem) = identity(&ca, &place);
    let (_, foreign) = identity(&ca, &elsewhere);
    let before = fs::read(&source.files().unwrap().certificate).unwrap();
    for bad in [
        ca.recertify(OTHER, pem.key(), 2051),
        ca.recertify(EDGE, pem.key(), 2050),
        ca.recertify(EDGE, pem.key(), 2049),
        ca.recertify(EDGE, foreign.key(), 2051),
        String::new(),
        "no PEM".to_owned(),
    ] {
        assert!(
            replace(&source, source.files().unwrap(), &pem, &bad).is_err(),
            "{bad}"
        );
        assert_eq!(fs::read(&source.files().unwrap().certificate).unwrap(), before);
    }
}

#[test]
fn a_pair_that_somebody_put_there_meanwhile_stays() {
    let (ca, place) = (Ca::new(), tempfile::tempdir().unwrap());
    let (source, pem) = identity(&ca, &place);
    let later = ca.recertify(EDGE, pem.key(), 2051);
    ca.config(&place, EDGE, "https://127.0.0.1:1");
    let theirs = fs::read(&source.files().unwrap().certificate).unwrap();
    replace(&source, source.files().unwrap(), &pem, &later).unwrap();
    assert_eq!(fs::read(&source.files().unwrap().certificate).unwrap(), theirs);
}

#[test]
fn what_a_crash_leaves_beside_the_certificate_changes_nothing() {
    let (ca, place) = (Ca::new(), tempfile::tempdir().unwrap());
    let (source, pem) = identity(&ca, &place);
    fs::write(
        source.files().unwrap().certificate.with_extension("next"),
        "half a cert",
    )
    .unwrap();
    let later = ca.recertify(EDGE, pem.key(), 2051);
    assert!(Pem::read(source.files().unwrap()).is_ok_and(|read| read == pem));
    replace(&source, source.files().unwrap(), &pem, &later).unwrap();
    assert_eq!(
        fs::read_to_string(&source.files().unwrap().certificate).unwrap(),
        later
    );
}
