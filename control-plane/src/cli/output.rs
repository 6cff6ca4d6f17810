//! What a terminal shows: colours, aligned columns, relative times.
//!
//! **Invariant**: text that an agent had a hand in can't move the cursor, change a colour or reorder itself: whatever
//! would is shown as an escape.

mod fields;
mod table;

use serde_json::value::RawValue;

pub(super) use crate::words::{relative, rfc3339, span, visible, visible_lines};
pub(super) use fields::Fields;
pub(super) use table::{Cell, Table};

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Nothing special.
    #[default]
    Plain,
    /// Look here.
    Strong,
    /// Only if you care.
    Dim,
    /// Permitted, done, connected.
    Good,
    /// Waiting for people.
    Waiting,
    /// Denied, failed, gone.
    Bad,
}

impl Paint {
    /// Colours, or none.
    pub const fn new(color: bool) -> Self {
        Self(color)
    }

    /// The commands to type next.
    pub fn next(self, commands: &[&str]) -> String {
        format!(
            "\n{}\n  {}\n",
            self.apply(Style::Dim, "next:"),
            commands.join("\n  ")
        )
    }

    /// The text in this style.
    pub fn apply(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => return text.to_owned(),
            _ if !self.0 => return text.to_owned(),
            Style::Strong => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Waiting => "33",
            Style::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The style of a verdict, a state, a severity: one table, so that a colour means the same everywhere.
pub(super) fn style_of(word: &str) -> Style {
    match word {
        "permit" | "approved" | "done" | "live" | "connected" | "ok" => Style::Good,
        "hold" | "open" | "consumed" | "warning" => Style::Waiting,
        "deny" | "denied" | "failed" | "unknown" | "revoked" | "error" | "behind" => Style::Bad,
        "expired" | "taken" | "cancelled" | "lapsed" | "withdrawn" | "ended" | "away" => Style::Dim,
        _ => Style::Plain,
    }
}

/// JSON text as it came, for scripts; none if it is no JSON.
pub(super) fn raw_json(text: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests;
