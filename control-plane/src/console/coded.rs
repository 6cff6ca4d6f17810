//! Sentences in which backticks stand around what was given, as a page shows them: as code.
//!
//! **Invariant**: whatever the text is, it is text: nothing in it becomes markup but pairs of backticks.

use std::fmt::{self, Display, Formatter, Write};

use askama::filters::HtmlSafe;

use crate::words::visible_lines;

/// A sentence that a page shows with what was given as code.
#[derive(Debug, Default, Clone)]
pub(super) struct Coded(String);

impl Coded {
    pub(super) fn of(text: &str) -> Self {
        Self(visible_lines(text))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl HtmlSafe for Coded {}

impl Display for Coded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_str();
        while let Some((before, given, after)) = next_given(rest) {
            escape(before, f)?;
            f.write_str("<code>")?;
            escape(given, f)?;
            f.write_str("</code>")?;
            rest = after;
        }
        escape(rest, f)
    }
}

/// What stands before the next pair of backticks, in it and after it; none: there is no pair.
fn next_given(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (given, after) = rest.split_once('`')?;
    Some((before, given, after))
}

fn escape(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    for c in text.chars() {
        match c {
            '&' => f.write_str("&#38;")?,
            '<' => f.write_str("&#60;")?,
            '>' => f.write_str("&#62;")?,
            '"' => f.write_str("&#34;")?,
            '\'' => f.write_str("&#39;")?,
            c => f.write_char(c)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
