//! New files are taken when they are whole, and never before.

use std::fs;

use checkrein_shared::ManualClock;
use checkrein_shared::id::InstanceId;
use tempfile::TempDir;

use super::*;
use crate::fixture::Ca;

const EDGE: &str = "spiffe://acme.example/enforcer/edge";
const NEXT: &str = "spiffe://acme.example/enforcer/next";

/// Who the identity in use is, after a look.
async fn in_use(source: &Source) -> String {
    source.look().await;
    source.current().svid().id.to_string()
}

/// Files of another identity of this CA, elsewhere.
fn next(ca: &Ca) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    ca.config(&place, NEXT, "https://127.0.0.1:1");
    place
}

fn copy(name: &str, from: &TempDir, to: &TempDir) {
    fs::copy(from.path().join(name), to.path().join(name)).unwrap();
}

#[tokio::test]
async fn a_certificate_is_taken_only_together_with_its_key() {
    let (ca, place) = (Ca::new(), tempfile::tempdir().unwrap());
    let source = ca.source(&place, EDGE);
    let next = next(&ca);
    for (first, second) in [("certificate.pem", "key.pem"), ("key.pem", "certificate.pem")] {
        ca.config(&place, EDGE, "https://127.0.0.1:1");
        assert_eq!(in_use(&source).await, EDGE);
        copy(first, &next, &place);
        assert_eq!(in_use(&source).await, EDGE, "only {first} is new");
        copy(second, &next, &place);
        assert_eq!(in_use(&source).await, NEXT, "{first} and {second} are");
    }
}

#[tokio::test]
async fn files_that_can_not_be_used_change_nothing() {
    let (ca, place) = (Ca::new(), tempfile::tempdir().unwrap());
    let source = ca.source(&place, EDGE);
    for name in ["certificate.pem", "key.pem", "ca.pem"] {
        let (path, good) = (
            place.path().join(name),
            fs::read(place.path().join(name)).unwrap(),
        );
        let before = source.current();
        for bad in [&b""[..], b"no PEM", &good[..good.len() / 2]] {
            fs::write(&path, bad).unwrap();
            source.look().await;
            assert!(Arc::ptr_eq(&before, &source.current()), "{name}");
        }
        fs::remove_file(&path).unwrap();
        source.look().await;
        assert!(Arc::ptr_eq(&before, &source.current()), "{name} is missing");
        fs::write(&path, &good).unwrap();
        assert_eq!(in_use(&source).await, EDGE);
    }
}

#[tokio::test]
async fn a_ca_certificate_is_nobodys_identity() {
    let (ca, place) = (Ca::new(), tempfile::tempdir().unwrap());
    let source = ca.source(&place, EDGE);
    fs::copy(place.path().join("ca.pem"), place.path().join("certificate.pem")).unwrap();
    assert_eq!(in_use(&source).await, EDGE);
}

#[tokio::test]
async fn the_status_says_until_when_the_identity_in_use_is_good() {
    let (ca, place) = (Ca::new(), tempfile::tempdir().unwrap());
    let source = ca.source(&place, EDGE);
    let board = StatusBoard::new(InstanceId::new(&ManualClock::at(1)), 1);
    let stop = CancellationToken::new();
    let following = tokio::spawn(source.clone().follow(board.clone(), stop.clone()));
    let until_ms = source.current().svid().not_after_ms;
    assert!(until_ms > 0);
    let said = board.wait_until(
        || board.read(),
        |status| status.identity_until_ms == until_ms,
        Duration::from_secs(20),
    );
    said.await.unwrap();
    stop.cancel();
    following.await.unwrap();
}
