//! A join token is read whole or not at all.

use super::*;

fn token() -> JoinToken {
    JoinToken {
        id: "spiffe://acme.example/enforcer/edge-1".parse().unwrap(),
        control_plane: vec!["https://127.0.0.1:7420".to_owned()],
        ca: "-----BEGIN CERTIFICATE-----".to_owned(),
        root_key: [7; 32],
        secret: [9; 32],
    }
}

#[test]
fn a_token_is_read_as_it_was_written() {
    assert_eq!(token().to_string().parse(), Ok(token()));
}

#[test]
fn a_token_that_was_cut_anywhere_is_refused() {
    let text = token().to_string();
    for end in 0..text.len() {
        assert!(text[..end].parse::<JoinToken>().is_err(), "{end}");
    }
}

#[test]
fn a_token_with_any_letter_changed_is_refused() {
    let text = token().to_string();
    for at in 0..text.len() {
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut changed = text.clone();
        changed.replace_range(at..=at, other);
        assert!(changed.parse::<JoinToken>().is_err(), "{at}");
    }
}

#[test]
fn a_token_of_another_version_is_refused_as_such() {
    let other = token().to_string().replace(PREFIX, "checkrein-join-2.");
    assert_eq!(other.parse::<JoinToken>(), Err(InvalidJoinToken::Version));
    assert_eq!("grant".parse::<JoinToken>(), Err(InvalidJoinToken::Foreign));
}

#[test]
fn a_token_without_an_address_or_with_one_in_the_clear_is_refused() {
    for addresses in [vec![], vec!["http://127.0.0.1:7420".to_owned()]] {
        let control_plane = addresses;
        let text = JoinToken {
            control_plane,
            ..token()
        }
        .to_string();
        assert_eq!(text.parse::<JoinToken>(), Err(InvalidJoinToken::Damaged));
    }
}

#[test]
fn the_secret_is_not_in_the_debug_text() {
    assert_eq!(
        format!("{:?}", token()),
        "JoinToken(spiffe://acme.example/enforcer/edge-1)"
    );
}

#[test]
fn a_dash_stands_for_standard_input_and_anything_else_for_itself() {
    let (text, dash) = (token().to_string(), JoinWord("-".to_owned()));
    let typed: JoinWord = text.parse().unwrap();
    assert_eq!(typed.read(&b"other"[..]), Ok(token()));
    assert_eq!(dash.read(format!("{text}\n").as_bytes()), Ok(token()));
    assert_eq!(dash.read(&b""[..]), Err(InvalidJoinToken::Foreign));
    assert_eq!(dash.read(&b"\xff"[..]), Err(InvalidJoinToken::Unreadable));
    let long = format!("{PREFIX}{}", "A".repeat(2 * TOKEN_BYTES_MAX));
    assert_eq!(dash.read(long.as_bytes()), Err(InvalidJoinToken::Damaged));
    assert_eq!(format!("{typed:?}"), "JoinWord");
}
