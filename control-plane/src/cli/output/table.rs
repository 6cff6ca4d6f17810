//! Rows under headings, columns as wide as their widest cell.

use super::{Paint, Style, style_of, visible};

/// Rows under headings.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One cell, made safe to show.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

/// Two spaces between columns.
const GAP: usize = 2;
/// Longer cells are cut, so that a row stays a row.
const CELL_CHARS_MAX: usize = 64;

impl Cell {
    /// A word whose colour is its meaning's.
    pub(crate) fn word(text: &str) -> Self {
        Self {
            style: style_of(text),
            ..Self::from(text)
        }
    }

    /// Less important than its neighbours.
    pub(crate) fn dim(text: impl AsRef<str>) -> Self {
        Self {
            style: Style::Dim,
            ..Self::from(text.as_ref())
        }
    }

    /// In another style.
    #[must_use]
    pub(crate) const fn styled(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        let text = visible(text);
        let text = if text.chars().count() > CELL_CHARS_MAX {
            text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
        } else {
            text
        };
        Self {
            text,
            style: Style::Plain,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// One more row.
    pub(crate) fn push<const N: usize>(&mut self, row: [Cell; N]) {
        self.rows.push(row.into());
    }

    /// The table as lines; `empty` if there are no rows.
    pub(crate) fn render(&self, paint: Paint, empty: &str) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", paint.apply(Style::Dim, empty));
        }
        let headings = self.headings.iter().map(|heading| Cell::dim(*heading)).collect();
        let lines: Vec<&Vec<Cell>> = std::iter::once(&headings).chain(&self.rows).collect();
        let width = |column: usize| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(Cell::width)
                .max()
        };
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| width(column).unwrap_or(0))
            .collect();
        lines
            .iter()
            .map(|line| render_line(line, &widths, paint))
            .collect()
    }
}

fn render_line(cells: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut out = String::new();
    let last = cells.iter().rposition(|cell| !cell.text.is_empty());
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if Some(at) > last {
            break;
        }
        out.push_str(&paint.apply(cell.style, &cell.text));
        if Some(at) < last {
            out.push_str(&" ".repeat(width - cell.width() + GAP));
        }
    }
    out.push('\n');
    out
}
