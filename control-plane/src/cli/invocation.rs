//! One typed command: where its output goes, what time it is, and which control plane it means.

use std::io;
use std::path::PathBuf;

use checkrein_shared::{Clock, SharedClock};
use serde::Serialize;
use serde_json::json;

use super::Error;
use super::client::{ClientConfig, idempotency_key};
use super::output::{Paint, Style, visible_lines};
use super::streams::Streams;
use crate::cli::client::Connection;

/// What every verb needs to know of how it was called.
#[derive(Debug, Clone)]
pub struct Invocation {
    config: Option<PathBuf>,
    token_file: Option<PathBuf>,
    json: bool,
    paint: Paint,
    paint_notes: Paint,
    clock: SharedClock,
    streams: Streams,
}

impl Invocation {
    /// As the global options say; colours only where people read.
    pub fn new(
        config: Option<PathBuf>,
        json: bool,
        color: bool,
        clock: SharedClock,
        streams: Streams,
    ) -> Self {
        Self {
            config,
            token_file: None,
            json,
            paint: Paint::new(color && streams.answers_are_read),
            paint_notes: Paint::new(color && streams.notes_are_read),
            clock,
            streams,
        }
    }

    /// Calls as whom this token names, if there is one.
    #[must_use]
    pub fn with_token(mut self, token_file: Option<PathBuf>) -> Self {
        self.token_file = token_file;
        self
    }

    /// Whether a script reads the answer.
    pub const fn json(&self) -> bool {
        self.json
    }

    /// Colours for standard output.
    pub const fn paint(&self) -> Paint {
        self.paint
    }

    /// Colours for standard error.
    pub const fn paint_notes(&self) -> Paint {
        self.paint_notes
    }

    /// What time it is.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.clock.wall_ms()
    }

    /// A key for one mutation.
    pub fn idempotency_key(&self) -> String {
        idempotency_key(&*self.clock)
    }

    /// The client config.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let path = match &self.config {
            Some(path) => path.clone(),
            None => ClientConfig::default_path()?,
        };
        Ok(ClientConfig::load(&path, self.token_file.as_deref())?)
    }

    /// A channel to the control plane.
    pub async fn connect(&self) -> Result<Connection, Error> {
        self.client_config()?.connect().await
    }

    /// Prints the answer: the document for scripts, the text for people.
    pub fn answer(&self, document: &impl Serialize, text: impl FnOnce(Paint) -> String) -> Result<(), Error> {
        if self.json {
            let document = serde_json::to_string_pretty(document).map_err(io::Error::from)?;
            self.print(&format!("{document}\n"))
        } else {
            self.print(&text(self.paint))
        }
    }

    /// Prints text that ends in a new line.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        Ok(Streams::write(&self.streams.answers, text)?)
    }

    /// Says something beside the answer. If nobody listens, that is no reason to stop.
    pub fn note(&self, text: &str) {
        let _ = Streams::write(&self.streams.notes, &format!("{text}\n"));
    }

    /// Asks a person; `None` if there is no person to ask.
    pub fn confirm(&self, question: &str) -> Result<Option<bool>, Error> {
        let question = self.paint_notes.apply(Style::Strong, question);
        let answer = self.streams.ask(&format!("{question} [y/N] "))?;
        let is_yes = |answer: String| matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
        Ok(answer.map(is_yes))
    }

    /// Says why a command failed.
    pub fn report(&self, error: &Error) {
        if self.json {
            let document = json!({"error": {
                "code": error.code(),
                "message": error.chain().join(": "),
                "next": error.next_step(),
            }});
            return self.note(&document.to_string());
        }
        let chain = error.chain();
        let paint = self.paint_notes;
        for (at, message) in chain.iter().enumerate() {
            let label = if at == 0 {
                paint.apply(Style::Bad, "error:")
            } else {
                paint.apply(Style::Dim, "because:")
            };
            self.note(&format!("{label} {}", visible_lines(message.trim_end())));
        }
        if let Some(next) = error.next_step() {
            self.note(&format!("{} {next}", paint.apply(Style::Strong, "next:")));
        }
    }
}
