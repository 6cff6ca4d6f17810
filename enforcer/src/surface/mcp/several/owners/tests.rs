//! Which URIs may come of which templates.

use super::*;

#[test]
fn a_uri_fits_a_template_if_it_holds_in_order_what_stands_between_its_expressions() {
    for (template, uri, expected) in [
        ("file:///{path}", "file:///a/b", true),
        ("file:///{path}", "http://a/b", false),
        ("demo://{kind}/{id}.md", "demo://a/1.md", true),
        ("demo://{kind}/{id}.md", "demo://a/1.txt", false),
        ("demo://x", "demo://x", true),
        ("demo://x", "demo://xy", false),
        ("{+any}", "whatever", true),
        ("a{b", "ax", false),
    ] {
        assert_eq!(fits(template, uri), expected, "{template} {uri}");
    }
}
