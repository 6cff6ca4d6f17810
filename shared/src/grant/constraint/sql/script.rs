//! The alphabet of an admitted statement: what every dialect, in every mode, cuts into the same tokens.
//!
//! **Invariant**: where a string ends is where its next lone `'` stands, whatever the database's settings.

use super::super::{Refused, met};

/// Outside strings, beside letters, digits and blanks.
const PLAIN: &str = "_,.()=<>!+-*/%|?";
/// So many words and marks may stand outside strings: deeper trees than these make are not walked.
const TOKENS_MAX: usize = 512;
/// What writes to files, whichever way a parser takes it.
const REFUSED: [&str; 3] = ["outfile", "dumpfile", "procedure"];

/// Whether the text stays within the alphabet.
pub(super) fn check(text: &str) -> Result<(), Refused> {
    let ambiguous = Refused("the statement has something that databases read in more than one way");
    let (mut rest, mut tokens, mut intos) = (text, 0, 0_usize);
    while let Some(first) = rest.chars().next() {
        tokens += usize::from(!first.is_ascii_whitespace());
        let is_word = first.is_ascii_alphanumeric() || first == '_';
        rest = match first {
            '\'' => {
                let (inside, after) = rest[1..].split_once('\'').ok_or(ambiguous)?;
                met(inside.chars().all(|c| c != '\\' && !c.is_control()), ambiguous.0)?;
                after
            }
            '"' | '`' => {
                let (inside, after) = rest[1..].split_once(first).ok_or(ambiguous)?;
                met(super::is_name(inside) && !after.starts_with(first), ambiguous.0)?;
                after
            }
            _ if is_word => {
                let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
                let (word, after) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
                // A letter before a quote changes what the string means.
                met(!after.starts_with(['\'', '"', '`']), ambiguous.0)?;
                intos = count_into(word, intos)?;
                after
            }
            _ => {
                // `$1` is a parameter; any other `$` may begin a string.
                let is_parameter = first == '$' && rest[1..].starts_with(|c: char| c.is_ascii_digit());
                let is_plain =
                    is_parameter || PLAIN.contains(first) || [' ', '\n', '\t', '\r'].contains(&first);
                let is_comment = rest.starts_with("--") || rest.starts_with("/*");
                met(is_plain && !is_comment, ambiguous.0)?;
                &rest[1..]
            }
        };
    }
    met(tokens <= TOKENS_MAX, "the statement has more words than are read")
}

/// Each `INTO` needs an `INSERT` before it: a `SELECT … INTO` writes.
fn count_into(word: &str, inserts: usize) -> Result<usize, Refused> {
    let refused = Refused("the statement writes to where its kind does not");
    match word.to_ascii_lowercase().as_str() {
        "insert" => Ok(inserts + 1),
        "into" => inserts.checked_sub(1).ok_or(refused),
        word if REFUSED.contains(&word) => Err(refused),
        _ => Ok(inserts),
    }
}
