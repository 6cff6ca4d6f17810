//! A page shows the server's own bytes, or less of them.

use super::*;

const LINE: &str = r#"{"result": {"tools":[ {"name":"a","inputSchema":{"type":"object"}} , {"inputSchema":{ },"name":"b"},{"name":"c","name":"c"}],"nextCursor":"2"}, "jsonrpc":"2.0","id":1}"#;

fn page(line: &str) -> Page<'_> {
    let result = line.find("{\"tools\"").unwrap();
    let end = line.rfind(", \"jsonrpc\"").unwrap();
    Page::parse(&line[result..end]).unwrap()
}

#[test]
fn what_is_kept_keeps_its_bytes_and_the_cursor_stays() {
    let page = page(LINE);
    let names: Vec<_> = page.tools().iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(page.next.unwrap().get(), "\"2\"");
    assert_eq!(
        page.only(LINE, |tool| tool.name == "b"),
        r#"{"result": {"tools":[{"inputSchema":{ },"name":"b"}],"nextCursor":"2"}, "jsonrpc":"2.0","id":1}"#
    );
    assert_eq!(
        page.only(LINE, |_| false),
        r#"{"result": {"tools":[],"nextCursor":"2"}, "jsonrpc":"2.0","id":1}"#
    );
    // A tool with two readings is in no page, whoever may use what.
    assert!(!page.only(LINE, |_| true).contains("\"c\""));
}

#[test]
fn a_page_of_which_nothing_is_left_out_is_not_touched() {
    let line = LINE.replace(r#",{"name":"c","name":"c"}"#, "");
    assert_eq!(page(&line).only(&line, |_| true), line);
}

#[test]
fn a_tool_is_the_same_however_its_definition_is_spaced_and_sorted() {
    let one = Page::parse(r#"{"tools":[{"name":"a","description":"x"}]}"#)
        .unwrap()
        .tools()[0]
        .sha256;
    let other = Page::parse(r#"{"tools":[ { "description":"x", "name":"a"}]}"#)
        .unwrap()
        .tools()[0]
        .sha256;
    let changed = Page::parse(r#"{"tools":[{"name":"a","description":"y"}]}"#)
        .unwrap()
        .tools()[0]
        .sha256;
    assert_eq!(one, other);
    assert_ne!(one, changed);
}

#[test]
fn a_name_that_stands_twice_in_a_page_is_defined_by_neither() {
    let page =
        Page::parse(r#"{"tools":[{"name":"a"},{"name":"a","description":"evil"},{"name":"b"}]}"#).unwrap();
    let definitions = Definitions::default();
    definitions.note(0, &page);
    assert_eq!(definitions.of("a"), Some(Sha256::default()));
    assert_eq!(definitions.of("b"), Some(page.tools()[2].sha256));
}

#[test]
fn a_page_that_was_asked_for_before_the_list_changed_is_not_believed() {
    let page = Page::parse(r#"{"tools":[{"name":"a"}]}"#).unwrap();
    let definitions = Definitions::default();
    let asked_at = definitions.changes();
    definitions.forget();
    definitions.note(asked_at, &page);
    assert_eq!(definitions.of("a"), None);
    definitions.note(definitions.changes(), &page);
    assert!(definitions.of("a").is_some());
}

#[test]
fn a_result_with_two_lists_is_no_page() {
    for result in [
        r#"{"tools":[],"tools":[]}"#,
        r#"{"tools":[],"Tools":[]}"#,
        r#"{"tools":{}}"#,
        "{}",
        "[]",
    ] {
        assert!(Page::parse(result).is_err(), "{result}");
    }
}
