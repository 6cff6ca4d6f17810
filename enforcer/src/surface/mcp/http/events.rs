//! Server-sent events, as far as MCP uses them: each carries one message.
//!
//! **Invariant**: no event is longer than a line may be; one that is ends the stream, which says so.

use bytes::Bytes;
use thiserror::Error;

use super::super::wire::LINE_BYTES_MAX;

/// What has come of a stream, up to an event that is not whole yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    buffer: Vec<u8>,
    /// So much of the buffer holds no end of a line.
    searched: usize,
    data: Option<Vec<u8>>,
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
            } else if let Some(value) = line.strip_prefix(b"data:") {
                let value = value.strip_prefix(b" ").unwrap_or(value);
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

    fn end_of_line(&self, start: usize) -> Option<usize> {
        let from = self.searched.max(start);
        let found = self.buffer[from..].iter().position(|byte| *byte == b'\n');
        found.map(|at| from + at)
    }
}

/// An event with this message: a line, and so without an end of line in it.
pub(super) fn event(line: &str) -> Bytes {
    Bytes::from(format!("event: message\ndata: {line}\n\n"))
}

/// What says only that the stream is still there.
pub(super) const KEEPALIVE: Bytes = Bytes::from_static(b":\n\n");

#[cfg(test)]
mod tests;
