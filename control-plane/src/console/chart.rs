//! Charts: bars that the server draws, so that a page needs no script for them.
//!
//! **Invariant**: a chart says in words what it shows, and stands beside a table of the same numbers; its colours are classes of
//! the style sheet, told apart by a pattern of their own where they meet.

use askama::Template;

/// How wide a drawing is, in its own units.
const WIDTH: u32 = 720;
/// How high its bars may be.
const HEIGHT: u32 = 160;
/// Between two bars, out of ten of their places.
const GAP_TENTHS: u32 = 2;
/// So many labels stand below the bars at most.
const LABELS_MAX: usize = 10;

/// Bars side by side, each of parts one upon the other.
#[derive(Debug, Template)]
#[template(path = "chart.html")]
pub(super) struct Chart {
    /// What it is.
    pub title: &'static str,
    /// What it shows, in words.
    pub says: String,
    /// What each part stands for: its class, and its name.
    pub parts: &'static [(&'static str, &'static str)],
    bars: Vec<Bar>,
    most: u64,
    width: u32,
    height: u32,
}

#[derive(Debug)]
struct Bar {
    label: String,
    label_at: u32,
    shows_label: bool,
    x: u32,
    width: u32,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    class: &'static str,
    y: u32,
    height: u32,
    said: String,
}

impl Chart {
    /// Of rows, each with a label and a value of every part.
    pub(super) fn of(
        (title, says): (&'static str, String),
        parts: &'static [(&'static str, &'static str)],
        rows: &[(String, Vec<u64>)],
    ) -> Self {
        let most = rows
            .iter()
            .map(|(_, values)| values.iter().sum())
            .max()
            .unwrap_or(0);
        let place = WIDTH / u32::try_from(rows.len().max(1)).unwrap_or(WIDTH);
        let every = rows.len().div_ceil(LABELS_MAX).max(1);
        let bar = |(at, (label, values)): (usize, &(String, Vec<u64>))| {
            let x = u32::try_from(at).unwrap_or(u32::MAX).saturating_mul(place);
            let width = (place * (10 - GAP_TENTHS) / 10).max(1);
            Bar {
                label: label.clone(),
                label_at: x + width / 2,
                shows_label: at % every == 0,
                x,
                width,
                parts: stacked(label, values, parts, most),
            }
        };
        Self {
            title,
            says,
            parts,
            bars: rows.iter().enumerate().map(bar).collect(),
            most,
            width: WIDTH,
            height: HEIGHT,
        }
    }

    /// Whether there is anything to draw.
    pub(super) const fn is_empty(&self) -> bool {
        self.most == 0
    }
}

/// From the bottom up.
fn stacked(
    label: &str,
    values: &[u64],
    parts: &'static [(&'static str, &'static str)],
    most: u64,
) -> Vec<Part> {
    let mut below = 0;
    let mut stack = Vec::new();
    for ((class, name), value) in parts.iter().zip(values).filter(|(_, value)| **value > 0) {
        let (from, to) = (scaled(below, most), scaled(below + value, most));
        below += value;
        stack.push(Part {
            class,
            y: HEIGHT - to,
            height: (to - from).max(1),
            said: format!("{label}: {value} {name}"),
        });
    }
    stack
}

fn scaled(value: u64, most: u64) -> u32 {
    let height = u128::from(value) * u128::from(HEIGHT) / u128::from(most.max(1));
    u32::try_from(height).unwrap_or(HEIGHT)
}

#[cfg(test)]
mod tests;
