//! A finding points at characters, whatever the bytes, and draws them.

use super::*;

#[test]
fn lines_and_columns_count_characters_from_one() {
    let place = Place::new("rules.cedar", "a\nüé x\n");
    let finding = place.error(7..8, "wrong", "do this");
    assert_eq!((finding.line, finding.column), (2, 4));
    assert!(
        finding.rendered.contains("[rules.cedar:2:"),
        "{}",
        finding.rendered
    );
    assert!(
        finding.rendered.contains("2 │ üé x\n   ·    ─"),
        "{}",
        finding.rendered
    );
    assert!(finding.rendered.contains("help: do this"), "{}", finding.rendered);
    assert!(!finding.rendered.contains('\u{1b}'), "no colour");
}

#[test]
fn a_place_outside_the_text_or_inside_a_character_is_moved_into_it() {
    let place = Place::new("f", "é");
    for at in [1..2, 5..9, 0..99] {
        assert_eq!(place.error(at, "m", "").line, 1);
    }
    assert_eq!(Place::new("f", "").error(3..4, "m", "").column, 1);
}

#[test]
fn a_finding_about_a_whole_file_names_it() {
    let finding = Place::new("checkrein.toml", "").whole("missing", "write one");
    assert_eq!((finding.line, finding.column), (0, 0));
    assert!(
        finding.rendered.contains("in checkrein.toml"),
        "{}",
        finding.rendered
    );
    let within = finding.within("payments");
    assert_eq!(within.file, "payments/checkrein.toml");
    assert!(
        within.rendered.contains("in payments/checkrein.toml"),
        "{}",
        within.rendered
    );
}

#[test]
fn a_line_that_nobody_reads_is_named_and_not_drawn() {
    for line in ["x".repeat(100_000), "\t".repeat(40_000), "界".repeat(40_000)] {
        let at = line.len();
        let finding = Place::new("bank.json", &line).error(at..at, "it ends", "");
        let place = format!("in bank.json:1:{}", line.chars().count() + 1);
        assert!(finding.rendered.contains(&place), "{}", finding.rendered);
    }
}
