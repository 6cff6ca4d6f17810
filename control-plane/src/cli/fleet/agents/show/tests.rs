//! What could be taken away stands out, and so does who left.

use checkrein_proto::fleet::v1::AllowedTool;

use super::*;

const NOW_MS: u64 = 1_767_225_600_000;

fn agent(name: &str) -> Agent {
    let tool = |tool: &str, used| AllowedTool {
        tool: tool.to_owned(),
        used,
    };
    Agent {
        spiffe_id: format!("spiffe://acme.example/agent/{name}"),
        tools: vec![tool("bank/send_money", false), tool("mail/*", true)],
        ..Agent::default()
    }
}

#[test]
fn a_row_counts_what_was_never_used_and_says_who_was_removed() {
    let seen = Agent {
        owner: "olga".to_owned(),
        teams: vec!["billing".to_owned(), "night".to_owned()],
        last_seen_unix_ms: NOW_MS - 60_000,
        ..agent("seen")
    };
    let gone = Agent {
        removed_unix_ms: NOW_MS - 60_000,
        ..agent("gone")
    };
    let table = table(&[seen, gone, agent("idle")], NOW_MS, Paint::new(false));
    let row = |name: &str| -> Vec<&str> {
        let line = table.lines().find(|line| line.contains(name)).unwrap();
        line.split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect()
    };
    assert_eq!(
        row("agent/seen")[1..],
        ["olga", "billing night", "60 s ago", "0", "2", "1"],
        "{table}"
    );
    assert_eq!(
        row("agent/gone")[1..],
        ["removed 60 s ago", "0", "2", "1"],
        "{table}"
    );
    assert_eq!(row("agent/idle")[1..], ["never", "0", "2", "1"], "{table}");
}

#[test]
fn a_card_names_what_was_never_used_and_that_nobody_answers_for_the_agent() {
    let card = card(&agent("idle"), NOW_MS, Paint::new(false));
    let (_, unused) = card.split_once("never used").unwrap();
    assert!(
        unused.contains("bank/send_money") && !unused.contains("mail"),
        "{card}"
    );
    assert!(card.contains("nobody was named"), "{card}");
    assert!(card.contains("none but what packs say"), "{card}");
    let named = Agent {
        named_by: "spiffe://acme.example/operator/olga".to_owned(),
        named_unix_ms: NOW_MS - 60_000,
        ..agent("idle")
    };
    let card = super::card(&named, NOW_MS, Paint::new(false));
    assert!(
        card.contains("60 s ago by spiffe://acme.example/operator/olga"),
        "{card}"
    );
}

#[test]
fn what_an_operator_typed_moves_no_cursor() {
    let hostile = Agent {
        owner: "\u{1b}[2J".to_owned(),
        teams: vec!["\u{1b}[2J".to_owned()],
        ..agent("idle")
    };
    let shown = table(std::slice::from_ref(&hostile), NOW_MS, Paint::new(false));
    let card = card(&hostile, NOW_MS, Paint::new(false));
    assert!(!shown.contains('\u{1b}') && !card.contains('\u{1b}'));
}
