//! What the user named: the values that stand literally in a prompt, for `task start --named`.
//!
//! What is quoted; words; phrases of neighbouring words. A word is what stands between white space, without the punctuation
//! around it: addresses, account numbers, links, file names, dates, times, amounts and names all are. What looks like a
//! name or an identifier comes first, so that a long prompt loses ordinary words and not those.
//!
//! **Invariant**: every value is a piece of the prompt, unchanged, or a number in it without the commas between its thousands.
//! Nothing but the prompt is looked at.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

/// A task takes at most this many.
pub const NAMED_MAX: usize = 256;
/// Each of at most this many bytes.
pub const NAMED_BYTES_MAX: usize = 4 << 10;
/// All of them together may have this many bytes: a grant carries them.
const ALL_BYTES_MAX: usize = 24 << 10;
/// A phrase has at most this many words.
const PHRASE_WORDS_MAX: usize = 8;

const QUOTES: [(char, char); 5] = [('\'', '\''), ('"', '"'), ('`', '`'), ('‘', '’'), ('“', '”')];

/// One word: where it stands, and what that says of its neighbours.
struct Word {
    at: Range<usize>,
    /// It looks like a name or an identifier: it begins with a capital or has a digit or a sign in it.
    telling: bool,
    /// Punctuation ends a phrase before it.
    begins: bool,
}

/// Values, each once, in order of importance.
#[derive(Default)]
struct Values<'p> {
    seen: HashSet<Cow<'p, str>>,
    all: Vec<Cow<'p, str>>,
    bytes: usize,
}

/// The values that stand literally in a prompt; at most [`NAMED_MAX`] of at most [`NAMED_BYTES_MAX`].
pub fn named_values(prompt: &str) -> Vec<String> {
    let words = words(prompt);
    let mut values = Values::default();
    values.extend(quoted(prompt));
    let (telling, plain): (Vec<_>, Vec<_>) = words.iter().partition(|word| word.telling);
    values.extend(telling.iter().flat_map(|word| forms(&prompt[word.at.clone()])));
    let (names, phrases): (Vec<_>, Vec<_>) =
        phrases(&words).partition(|phrase| phrase.iter().all(|word| word.telling));
    values.extend(telling.iter().filter_map(|word| number(&prompt[word.at.clone()])));
    let text = |phrase: &[Word]| &prompt[phrase[0].at.start..phrase[phrase.len() - 1].at.end];
    values.extend(names.into_iter().map(text));
    values.extend(plain.iter().flat_map(|word| forms(&prompt[word.at.clone()])));
    values.extend(phrases.into_iter().map(text));
    values.all.into_iter().map(Cow::into_owned).collect()
}

impl<'p> Values<'p> {
    fn extend<V: Into<Cow<'p, str>>>(&mut self, values: impl IntoIterator<Item = V>) {
        for value in values {
            let value = value.into();
            let bytes = self.bytes + value.len();
            let fits = value.len() <= NAMED_BYTES_MAX && self.all.len() < NAMED_MAX && bytes <= ALL_BYTES_MAX;
            let is_text = !value.is_empty() && !value.contains(char::is_control);
            if fits && is_text && self.seen.insert(value.clone()) {
                self.bytes = bytes;
                self.all.push(value);
            }
        }
    }
}

/// What stands between quotes. An apostrophe inside a word opens and closes nothing.
fn quoted(prompt: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut before = None;
    for (start, sign) in prompt.char_indices() {
        let inside = before.is_some_and(char::is_alphanumeric);
        before = Some(sign);
        let Some((_, close)) = QUOTES.iter().find(|(open, _)| *open == sign && !inside) else {
            continue;
        };
        let rest = &prompt[start + sign.len_utf8()..];
        let ends = |at: &usize| !rest[at + close.len_utf8()..].starts_with(char::is_alphanumeric);
        if let Some(end) = rest.match_indices(*close).map(|(at, _)| at).find(ends) {
            found.push(&rest[..end]);
        }
    }
    found
}

fn words(prompt: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut begins = true;
    let mut at = 0;
    for piece in prompt.split(char::is_whitespace) {
        let start = at + (piece.len() - piece.trim_start_matches(is_around).len());
        let word = piece.trim_matches(is_around);
        let after = &prompt[(start + word.len()).min(at + piece.len())..at + piece.len()];
        at += piece.len()
            + prompt[at + piece.len()..]
                .chars()
                .next()
                .map_or(0, char::len_utf8);
        if word.is_empty() {
            begins |= !piece.is_empty();
            continue;
        }
        let sign = |c: char| c.is_numeric() || !(c.is_alphabetic() || "'’-".contains(c));
        let telling = word.starts_with(char::is_uppercase) || word.contains(sign);
        words.push(Word {
            at: start..start + word.len(),
            telling,
            begins,
        });
        begins = after.contains(|c| !matches!(c, ',' | '\'' | '"'));
    }
    words
}

/// A word, and what is left of it without signs at its ends, without a possessive, between commas and brackets, and behind
/// `name=`.
fn forms(word: &str) -> impl Iterator<Item = &str> {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let owner = ["'s", "’s"].iter().find_map(|ending| word.strip_suffix(ending));
    let parts = word.split([',', ';', '(', ')', '[', ']', '<', '>', '{', '}', '|']);
    let is_name = |name: &str| !name.is_empty() && name.chars().all(char::is_alphanumeric);
    let assigned = word
        .split_once('=')
        .and_then(|(name, value)| is_name(name).then_some(value));
    [word, bare]
        .into_iter()
        .chain(owner)
        .chain(assigned)
        .chain(parts.map(|part| part.trim_matches(is_around)))
}

/// The number in a word that has commas between its thousands, without them.
fn number(word: &str) -> Option<String> {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let whole = bare.split_once('.').map_or(bare, |(whole, _)| whole);
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let is_grouped = !first.is_empty() && first.len() <= 3 && whole.len() > first.len();
    let is_number = bare.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '.');
    (is_grouped && is_number && groups.all(|group| group.len() == 3)).then(|| bare.replace(',', ""))
}

/// Runs of two and more words that no punctuation but commas and quotes divides, the short ones first.
fn phrases(words: &[Word]) -> impl Iterator<Item = &[Word]> {
    let whole = |run: &&[Word]| run.iter().skip(1).all(|word| !word.begins);
    (2..=PHRASE_WORDS_MAX).flat_map(move |length| words.windows(length).filter(whole))
}

/// Punctuation that surrounds values and is no part of them.
fn is_around(c: char) -> bool {
    ".,;:!?…'\"`‘’“”()[]{}<>".contains(c)
}

#[cfg(test)]
mod tests;
