//! Server-sent events, as far as MCP uses them: each carries one message.
//!
//! **Invariant**: no event is longer than a line may be; one that is ends the stream, which says so. Where a stream can be taken up again is
//! known of whole events alone.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use thiserror::Error;

use super::super::wire::LINE_BYTES_MAX;

/// A stream that broke off is taken up again after this, unless its server says when, and after this at the latest.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// What has come of a stream, up to an event that is not whole yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    buffer: Vec<u8>,
    /// So much of the buffer holds no end of a line.
    searched: usize,
    data: Option<Vec<u8>>,
    /// Of the event that is not whole yet.
    id: Option<HeaderValue>,
    /// Of the last that was.
    last: Option<HeaderValue>,
    retry: Option<Duration>,
}

/// A stream that is not read on.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("an event has more than {LINE_BYTES_MAX} bytes")]
pub(super) struct TooLong;

impl Events {
    /// Takes what came; gives the data of each event that is whole by now.
    pub(super) fn take(&mut self, came: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        self.buffer.extend_from_slice(came);
        let mut whole = Vec::new();
        let mut start = 0;
        while let Some(end) = self.end_of_line(start) {
            let line = &self.buffer[start..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                whole.extend(self.data.take());
                self.last = self.id.take().or_else(|| self.last.take());
            } else if let Some(id) = field(line, b"id:") {
                self.id = HeaderValue::from_bytes(id).ok();
            } else if let Some(ms) = field(line, b"retry:") {
                let ms = str::from_utf8(ms).ok().and_then(|ms| ms.parse().ok());
                self.retry = ms.map(Duration::from_millis).or(self.retry);
            } else if let Some(value) = field(line, b"data:") {
                match &mut self.data {
                    Some(data) => {
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                    None => self.data = Some(value.to_vec()),
                }
            }
            start = end + 1;
            self.searched = start;
        }
        self.buffer.drain(..start);
        self.searched = self.buffer.len();
        let held = self.buffer.len() + self.data.as_ref().map_or(0, Vec::len);
        if held > LINE_BYTES_MAX {
            Err(TooLong)
        } else {
            Ok(whole)
        }
    }

    /// After which event a stream that broke off can be taken up again; none: it can't be.
    pub(super) fn last(&self) -> Option<&HeaderValue> {
        self.last.as_ref()
    }

    /// How long to wait before that.
    pub(super) fn retry(&self) -> Duration {
        self.retry.unwrap_or(RETRY).min(RETRY_MAX)
    }

    /// It is taken up again: what was not whole comes once more.
    pub(super) fn resume(&mut self) {
        *self = Self {
            last: self.last.take(),
            retry: self.retry,
            ..Self::default()
        };
    }

    fn end_of_line(&self, start: usize) -> Option<usize> {
        let from = self.searched.max(start);
        let found = self.buffer[from..].iter().position(|byte| *byte == b'\n');
        found.map(|at| from + at)
    }
}

/// What a line says under this name.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// An event with this message: a line, and so without an end of line in it.
pub(super) fn event(line: &str) -> Bytes {
    Bytes::from(format!("event: message\ndata: {line}\n\n"))
}

/// What says only that the stream is still there.
pub(super) const KEEPALIVE: Bytes = Bytes::from_static(b":\n\n");

#[cfg(test)]
mod tests;
