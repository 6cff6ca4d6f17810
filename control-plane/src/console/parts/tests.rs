//! Links keep what was asked, and nothing gets out of them.

use super::*;

#[test]
fn a_link_keeps_what_was_asked_and_leaves_out_what_was_not() {
    assert_eq!(link("/decisions", &[("tool", ""), ("task", "")]), "/decisions");
    let asked = [("tool", "bank/pay&x=1"), ("rule", "\"><script>")];
    assert_eq!(
        link("/decisions", &asked),
        "/decisions?tool=bank%2Fpay%26x%3D1&rule=%22%3E%3Cscript%3E"
    );
}

#[test]
fn an_identity_in_short_is_its_last_part_and_hides_nothing() {
    assert_eq!(short("spiffe://acme.example/agent/billing"), "billing");
    assert_eq!(short("a\u{202e}b"), "a\\u{202e}b");
}
