//! What a terminal is shown.

use super::{Cell, Fields, Paint, Style, Table, relative, rfc3339, span, visible, visible_lines};

const PLAIN: Paint = Paint::new(false);
const COLOR: Paint = Paint::new(true);

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let mut table = Table::new(&["TOOL", "VERDICT"]);
    table.push([Cell::from("bank/send_money"), Cell::word("hold")]);
    table.push([Cell::from("bäck"), Cell::word("permit")]);
    assert_eq!(
        table.render(PLAIN, "nothing"),
        "TOOL             VERDICT\nbank/send_money  hold\nbäck             permit\n"
    );
}

#[test]
fn colours_change_no_column() {
    let mut table = Table::new(&["VERDICT", "TOOL"]);
    table.push([Cell::word("deny"), Cell::from("a/b")]);
    let colored = table.render(COLOR, "nothing");
    assert!(colored.contains("\x1b[31mdeny\x1b[0m     a/b"), "{colored:?}");
    assert!(!table.render(PLAIN, "nothing").contains('\x1b'));
}

#[test]
fn a_table_without_rows_says_what_that_means() {
    assert_eq!(
        Table::new(&["HOLD"]).render(PLAIN, "nothing waits"),
        "nothing waits\n"
    );
}

#[test]
fn a_row_ends_with_its_last_word_and_a_long_cell_is_cut() {
    let mut table = Table::new(&["A", "B"]);
    table.push([Cell::from("x"), Cell::from("")]);
    table.push([Cell::from("y".repeat(100)), Cell::from("z")]);
    let lines = table.render(PLAIN, "");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[1], "x");
    assert_eq!(lines[2], format!("{}…  z", "y".repeat(63)));
}

#[test]
fn an_agents_text_can_neither_move_the_cursor_nor_reorder_itself() {
    let hostile = "pay\u{1b}[2K\rbob\u{202e}ecila\u{200b}\u{9b}31m\n";
    let shown = visible(hostile);
    assert_eq!(shown, r"pay\u{1b}[2K\u{d}bob\u{202e}ecila\u{200b}\u{9b}31m\u{a}");
    assert_eq!(visible_lines("a\nb\u{1b}"), "a\nb\\u{1b}");
    assert_eq!(visible("Zürich 東京 €10"), "Zürich 東京 €10");
}

#[test]
fn fields_line_up_and_empty_ones_are_left_out() {
    let mut fields = Fields::default();
    fields
        .line("agent", "billing")
        .line("note", "")
        .block("with", "{\n}", Style::Plain);
    assert_eq!(fields.render(PLAIN), "  agent  billing\n  with   {\n         }\n");
}

#[test]
fn moments_are_told_as_seen_from_now() {
    let now_ms = 1_767_225_600_000;
    assert_eq!(relative(0, now_ms), "never");
    assert_eq!(relative(now_ms - 400, now_ms), "now");
    assert_eq!(relative(now_ms - 3_000, now_ms), "3 s ago");
    assert_eq!(relative(now_ms + 12 * 60_000, now_ms), "in 12 min");
    assert_eq!(relative(now_ms + 3 * 3_600_000, now_ms), "in 3 h");
    assert_eq!(span(850), "850 ms");
    assert_eq!(span(90_000), "90 s");
    assert_eq!(span(3 * 86_400_000), "3 d");
}

#[test]
fn scripts_get_rfc_3339_and_null_for_never() {
    assert_eq!(
        rfc3339(1_767_225_600_123).as_deref(),
        Some("2026-01-01T00:00:00.123Z")
    );
    assert_eq!(rfc3339(0), None);
    assert!(rfc3339(u64::MAX).unwrap().starts_with("9999-12-31"));
}
