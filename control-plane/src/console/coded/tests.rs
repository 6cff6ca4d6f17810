//! What a sentence becomes on a page.

use super::Coded;

#[test]
fn what_stands_between_two_backticks_is_code_and_a_lone_one_is_itself() {
    let shown = |text| Coded::of(text).to_string();
    assert_eq!(shown("rule `a` of `b`"), "rule <code>a</code> of <code>b</code>");
    assert_eq!(shown("a ` b"), "a ` b");
    assert_eq!(shown("`a` and `"), "<code>a</code> and `");
    assert_eq!(shown(""), "");
}

#[test]
fn nothing_in_a_sentence_is_markup_and_nothing_hides_in_it() {
    let shown = Coded::of("`<b onload='x'>`&\"\u{202e}\u{0}").to_string();
    assert_eq!(
        shown,
        "<code>&#60;b onload=&#39;x&#39;&#62;</code>&#38;&#34;\\u{202e}\\u{0}"
    );
}
