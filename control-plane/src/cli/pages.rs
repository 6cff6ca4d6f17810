//! Lists come in pages; people ask for a number of rows.

use tonic::Status;

use super::Error;
use super::output::{Paint, Style};
use super::values::PAGE_ROWS_MAX;

/// Rows, and whether there are more than were asked for.
#[derive(Debug)]
pub(super) struct Rows<T> {
    /// At most as many as were asked for.
    pub rows: Vec<T>,
    /// There are others.
    pub more: bool,
}

impl<T> Rows<T> {
    /// Asks for page after page, each with its size and token, until there are `limit` rows or no more.
    pub(super) async fn collect(
        limit: u32,
        mut page: impl AsyncFnMut(u32, String) -> Result<(Vec<T>, String), Status>,
    ) -> Result<Self, Error> {
        let limit_rows = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        let mut token = String::new();
        loop {
            let missing = u32::try_from(limit_rows - rows.len()).unwrap_or(u32::MAX);
            let (found, next) = page(missing.min(PAGE_ROWS_MAX), token).await?;
            let stuck = found.is_empty();
            rows.extend(found);
            let more = !next.is_empty() || rows.len() > limit_rows;
            if next.is_empty() || stuck || rows.len() >= limit_rows {
                rows.truncate(limit_rows);
                return Ok(Self {
                    rows,
                    more: more && !stuck,
                });
            }
            token = next;
        }
    }

    /// A line that says so, if there are more.
    pub(super) fn more_line(&self, paint: Paint) -> String {
        if !self.more {
            return String::new();
        }
        let line = format!("the first {}; there are more: --limit", self.rows.len());
        format!("{}\n", paint.apply(Style::Dim, &line))
    }
}

#[cfg(test)]
mod tests;
