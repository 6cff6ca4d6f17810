//! The digest of a directory changes with everything in it; what is no directory of text is refused.

use std::collections::BTreeSet;

use super::*;
use crate::policy::fixture;

#[test]
fn every_name_path_and_byte_changes_the_digest() {
    let source = fixture::source("pack", &[("a", "b"), ("c", "")]);
    let changed = [
        source.clone(),
        fixture::source("pack2", &[("a", "b"), ("c", "")]),
        fixture::source("pack", &[("a", "b"), ("d", "")]),
        fixture::source("pack", &[("a", "c"), ("c", "")]),
        fixture::source("pack", &[("a", "b")]),
        fixture::source("pack", &[("a", "bc"), ("", "")]),
    ];
    let digests: BTreeSet<_> = changed.iter().map(PackSource::sha256).collect();
    assert_eq!(digests.len(), changed.len());
    assert_eq!(source.sha256(), source.clone().sha256());
}

#[test]
fn paths_that_leave_the_pack_and_names_that_are_none_are_refused() {
    for path in ["/etc/passwd", "../x.cedar", "a//b", "a/./b", "a\\b", ""] {
        let refused = fixture::source("pack", &[(path, "")]).texts().unwrap_err();
        assert_eq!(refused.len(), 1, "{path}");
    }
    for name in ["", "-a", "a b", "a/b", "é", &"a".repeat(65)] {
        assert!(fixture::source(name, &[]).texts().is_err(), "{name}");
    }
}

#[test]
fn a_file_that_is_read_must_be_text_and_others_need_not() {
    let mut source = fixture::source("pack", &[]);
    source.files.insert("logo.png".to_owned(), vec![0xff]);
    assert!(source.texts().is_ok());
    source.files.insert("rules.cedar".to_owned(), vec![0xff]);
    assert_eq!(source.texts().unwrap_err()[0].file, "rules.cedar");
}

#[test]
fn a_pack_past_its_bounds_is_refused() {
    let mut source = fixture::source("pack", &[]);
    source
        .files
        .insert("large.md".to_owned(), vec![b'x'; PACK_BYTES_MAX]);
    assert!(source.texts().unwrap_err()[0].message.contains("bytes"));
    source.files.remove("large.md");
    source
        .files
        .extend((0..PACK_FILES_MAX).map(|at| (format!("{at}.md"), Vec::new())));
    assert!(source.texts().unwrap_err()[0].message.contains("files"));
}
