//! What can still be used stands out, and what was said by others moves no cursor.

use super::*;

const NOW_MS: u64 = 1_767_225_600_000;

fn invitation(name: &str, state: InvitationState) -> Invitation {
    Invitation {
        spiffe_id: format!("spiffe://acme.example/enforcer/{name}"),
        invited_by: "spiffe://acme.example/operator/olga".to_owned(),
        invited_unix_ms: NOW_MS - 60_000,
        expires_unix_ms: NOW_MS + 540_000,
        joined_unix_ms: NOW_MS - 30_000,
        withdrawn_unix_ms: NOW_MS - 30_000,
        state: state.into(),
        ..Invitation::default()
    }
}

#[test]
fn a_row_says_what_became_of_an_invitation_and_until_when_it_is_open() {
    let rows = [
        invitation("one", InvitationState::Open),
        invitation("two", InvitationState::Taken),
        invitation("three", InvitationState::Withdrawn),
        invitation("four", InvitationState::Expired),
    ];
    let table = table(&rows, NOW_MS, Paint::new(false));
    for (name, state) in [
        ("one", "open  "),
        ("two", "taken 30 s ago"),
        ("three", "withdrawn 30 s ago"),
        ("four", "expired"),
    ] {
        let row = table.lines().find(|line| line.contains(name)).unwrap();
        assert!(
            row.contains(state) && row.contains("in 9 min") && row.contains("operator/olga"),
            "{table}"
        );
    }
}

#[test]
fn what_was_typed_elsewhere_moves_no_cursor() {
    let hostile = Invitation {
        labels: vec!["a=\u{1b}[2J".to_owned()],
        withdrawn_by: "\u{1b}[2J".to_owned(),
        ..invitation("one", InvitationState::Withdrawn)
    };
    let shown = table(std::slice::from_ref(&hostile), NOW_MS, Paint::new(false));
    let card = withdrawn(&hostile, Paint::new(false));
    assert!(!shown.contains('\u{1b}') && !card.contains('\u{1b}'));
}
