//! One of several servers that are started for a client: it is started again when it has ended.
//!
//! **Invariant**: what was said to a server in one life is said to it in no other. A server that keeps ending is not started more often
//! than a [`Pause`] allows.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::pause::Pause;
use super::super::several::{GATHER_MAX, Several};
use super::super::wire::{Id, Lines, revision, write_line};
use super::super::{LAST_CALLS_MAX, LAST_LINES_MAX, McpError, Session, answers, server, tag};
use crate::child::Child;

/// A server, through all of its lives.
pub(super) struct Kept {
    pub(super) at: usize,
    pub(super) command: Vec<OsString>,
    pub(super) several: Arc<Several>,
    pub(super) session: Arc<Session>,
    /// What is said to it.
    pub(super) lines: mpsc::Receiver<String>,
    /// It is to end, and not to begin again.
    pub(super) closing: CancellationToken,
    /// At once.
    pub(super) stop: CancellationToken,
}

/// One of its lives.
pub(super) struct Life {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<ChildStdout>,
}

/// Why it has not begun again.
#[derive(Debug, Error)]
enum NotBegun {
    #[error(transparent)]
    Start(#[from] McpError),
    #[error("it ended, or does not answer `initialize` in time")]
    Silent,
    #[error("it can't be spoken to")]
    Pipes(#[from] io::Error),
    #[error("it answers `initialize` with an error, or without a revision")]
    Refuses,
    #[error("it speaks `{0}`, which is older than what its client was told")]
    Older(String),
}

impl Life {
    pub(super) fn begin(command: &[OsString]) -> Result<Self, McpError> {
        let (child, stdin, stdout) = server::start(command)?;
        Ok(Self {
            child,
            stdin,
            lines: Lines::new(stdout),
        })
    }

    /// Says to it what its client said when it began; gives the revision that it answers with, which is for us alone.
    async fn greet(&mut self, greeting: &str) -> Result<String, NotBegun> {
        let own = Id::Text(tag());
        write_line(&mut self.stdin, answers::request(&own, "initialize", greeting)).await?;
        let answer = server::answer(&mut self.lines, &own).await?;
        let revision = revision(&answer.ok_or(NotBegun::Silent)?).ok_or(NotBegun::Refuses)?;
        write_line(&mut self.stdin, answers::READY.to_owned()).await?;
        Ok(revision)
    }
}

impl Kept {
    /// Sees to it that it lives, until it is to end.
    pub(super) async fn keep(mut self, mut life: Life) {
        let mut pause = Pause::default();
        let closing = self.closing.clone();
        loop {
            let begun = Instant::now();
            self.live(life).await;
            let mut lived = begun.elapsed();
            life = loop {
                let alone = pause.after(lived);
                let again = closing.run_until_cancelled(self.begin_after(alone)).await;
                match again {
                    None => return,
                    Some(Ok(life)) => break life,
                    Some(Err(error)) => {
                        let error = &error as &dyn std::error::Error;
                        warn!(
                            server = self.several.name(self.at),
                            error, "a server does not begin again"
                        );
                    }
                }
                lived = Duration::ZERO;
            };
            info!(server = self.several.name(self.at), "a server was started again");
        }
    }

    /// Speaks with it until it ends, or is to end.
    async fn live(&mut self, life: Life) {
        let Life {
            mut child,
            stdin,
            lines,
        } = life;
        let last = CancellationToken::new();
        {
            let hears = self.session.hear_lines(lines);
            let writes = write(&mut self.lines, stdin, &last);
            tokio::pin!(hears, writes);
            tokio::select! {
                () = &mut hears => {}
                () = &mut writes => {}
                _ = child.wait() => {
                    if timeout(LAST_LINES_MAX, &mut hears).await.is_err() {
                        debug!("a server's output is still open after its end");
                    }
                }
                () = self.closing.cancelled() => {
                    last.cancel();
                    let patience = LAST_CALLS_MAX + LAST_LINES_MAX;
                    let ends = server::end(child, &self.stop);
                    let last = (timeout(patience, writes), timeout(patience, hears));
                    // What is left of it is killed.
                    let _ended = tokio::join!(ends, last.0, last.1);
                    return self.session.lose_server().await;
                }
            }
        }
        self.several.lose(self.at).await;
        tokio::select! {
            _ = server::end(child, &self.closing) => {}
            () = dropped(&mut self.lines) => {}
        }
    }

    /// Starts it again when it was left alone for so long.
    async fn begin_after(&mut self, alone: Duration) -> Result<Life, NotBegun> {
        let Self {
            at,
            command,
            several,
            lines,
            ..
        } = self;
        let begins = async {
            sleep(alone).await;
            let mut life = Life::begin(command)?;
            let mut is_greeted = false;
            while let Some(greeting) = several.regain(*at, is_greeted) {
                let greeted = timeout(GATHER_MAX, life.greet(&greeting)).await;
                let revision = greeted.map_err(|_| NotBegun::Silent)??;
                if !several.is_as_new(&revision) {
                    return Err(NotBegun::Older(revision));
                }
                is_greeted = true;
            }
            Ok::<Life, NotBegun>(life)
        };
        let life = tokio::select! {
            life = begins => life?,
            () = dropped(lines) => return Err(NotBegun::Silent),
        };
        several.tell_changed().await;
        Ok(life)
    }
}

/// Writes what is said to a server, until that was all; what it does not read any more is dropped.
async fn write(lines: &mut mpsc::Receiver<String>, stdin: ChildStdin, last: &CancellationToken) {
    let mut stdin = Some(stdin);
    loop {
        let line = tokio::select! {
            biased;
            line = lines.recv() => line,
            () = last.cancelled() => None,
        };
        let Some(line) = line else { return };
        if let Some(open) = &mut stdin
            && let Err(error) = write_line(open, line).await
        {
            debug!(%error, "a server does not read any more");
            stdin = None;
        }
    }
}

/// What is said to a server that is away is said to nobody. Ends when nobody can say anything any more.
async fn dropped(lines: &mut mpsc::Receiver<String>) {
    while lines.recv().await.is_some() {}
}
