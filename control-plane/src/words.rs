//! What people read, whatever they read it on: times and bounds as they say them, hostile text made harmless, and an action from
//! the very bytes that are hashed.
//!
//! **Invariant**: text that an agent had a hand in can't hide or reorder itself: whatever would is shown as an escape.

mod action;
mod holds;
mod rates;
mod states;
mod times;
mod when;

use checkrein_proto::hold::v1 as wire;
use wire::bound::How;

pub use action::Unreadable;
pub(crate) use action::{ShownAction, brief, is_masked, pretty, pretty_value};
pub(crate) use holds::{Handed, handed, quorum_words, remarks, undo_brief, undo_words};
pub(crate) use rates::{expired_share, interruption_rate};
pub(crate) use states::{
    UNRECOGNISED, grant_origin, hold_word, is_behind, outcome_word, stage_word, task_word, tier_word,
    verdict_word,
};
pub(crate) use times::{relative, rfc3339, span};
pub(crate) use when::{When, millis, when};

/// The text on one line, with every character that a terminal would act on shown as an escape.
pub(crate) fn visible(text: &str) -> String {
    escape(text, is_unseen)
}

/// The same, lines kept.
pub(crate) fn visible_lines(text: &str) -> String {
    escape(text, |c| c != '\n' && is_unseen(c))
}

/// One bound as a person reads it.
pub(crate) fn bound_words(bound: &wire::Bound) -> String {
    let argument = &bound.argument;
    match &bound.how {
        Some(How::Exactly(value)) if value.starts_with("{\"masked\":") => {
            format!("`{argument}` exactly the same secret value")
        }
        Some(How::Exactly(value)) => format!("`{argument}` exactly {value}"),
        Some(How::AtMost(most)) => format!("`{argument}` from 0 to {most}"),
        Some(How::Any(_)) => format!("`{argument}` of ANY value"),
        None => format!("`{argument}` as this version can't read: do not rely on it"),
    }
}

fn escape(text: &str, hidden: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, and those that reorder text or take no room (Unicode UAX #9, and the Tags block).
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
