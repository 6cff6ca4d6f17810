//! A timeline, drawn: a line for each who did something, and on it what they did, from the beginning of the task to its last event.
//!
//! **Invariant**: it is a picture of the table beside it, and says so; no more lines and no more marks than a screen has room for.

use askama::Template;

use crate::cli::ToldEvent;
use crate::words::visible;

/// So many have a line of their own; of others there is only the table.
const LINES_MAX: usize = 8;
/// So many marks are drawn, the last.
const MARKS_MAX: usize = 400;
/// How far the marks reach, in the drawing's own units.
const WIDTH: u64 = 700;
/// How high a line is.
const LINE_HEIGHT: usize = 34;

/// The drawing.
#[derive(Debug, Template)]
#[template(path = "strip.html")]
pub(super) struct Strip {
    says: String,
    lines: Vec<Line>,
    height: usize,
    last: String,
}

#[derive(Debug)]
struct Line {
    who: String,
    y: usize,
    marks: Vec<Mark>,
}

#[derive(Debug)]
struct Mark {
    x: u64,
    class: &'static str,
    said: String,
}

impl Strip {
    /// None: there is nothing to draw.
    pub(super) fn of(events: &[ToldEvent]) -> Option<Self> {
        let drawn = &events[events.len().saturating_sub(MARKS_MAX)..];
        let (first, last) = (drawn.first()?, drawn.last()?);
        let from_ms = drawn.iter().map(|event| event.at_ms).min()?;
        let to_ms = drawn.iter().map(|event| event.at_ms).max()?;
        let mut lines: Vec<Line> = Vec::new();
        for event in drawn {
            let at = lines.iter().position(|line| line.who == visible(&event.who));
            let at = match at {
                Some(at) => at,
                None if lines.len() < LINES_MAX => {
                    lines.push(Line {
                        who: visible(&event.who),
                        y: LINE_HEIGHT * (lines.len() + 1),
                        marks: Vec::new(),
                    });
                    lines.len() - 1
                }
                None => continue,
            };
            lines[at].marks.push(Mark::of(event, from_ms, to_ms));
        }
        Some(Self {
            says: format!(
                "{} events of {} who did something, from {} to {} after the start.",
                drawn.len(),
                lines.len(),
                first.after,
                last.after
            ),
            height: LINE_HEIGHT * (lines.len() + 1),
            lines,
            last: last.after.clone(),
        })
    }
}

impl Mark {
    fn of(event: &ToldEvent, from_ms: u64, to_ms: u64) -> Self {
        let whole = u128::from((to_ms - from_ms).max(1));
        let x = u128::from(event.at_ms - from_ms) * u128::from(WIDTH) / whole;
        Self {
            x: u64::try_from(x).unwrap_or(WIDTH),
            class: match event.verdict {
                "permit" | "approved" => "good",
                "hold" => "wait",
                "deny" | "denied" => "bad",
                _ => "soft",
            },
            said: visible(&format!("{} {} {}", event.after, event.what, event.verdict)),
        }
    }
}

#[cfg(test)]
mod tests;
