//! What people see of a change.

use super::*;

fn line(change: LineChange, text: &str) -> DiffLine {
    DiffLine {
        change: change.into(),
        text: text.to_owned(),
    }
}

#[test]
fn a_change_reads_as_people_know_it_and_moves_no_cursor() {
    let change = DiffResponse {
        files: vec![FileDiff {
            path: "rules.cedar".to_owned(),
            change: FileChange::Changed.into(),
            added: 1,
            removed: 1,
            hunks: vec![Hunk {
                from_line: 7,
                to_line: 7,
                lines: vec![
                    line(LineChange::Same, "\tpermit"),
                    line(LineChange::Removed, "when { a }"),
                    line(LineChange::Added, "when { b }\u{1b}[2J"),
                ],
            }],
        }],
        ..DiffResponse::default()
    };
    let page = page(&change, &RevisionPushed::default(), 0, Paint::new(false));
    let shown = page.split_once("changed ").unwrap().1;
    assert_eq!(
        shown,
        "rules.cedar (+1 -1)\n@@ -7 +7 @@\n \tpermit\n-when { a }\n+when { b }\\u{1b}[2J\n"
    );
}

#[test]
fn two_that_are_the_same_say_so() {
    let page = page(
        &DiffResponse::default(),
        &RevisionPushed::default(),
        0,
        Paint::new(false),
    );
    assert!(page.contains("nothing differs"), "{page}");
}
