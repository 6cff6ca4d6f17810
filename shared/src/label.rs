//! Labels: one word for a kind of data, such as `pii` or `untrusted_content`. The catalog says which a tool yields, a task
//! which it may touch.
//!
//! **Invariant**: two labels are the same if and only if they are the same text: no case, no space, no script to confuse.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text::shown;

/// A label may have at most this many characters.
pub const LABEL_CHARS_MAX: usize = 64;

/// A kind of data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// A text that is no label.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a label: expected lower-case letters, digits and `_`, at most {LABEL_CHARS_MAX}")]
pub struct InvalidLabel(String);

impl Label {
    /// Its word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if text.is_empty() || text.len() > LABEL_CHARS_MAX || !text.bytes().all(is_word) {
            return Err(InvalidLabel(shown(text)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
