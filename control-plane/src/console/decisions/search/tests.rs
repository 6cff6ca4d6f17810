//! What is typed into the form, and what it means.

use super::*;

#[test]
fn moments_are_told_as_on_the_command_line_and_nonsense_is_named() {
    let asked = |since: &str, until: &str| Asked {
        since: since.to_owned(),
        until: until.to_owned(),
        verdict: "hold".to_owned(),
        ..Asked::default()
    };
    let request = asked(" 1h ", "1970-01-01T00:00:05Z")
        .request(7_200_000, 50)
        .unwrap();
    assert_eq!(
        (request.since_unix_ms, request.until_unix_ms, request.verdict()),
        (3_600_000, 5_000, Word::Hold)
    );
    assert!(
        asked("yesterday", "")
            .request(0, 50)
            .unwrap_err()
            .starts_with("since: ")
    );
    let bad = Asked {
        verdict: "maybe".to_owned(),
        ..Asked::default()
    };
    assert!(bad.request(0, 50).unwrap_err().starts_with("verdict: "));
}
