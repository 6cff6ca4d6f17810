//! `checkrein demo`: the main job on real parts, told in scenes.
//!
//! A private Postgres, a control plane and two enforcers run as processes of their own and speak mTLS; the agent's calls are
//! those of AgentDojo's banking suite, the policy is `deploy/packs/banking`.
//!
//! **Invariant**: every figure is counted or measured in this run. What did not come out as it should is a failure.

mod screen;
mod script;
mod stage;
mod story;
mod tally;

use std::path::PathBuf;

use thiserror::Error;

use crate::cli::Error as CommandError;
use crate::cli::output::Paint;
use crate::postgres::PostgresError;

pub use tally::Tally;

/// Why the demo did not end well.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The binary of the enforcer is not beside ours.
    #[error("`{0}` is missing: build both, as `make demo` does")]
    NoEnforcer(PathBuf),
    /// A part did not come up.
    #[error("{0} did not come up in time")]
    NotUp(&'static str),
    /// A command said no.
    #[error("`checkrein {command}` failed: {said}")]
    Command {
        /// What was typed.
        command: String,
        /// What it answered.
        said: String,
    },
    /// Something came out otherwise than it must.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What must be.
        expected: String,
        /// What was.
        found: String,
    },
    /// It took too long.
    #[error("waited too long for {0}")]
    TimedOut(&'static str),
    /// The private Postgres.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A call.
    #[error("a call was refused: {0}")]
    Refused(#[from] Box<tonic::Status>),
    /// A client.
    #[error(transparent)]
    Client(#[from] Box<CommandError>),
    /// Processes and files.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Plays all scenes. With `quiet`, nothing but the tally comes of it.
pub async fn run(quiet: bool, paint: Paint) -> Result<Tally, DemoError> {
    let screen = screen::Screen::new(quiet, paint);
    let hear = screen.clone();
    screen.title("Setting the stage");
    let stage = stage::Stage::set(move |sentence| hear.step(sentence)).await?;
    let mut story = story::Story::new(stage, screen);
    let told = story.tell().await;
    let (stage, tally) = story.end();
    stage.clear().await?;
    told.map(|()| tally)
}

impl From<tonic::Status> for DemoError {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Box::new(status))
    }
}
