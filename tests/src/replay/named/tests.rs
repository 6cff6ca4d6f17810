//! What a prompt names, and what it does not.

use super::*;

fn names(prompt: &str, value: &str) -> bool {
    named_values(prompt).iter().any(|named| named == value)
}

#[test]
fn what_a_user_wrote_is_named_with_the_punctuation_around_it_gone() {
    let prompt = "Pay 'bill-december-2023.txt' (from GB29NWBK60161331926819), i.e. 12.00, by 2024-05-19 at 10:00; tell \
                  <ann@example.com>, bob@example.com. See https://example.com/a?b=c and the landlord's note, it's 19.5% of $30!";
    for value in [
        "bill-december-2023.txt",
        "GB29NWBK60161331926819",
        "12.00",
        "2024-05-19",
        "10:00",
        "ann@example.com",
        "bob@example.com",
        "https://example.com/a?b=c",
        "landlord's",
        "landlord",
        "it's",
        "19.5%",
        "19.5",
        "$30",
        "30",
        "note",
    ] {
        assert!(names(prompt, value), "{value}: {:?}", named_values(prompt));
    }
}

#[test]
fn what_is_quoted_is_named_whole_and_an_apostrophe_quotes_nothing() {
    let prompt = "Don't move Sarah's 'Lunch at Joe's' or \"Yoga, 2 pm\" or “Team sync”.";
    assert_eq!(quoted(prompt), ["Lunch at Joe's", "Yoga, 2 pm", "Team sync"]);
}

#[test]
fn names_of_several_words_are_named() {
    let prompt =
        "My new address: 1234 Elm Street, New York, NY 10001 and a friend, Mary Ann Lee. Rent is due.";
    for value in [
        "1234 Elm Street",
        "New York, NY 10001",
        "New York",
        "Mary Ann Lee",
        "a friend",
        "Rent is due",
    ] {
        assert!(names(prompt, value), "{value}: {:?}", named_values(prompt));
    }
    assert!(!names(prompt, "Lee. Rent"), "a sentence ends between them");
}

#[test]
fn a_number_is_named_without_the_commas_between_its_thousands_and_a_value_without_its_name() {
    let prompt =
        "Put $10,000.50 and 1,234,567 RMB on my card (ID=card_6789), not 12,34 or 1,2345, in rooms 101,102x.";
    for value in ["10,000.50", "10000.50", "1234567", "card_6789"] {
        assert!(names(prompt, value), "{value}: {:?}", named_values(prompt));
    }
    for value in ["1234", "12345", "101102"] {
        assert!(!names(prompt, value), "{value}: {:?}", named_values(prompt));
    }
    let link = "See https://example.com/a?b=c.";
    assert!(!names(link, "c") && !names(link, "https://example.com/a?b"));
}

#[test]
fn every_value_is_a_piece_of_the_prompt_and_none_is_named_twice() {
    for prompt in [
        "",
        " \n ",
        "'",
        "''",
        "'a",
        "…",
        "Ünïcödé ‘quo’ted’ — 100 €.",
        "a,b;(c)",
    ] {
        let values = named_values(prompt);
        assert!(
            values
                .iter()
                .all(|value| prompt.contains(value.as_str()) && !value.is_empty()),
            "{prompt}: {values:?}"
        );
        assert_eq!(
            values.iter().collect::<HashSet<_>>().len(),
            values.len(),
            "{prompt}: {values:?}"
        );
    }
}

#[test]
fn a_long_prompt_keeps_what_tells_and_loses_ordinary_words() {
    use std::fmt::Write;

    let mut prompt = String::new();
    for n in 0..1_000 {
        write!(prompt, "plain{} ", "x".repeat(n % 97)).unwrap();
    }
    let long = "y".repeat(NAMED_BYTES_MAX + 1);
    write!(prompt, "{long} 'the quoted one' and ann@example.com").unwrap();
    let values = named_values(&prompt);
    assert_eq!(values.len(), NAMED_MAX);
    assert_eq!(values[..2], ["the quoted one", "ann@example.com"]);
    assert!(values.iter().all(|value| value.len() <= NAMED_BYTES_MAX));
}
