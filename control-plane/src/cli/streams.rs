//! Where a command's words go: the answer to one stream, everything else to another.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Something to write to.
pub type Sink = Arc<Mutex<dyn Write + Send>>;

/// The streams of one command.
#[derive(Clone)]
pub struct Streams {
    /// For the answer.
    pub answers: Sink,
    /// For what is said beside it.
    pub notes: Sink,
    /// Whether people read the answer.
    pub answers_are_read: bool,
    /// Whether people read the notes.
    pub notes_are_read: bool,
    /// Whether there is somebody to ask.
    pub can_ask: bool,
}

impl Streams {
    /// The process's own.
    pub fn standard() -> Self {
        let notes_are_read = io::stderr().is_terminal();
        Self {
            answers: Arc::new(Mutex::new(io::stdout())),
            notes: Arc::new(Mutex::new(io::stderr())),
            answers_are_read: io::stdout().is_terminal(),
            notes_are_read,
            can_ask: notes_are_read && io::stdin().is_terminal(),
        }
    }

    /// Writes all of a text, now.
    pub(super) fn write(sink: &Sink, text: &str) -> io::Result<()> {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.write_all(text.as_bytes())?;
        sink.flush()
    }

    /// Asks, and reads one line; `None` if there is nobody to ask.
    pub(super) fn ask(&self, question: &str) -> io::Result<Option<String>> {
        if !self.can_ask {
            return Ok(None);
        }
        Self::write(&self.notes, question)?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(Some(line))
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("can_ask", &self.can_ask)
            .finish_non_exhaustive()
    }
}
