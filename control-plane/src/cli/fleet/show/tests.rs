//! What is wrong stands out.

use super::*;

const NOW_MS: u64 = 1_767_225_600_000;

#[test]
fn a_forked_journal_and_an_unfinished_one_say_so_and_a_sound_one_says_nothing() {
    let journal = |incarnation, forked_unix_ms, unfinished| Journal {
        instance_id: "inst_01".to_owned(),
        incarnation,
        next_sequence: 7,
        advanced_unix_ms: NOW_MS - 60_000,
        forked_unix_ms,
        unfinished,
    };
    let journals = [
        journal(1, NOW_MS - 60_000, false),
        journal(2, 0, true),
        journal(3, 0, false),
    ];
    let card = card(&Enforcer::default(), &journals, NOW_MS, Paint::new(false));
    let line = |incarnation: &str| card.lines().find(|line| line.contains(incarnation)).unwrap();
    assert!(line("#1").contains("forked"), "{card}");
    assert!(line("#2").contains("unfinished"), "{card}");
    assert!(
        !line("#3").contains("forked") && !line("#3").contains("unfinished"),
        "{card}"
    );
}
