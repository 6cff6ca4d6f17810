//! Which servers are stood before, and what they are shown.

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
fn what_is_shown_to_a_server_is_a_line_for_each_header_and_is_in_no_log() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("headers");
    fs::write(&path, "Authorization: Bearer hunter2\n\nX-Team: payments\n").unwrap();
    let shown = read(&path).unwrap();
    assert_eq!(shown["authorization"], "Bearer hunter2");
    assert_eq!(shown["x-team"], "payments");
    assert!(!format!("{shown:?}").contains("hunter2"));
    for wrong in ["Authorization", "bad name: x", "X: \u{1}"] {
        fs::write(&path, wrong).unwrap();
        assert!(read(&path).is_none(), "{wrong}");
    }
    assert!(read(&place.path().join("nowhere")).is_none());
}
