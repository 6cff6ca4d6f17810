//! `checkrein-enforcer run`: one command as one action, for automation that can't ask for each of its calls.
//!
//! What it was permitted under is watched while it runs: once that ends, the command is told to, and then made to.
//!
//! **Invariant**: the command starts only after a permit, while somebody is listening for its end; how it ended is said whatever happens.

use std::io;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, bail};
use checkrein_enforcer::{Child, exit_code};
use checkrein_proto::decision::v1::{
    AuthorizeResponse, CompleteRequest, OutcomeResult, Verdict, WatchResponse,
};
use clap::Args;
use serde_json::json;
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tonic::Streaming;
use tracing::warn;

use crate::ask::{Beside, Gate};
use crate::memory::Memory;

/// As `sysexits.h` has it: it may not, nobody could be asked, and later perhaps.
const NOT_PERMITTED: u8 = 77;
const UNAVAILABLE: u8 = 69;
const HELD: u8 = 75;
/// A command that is told to end has so long for it.
const END_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    beside: Beside,
    /// What the catalog calls this command: `ops/backup`
    #[arg(long, value_name = "CATALOG/TOOL")]
    tool: String,
    /// The command, and what it is given
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// A command that runs, and who may end it.
struct Running {
    watch: Streaming<WatchResponse>,
    terminate: Signal,
    interrupt: Signal,
    child: Child,
}

/// How a command came to its end.
enum Ended {
    NotBegun(String),
    ByItself(ExitStatus),
    /// What it was permitted under had ended.
    Stopped(String),
    /// Somebody told us to end.
    Told(ExitStatus),
    /// It was begun, and nobody knows what became of it.
    Lost(String),
}

/// Asks, runs, says how it ended. Gives what to exit with.
pub(crate) fn run(run: &Run) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run.leased())
}

impl Run {
    async fn leased(&self) -> anyhow::Result<ExitCode> {
        let asked = self.ask().await;
        let (mut gate, answer) = match asked {
            Ok(asked) => asked,
            Err(error) => return Ok(not_run(UNAVAILABLE, &format!("nobody could be asked: {error:#}"))),
        };
        match answer.verdict() {
            Verdict::Permit => {}
            Verdict::Hold => {
                let who = answer.groups.join(", ");
                let words = format!(
                    "it waits for approval by {who}: {} (hold {}); run the same again to find the answer",
                    answer.reason, answer.hold_id
                );
                return Ok(not_run(HELD, &words));
            }
            Verdict::Deny | Verdict::Unspecified => {
                let words = format!("denied: {} (decision {})", answer.reason, answer.decision_id);
                return Ok(not_run(NOT_PERMITTED, &words));
            }
        }
        let decision = answer.decision_id;
        let ended = match self.begin(&mut gate, &decision).await {
            Ok(running) => running.end().await,
            Err(error) => Ended::NotBegun(format!("{error:#}")),
        };
        let (code, result, detail) = ended.told();
        let said = CompleteRequest {
            decision_id: decision,
            result: result.into(),
            detail,
            ..CompleteRequest::default()
        };
        if let Err(error) = gate.complete(said).await {
            // The enforcer says by itself that nobody knows.
            warn!("how the command ended could not be recorded: {error:#}");
        }
        match ended {
            Ended::NotBegun(words) => Ok(not_run(UNAVAILABLE, &words)),
            _ => Ok(ExitCode::from(code)),
        }
    }

    async fn ask(&self) -> anyhow::Result<(Gate, AuthorizeResponse)> {
        let directory = std::env::current_dir().context("can't tell in which directory this is")?;
        let [program, arguments @ ..] = self.command.as_slice() else {
            bail!("there is no command");
        };
        let arguments = json!({
            "program": program,
            "arguments": arguments,
            "line": self.command.join(" "),
            "directory": directory.to_str().context("the name of this directory is not UTF-8")?,
        })
        .to_string();
        let mut request = self.beside.request(&self.tool, &arguments).await?;
        let memory = Memory::open(self.beside.state.as_deref())?;
        let call = memory.call(&["run", &self.tool, &arguments])?;
        request.call_id.clone_from(&call.id);
        let mut gate = self.beside.gate().await?;
        let answer = gate.authorize(request).await?;
        if answer.verdict() != Verdict::Hold && !answer.hold_id.is_empty() {
            // People answered: the same once more is another run.
            memory.over(&call)?;
        }
        Ok((gate, answer))
    }

    /// Starts the command, once somebody listens for when it must end.
    async fn begin(&self, gate: &mut Gate, decision_id: &str) -> anyhow::Result<Running> {
        Ok(Running {
            watch: gate.watch(decision_id).await?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            child: start(&self.command)?,
        })
    }
}

impl Running {
    /// Waits for its end, while what it was permitted under lasts. All that it started ends with it.
    async fn end(mut self) -> Ended {
        tokio::select! {
            ended = self.child.wait() => Ended::by_itself(ended),
            why = stopped(&mut self.watch) => {
                warn!(why, "the command is told to end");
                // However that goes, nothing of it is left.
                let _status = self.child.end(END_MAX).await;
                Ended::Stopped(why)
            }
            _ = self.terminate.recv() => Ended::told_to(self.child.end(END_MAX).await),
            _ = self.interrupt.recv() => Ended::told_to(self.child.end(END_MAX).await),
        }
    }
}

impl Ended {
    fn by_itself(ended: io::Result<ExitStatus>) -> Self {
        ended.map_or_else(|error| Self::Lost(error.to_string()), Self::ByItself)
    }

    fn told_to(ended: io::Result<ExitStatus>) -> Self {
        ended.map_or_else(|error| Self::Lost(error.to_string()), Self::Told)
    }

    /// What to exit with, and what the record says. A failure is one only if it is certain that the command itself says so.
    fn told(&self) -> (u8, OutcomeResult, String) {
        match self {
            Self::NotBegun(why) => (
                UNAVAILABLE,
                OutcomeResult::Failed,
                format!("it was not started: {why}"),
            ),
            Self::ByItself(status) if status.success() => (0, OutcomeResult::Done, String::new()),
            Self::ByItself(status) => match status.code() {
                Some(code) => (
                    exit_code(*status),
                    OutcomeResult::Failed,
                    format!("it ended with {code}"),
                ),
                None => (
                    exit_code(*status),
                    OutcomeResult::Unknown,
                    "a signal ended it".to_owned(),
                ),
            },
            Self::Stopped(why) => (
                NOT_PERMITTED,
                OutcomeResult::Unknown,
                format!("it was ended: {why}"),
            ),
            Self::Told(status) => {
                let words = "whoever ran it had it end".to_owned();
                (exit_code(*status), OutcomeResult::Unknown, words)
            }
            Self::Lost(why) => (
                u8::MAX,
                OutcomeResult::Unknown,
                format!("it was started, and lost: {why}"),
            ),
        }
    }
}

/// Says on standard error what did not happen.
fn not_run(code: u8, words: &str) -> ExitCode {
    eprintln!("checkrein-enforcer: the command was not run: {words}");
    ExitCode::from(code)
}

/// Starts it, with our own standard input and output.
fn start(command: &[String]) -> anyhow::Result<Child> {
    let [program, arguments @ ..] = command else {
        bail!("there is no command");
    };
    let mut starting = Command::new(program);
    starting.args(arguments);
    Child::start(starting).with_context(|| format!("can't start `{program}`"))
}

/// Resolves when the command must end, and says why.
async fn stopped(watch: &mut Streaming<WatchResponse>) -> String {
    match watch.message().await {
        Ok(Some(told)) => told.reason,
        // What is under way is known to this enforcer alone: nobody would say when it must end.
        Ok(None) | Err(_) => "the enforcer went away, and nobody would say when the permit ends".to_owned(),
    }
}
