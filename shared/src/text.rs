//! Text that a caller chose, on its way into a reason, a record or a log.

/// So many characters of it are shown.
const SHOWN_CHARS_MAX: usize = 64;

/// A caller's text, cut to a length that is safe to show.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
