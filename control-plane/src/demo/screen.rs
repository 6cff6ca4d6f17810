//! What the audience sees.

use std::io::Write;

use crate::cli::output::{Paint, Style};

/// A terminal.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    /// Standard output is somebody else's.
    aside: bool,
    paint: Paint,
}

impl Screen {
    pub(super) const fn new(aside: bool, paint: Paint) -> Self {
        Self { aside, paint }
    }

    /// A scene begins.
    pub(super) fn title(&self, title: &str) {
        self.line(&format!("\n{}", self.styled(Style::Strong, title)));
    }

    /// Something small happened.
    pub(super) fn step(&self, sentence: &str) {
        self.line(&self.styled(Style::Dim, &format!("  · {sentence}")));
    }

    /// Something that is said as it is.
    pub(super) fn say(&self, sentence: &str) {
        self.line(&format!("  {sentence}"));
    }

    /// A verdict on a call.
    pub(super) fn verdict(&self, word: &str, call: &str, why: &str) {
        let style = match word {
            "permit" | "release" => Style::Good,
            "hold" => Style::Waiting,
            _ => Style::Bad,
        };
        self.line(&format!(
            "  {} {call}",
            self.styled(style, &format!("{:<8}", word.to_uppercase()))
        ));
        if !why.is_empty() {
            self.line(&format!("           {}", self.styled(Style::Dim, why)));
        }
    }

    /// Text in a style.
    pub(super) fn styled(&self, style: Style, text: &str) -> String {
        self.paint.apply(style, text)
    }

    fn line(&self, line: &str) {
        // Whoever does not want to see it any more need not.
        let _closed = if self.aside {
            writeln!(std::io::stderr().lock(), "{line}")
        } else {
            writeln!(std::io::stdout().lock(), "{line}")
        };
    }
}
