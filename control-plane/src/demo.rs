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
mod typed;

use std::path::PathBuf;

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::beside::NoEnforcer;
use crate::cli::Error as CommandError;
use crate::cli::output::Paint;
use crate::postgres::PostgresError;

pub use tally::Tally;

/// Why the demo did not end well.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The binary of the enforcer is not beside ours.
    #[error("build both, as `make demo` does")]
    NoEnforcer(#[from] NoEnforcer),
    /// A part did not come up.
    #[error("{name} did not come up: {why}\n{log}")]
    NotUp {
        /// Which.
        name: &'static str,
        /// What became of it.
        why: String,
        /// The last of its log.
        log: String,
    },
    /// Somebody stopped us.
    #[error("stopped by a signal; everything that was started has ended")]
    Stopped,
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

/// What may tell us to stop.
#[derive(Debug)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// How it is played.
#[derive(Debug, Clone)]
pub struct Options {
    /// The scenes are shown on standard error, and standard output is left to whoever prints the tally.
    pub aside: bool,
    /// Colours of the scenes.
    pub paint: Paint,
    /// After the scenes, actions wait for whoever opens the console, until a signal comes or what is typed ends.
    pub stays: bool,
    /// Where Node and the SDK of MCP are, if they are.
    pub tools: Option<PathBuf>,
}

/// Plays all scenes; the tally says whether nothing was lost.
pub async fn run(options: Options) -> Result<Tally, DemoError> {
    let Options {
        aside,
        paint,
        stays,
        tools,
    } = options;
    let programs = tools.and_then(|tools| stage::Programs::find(&tools));
    let screen = screen::Screen::new(aside, paint);
    let hear = screen.clone();
    // Heard from the first moment on: a signal that ended us at once would leave keys and processes behind.
    let mut signals = Signals::listen()?;
    screen.title("Setting the stage");
    let stage = tokio::select! {
        set = stage::Stage::set(move |sentence| hear.step(sentence)) => set?,
        () = signals.any() => return Err(DemoError::Stopped),
    };
    let mut story = story::Story::new(stage, screen.clone());
    let told = tokio::select! {
        told = story.tell(programs.as_ref()) => told,
        () = signals.any() => Err(DemoError::Stopped),
    };
    // What is answered from here on is not in it: nobody waits until that is stored.
    let tally = story.tally();
    let ended = match told {
        Ok(()) if stays => tokio::select! {
            stayed = story.stay() => stayed,
            () = signals.any() => Ok(()),
        },
        Ok(()) => {
            screen.step("`checkrein demo --stay` goes on from here: it has you answer, in a browser");
            Ok(())
        }
        told => told,
    };
    story.end().clear().await?;
    ended.map(|()| tally)
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

impl From<tonic::Status> for DemoError {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Box::new(status))
    }
}
