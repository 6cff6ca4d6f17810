//! A label is one plain word.

use super::*;

#[test]
fn a_label_is_a_word_of_lower_case_letters_digits_and_underscores() {
    for text in [
        "pii",
        "untrusted_content",
        "gdpr_9",
        "0",
        &"x".repeat(LABEL_CHARS_MAX),
    ] {
        assert_eq!(text.parse::<Label>().unwrap().as_str(), text);
    }
    let long = "x".repeat(LABEL_CHARS_MAX + 1);
    for text in [
        "", "PII", "p i", "pii ", "pii,phi", "pi-i", "p.i", "*", "píi", "pii\n", "рii", &long,
    ] {
        assert!(text.parse::<Label>().is_err(), "{text:?}");
    }
    let refused = "y".repeat(9_000).parse::<Label>().unwrap_err();
    assert!(refused.to_string().len() < 200, "a long word is cut");
}
