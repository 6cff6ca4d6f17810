//! One thing at length: a label and a value on each line, values aligned.

use super::{Paint, Style, visible, visible_lines};

/// Labelled values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    lines: Vec<(&'static str, String, Style)>,
}

impl Fields {
    /// A value on one line; an empty one is left out.
    pub(crate) fn line(&mut self, label: &'static str, value: &str) -> &mut Self {
        self.styled(label, value, Style::Plain)
    }

    /// A value in a style.
    pub(crate) fn styled(&mut self, label: &'static str, value: &str, style: Style) -> &mut Self {
        if !value.is_empty() {
            self.lines.push((label, visible(value), style));
        }
        self
    }

    /// A value of several lines.
    pub(crate) fn block(&mut self, label: &'static str, value: &str, style: Style) -> &mut Self {
        if !value.is_empty() {
            self.lines.push((label, visible_lines(value), style));
        }
        self
    }

    /// The lines, indented by two.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let width = self
            .lines
            .iter()
            .map(|(label, ..)| label.chars().count())
            .max()
            .unwrap_or(0);
        let mut out = String::new();
        for (label, value, style) in &self.lines {
            for (at, line) in value.split('\n').enumerate() {
                let label = if at == 0 { *label } else { "" };
                let label = paint.apply(Style::Dim, &format!("{label:width$}"));
                out.extend(["  ", &label, "  ", &paint.apply(*style, line), "\n"]);
            }
        }
        out
    }
}
