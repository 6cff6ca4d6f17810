//! What people are shown of a change.

use super::*;

fn pack(files: &[(&str, &[u8])]) -> PackSource {
    PackSource {
        name: "mail".to_owned(),
        files: files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), content.to_vec()))
            .collect(),
    }
}

fn shown(file: &FileDiff) -> String {
    let sign = |tag| match tag {
        ChangeTag::Equal => ' ',
        ChangeTag::Delete => '-',
        ChangeTag::Insert => '+',
    };
    let lines = file.hunks.iter().flat_map(|hunk| &hunk.lines);
    let lines: Vec<String> = lines.map(|(tag, line)| format!("{}{line}", sign(*tag))).collect();
    lines.join("\n")
}

#[test]
fn files_that_are_the_same_are_left_out_and_others_say_what_became_of_them() {
    let before = pack(&[("a", b"1\n"), ("gone", b"x\n"), ("same", b"s\n")]);
    let after = pack(&[("a", b"2\n"), ("new", b"n\n"), ("same", b"s\n")]);
    let (files, is_cut) = compare(Some(&before), &after);
    let fates: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.fate)).collect();
    assert_eq!(
        fates,
        [
            ("a", Fate::Changed),
            ("gone", Fate::Removed),
            ("new", Fate::Added)
        ]
    );
    assert_eq!(shown(&files[0]), "-1\n+2");
    assert!(!is_cut);
}

#[test]
fn a_change_is_shown_with_three_lines_around_it_and_where_it_is() {
    let lines: Vec<String> = (1..=20).map(|n| format!("line {n}\n")).collect();
    let before = lines.concat();
    let after = before.replace("line 10\n", "line ten\n");
    let before = pack(&[("rules.cedar", before.as_bytes())]);
    let after = pack(&[("rules.cedar", after.as_bytes())]);
    let (files, _) = compare(Some(&before), &after);
    let [file] = &files[..] else { panic!("{files:?}") };
    let [hunk] = &file.hunks[..] else {
        panic!("{file:?}")
    };
    assert_eq!((hunk.from_line, hunk.to_line, hunk.lines.len()), (7, 7, 8));
    assert_eq!((file.added, file.removed), (1, 1));
}

#[test]
fn bytes_that_are_no_text_are_named_and_not_shown() {
    let before = pack(&[("logo", b"\xff\xfe")]);
    let (files, is_cut) = compare(Some(&before), &pack(&[("logo", b"\xff\xff")]));
    assert_eq!((files.len(), files[0].hunks.len(), is_cut), (1, 0, false));
}

#[test]
fn what_does_not_fit_is_said() {
    let many = "x\n".repeat(LINES_MAX + 1);
    let (files, is_cut) = compare(None, &pack(&[("a", many.as_bytes()), ("b", b"y\n")]));
    let lines: usize = files
        .iter()
        .flat_map(|file| &file.hunks)
        .map(|hunk| hunk.lines.len())
        .sum();
    assert_eq!((lines, is_cut), (LINES_MAX, true));
    assert_eq!(files[1].added, 1, "what is not shown is counted");
    let long = "é".repeat(LINE_CHARS_MAX + 1);
    let (files, is_cut) = compare(None, &pack(&[("a", long.as_bytes())]));
    assert_eq!(
        (files[0].hunks[0].lines[0].1.chars().count(), is_cut),
        (LINE_CHARS_MAX, true)
    );
}
