//! Which servers are stood before, and how the address stays the same.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_server_is_at_a_web_address_that_carries_nobodys_name() {
    for url in [
        "http://127.0.0.1:3001/mcp",
        "https://mcp.acme.example",
        "https://mcp.acme.example/a?b=c",
    ] {
        assert!(server(url).is_some(), "{url}");
    }
    for url in [
        "",
        "mcp.acme.example",
        "ftp://a/b",
        "https://alice:secret@a/b",
        "https://a/b#c",
        "/mcp",
    ] {
        assert!(server(url).is_none(), "{url}");
    }
}

#[test]
fn the_secret_of_an_address_is_made_once_and_kept_from_others() {
    let place = tempfile::tempdir().unwrap();
    let made = kept_secret(place.path()).unwrap();
    assert_eq!(made.len(), 64);
    assert_eq!(kept_secret(place.path()).unwrap(), made);
    let path = place.path().join(SECRET);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(&path, "short").unwrap();
    assert!(kept_secret(place.path()).is_err(), "a short one could be guessed");
}

#[test]
fn what_is_shown_to_a_server_is_a_line_for_each_header_and_is_in_no_log() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("headers");
    fs::write(&path, "Authorization: Bearer hunter2\n\nX-Team: payments\n").unwrap();
    let read = headers(&path).unwrap();
    assert_eq!(read["authorization"], "Bearer hunter2");
    assert_eq!(read["x-team"], "payments");
    assert!(!format!("{read:?}").contains("hunter2"));
    for wrong in ["Authorization", "bad name: x", "X: \u{1}"] {
        fs::write(&path, wrong).unwrap();
        assert!(headers(&path).is_err(), "{wrong}");
    }
    assert!(headers(&place.path().join("nowhere")).is_err());
}
