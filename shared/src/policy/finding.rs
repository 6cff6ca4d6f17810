//! What a check has to say about one place of a pack, and how a terminal shows it.
//!
//! **Invariant**: a finding stands on its own: file, line and column for machines, lines and a caret for people, what is
//! wrong and what to do next.

use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan,
};

/// How wide a rendered finding may be.
const RENDERED_COLUMNS: usize = 110;
/// A file with a longer line is named and not drawn: nobody reads that, and `miette` panics where a caret stands past
/// column 65535.
const DRAWN_LINE_BYTES_MAX: usize = 4_096;

/// Whether a finding refuses the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not; someone should look.
    Warning,
}

/// Something to say about one place of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it refuses the pack.
    pub severity: Severity,
    /// `<file>`, or `<pack>/<file>` where several packs are checked together.
    pub file: String,
    /// From 1; 0: the whole file.
    pub line: u32,
    /// In characters, from 1; 0: the whole line.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do next; may be empty.
    pub help: String,
    /// The finding with its lines and a caret, as a terminal shows it.
    pub rendered: String,
}

/// A file that findings point into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Its path in the pack.
    pub(super) file: &'a str,
    /// Its text; empty if it has none.
    pub(super) text: &'a str,
}

/// What `miette` draws.
struct Drawing {
    severity: Severity,
    message: String,
    help: String,
    source: Option<NamedSource<String>>,
    span: SourceSpan,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

impl Finding {
    /// Whether it refuses the pack.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The same, where several packs are checked together.
    pub(super) fn within(mut self, pack: &str) -> Self {
        if pack.is_empty() {
            return self;
        }
        let file = format!("{pack}/{}", self.file);
        for (before, after) in [("[", ":"), ("in ", "\n")] {
            let shown = format!("{before}{}{after}", self.file);
            self.rendered = self
                .rendered
                .replacen(&shown, &format!("{before}{file}{after}"), 1);
        }
        self.file = file;
        self
    }

    /// The same, where only some enforcers would meet it.
    pub(super) fn for_whom(mut self, whom: &str) -> Self {
        self.message = format!("for {whom}: {}", self.message);
        self.rendered.extend(["  for ", whom, "\n"]);
        self
    }
}

impl<'a> Place<'a> {
    pub(super) const fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text }
    }

    /// An error about these bytes of the file.
    pub(super) fn error(
        self,
        at: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        self.finding(Severity::Error, Some(at), message.into(), help.into())
    }

    /// A warning about these bytes of the file.
    pub(super) fn warning(
        self,
        at: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        self.finding(Severity::Warning, Some(at), message.into(), help.into())
    }

    /// An error about the whole file.
    pub(super) fn whole(self, message: impl Into<String>, help: impl Into<String>) -> Finding {
        self.finding(Severity::Error, None, message.into(), help.into())
    }

    /// A warning about the whole file.
    pub(super) fn whole_warning(self, message: impl Into<String>, help: impl Into<String>) -> Finding {
        self.finding(Severity::Warning, None, message.into(), help.into())
    }

    /// One of Cedar's own diagnostics, about text that begins at this offset of the file.
    pub(super) fn diagnostic(self, severity: Severity, error: &dyn Diagnostic, offset: usize) -> Finding {
        let (at, help) = diagnosed(error);
        self.finding(
            severity,
            Some(at.start + offset..at.end + offset),
            error.to_string(),
            help,
        )
    }

    /// Where a parser that counts lines and columns from 1 stopped.
    pub(super) fn offset(self, line: usize, column: usize) -> Range<usize> {
        let start: usize = self
            .text
            .split_inclusive('\n')
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        let at = self.clamp(start + column.saturating_sub(1));
        at..at
    }

    /// Where a piece of this very text stands in it.
    pub(super) fn span_of(self, piece: &str) -> Range<usize> {
        let start = (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let start = self.clamp(start);
        start..self.clamp(start + piece.len())
    }

    fn finding(self, severity: Severity, at: Option<Range<usize>>, message: String, help: String) -> Finding {
        let (line, column) = at.as_ref().map_or((0, 0), |at| self.line_and_column(at.start));
        let span = at.unwrap_or_default();
        let span = self.clamp(span.start)..self.clamp(span.end.max(span.start));
        let is_drawn = line > 0 && self.text.lines().all(|line| line.len() <= DRAWN_LINE_BYTES_MAX);
        let source = is_drawn.then(|| NamedSource::new(self.file, self.text.to_owned()));
        let drawing = Drawing {
            severity,
            message,
            help,
            source,
            span: span.into(),
        };
        let rendered = match line {
            0 => drawing.render(self.file),
            _ => drawing.render(&format!("{}:{line}:{column}", self.file)),
        };
        let Drawing { message, help, .. } = drawing;
        Finding {
            severity,
            file: self.file.to_owned(),
            line,
            column,
            message,
            help,
            rendered,
        }
    }

    pub(super) fn line_and_column(self, offset: usize) -> (u32, u32) {
        let before = &self.text[..self.clamp(offset)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(column).unwrap_or(u32::MAX),
        )
    }

    /// The nearest character boundary at or before an offset.
    fn clamp(self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

impl Drawing {
    fn render(&self, place: &str) -> String {
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
            .with_width(RENDERED_COLUMNS)
            .with_links(false);
        let mut rendered = String::new();
        if handler.render_report(&mut rendered, self).is_err() {
            rendered = format!("{place}: {}\n", self.message);
        } else if self.source.is_none() {
            rendered.extend(["  in ", place, "\n"]);
        }
        rendered
    }
}

impl fmt::Debug for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawing {}

impl Diagnostic for Drawing {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help: Box<dyn fmt::Display> = Box::new(&self.help);
        (!self.help.is_empty()).then_some(help)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            None, self.span,
        ))))
    }
}

/// Where a diagnostic of Cedar's points, and what it says there and as help.
pub(super) fn diagnosed(error: &dyn Diagnostic) -> (Range<usize>, String) {
    let label = error.labels().and_then(|mut labels| labels.next());
    let at = label
        .as_ref()
        .map_or(0..0, |label| label.offset()..label.offset() + label.len());
    let said = label
        .as_ref()
        .and_then(|label| label.label())
        .map(|said| format!("here: {said}"));
    let help = error.help().map(|help| help.to_string());
    (
        at,
        [said, help].into_iter().flatten().collect::<Vec<_>>().join("; "),
    )
}

#[cfg(test)]
mod tests;
