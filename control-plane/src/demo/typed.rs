//! What is typed while the demo stays: each line is a wish, and the end of the input an end.

use std::io::{ErrorKind, Read};
use std::thread;

use tokio::sync::mpsc;

/// Lines that nobody has looked at yet; who types more waits.
const LINES_WAITING_MAX: usize = 1;
/// So much is read at once. What a line says does not matter, so no line is ever kept.
const READ_BYTES: usize = 256;

/// The lines of an input, as they come.
#[derive(Debug)]
pub(super) struct Lines(mpsc::Receiver<()>);

impl Lines {
    /// Those of standard input.
    pub(super) fn of_standard_input() -> std::io::Result<Self> {
        Self::of(std::io::stdin())
    }

    /// Reads in a thread that nobody waits for: a read of a terminal can't be taken back, and must not keep us from ending.
    pub(super) fn of(mut input: impl Read + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(LINES_WAITING_MAX);
        let read = move || {
            let mut bytes = [0; READ_BYTES];
            loop {
                let is_line = match input.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(length) => bytes[..length].contains(&b'\n'),
                    Err(error) if error.kind() == ErrorKind::Interrupted => false,
                    Err(_) => return,
                };
                if is_line && sender.blocking_send(()).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("typed".to_owned()).spawn(read)?;
        Ok(Self(receiver))
    }

    /// The next one; none: the input has ended.
    pub(super) async fn next(&mut self) -> Option<()> {
        self.0.recv().await
    }
}

#[cfg(test)]
mod tests;
