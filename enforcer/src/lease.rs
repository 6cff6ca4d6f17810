//! `checkrein-enforcer run`: one command as one action, for automation that can't ask for each of its calls.
//!
//! What it was permitted under is watched while it runs: once that ends, the command is told to, and then made to.
//!
//! **Invariant**: the command starts only after a permit, while somebody is listening for its end; how it ended is said whatever happens.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, bail};
use checkrein_proto::decision::v1::{
    AuthorizeResponse, CompleteRequest, OutcomeResult, Verdict, WatchResponse,
};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tonic::Streaming;
use tracing::{info, warn};

use crate::ask::{Beside, Gate};
use crate::memory::Memory;

/// As `sysexits.h` has it: it may not, nobody could be asked, and later perhaps.
const NOT_PERMITTED: u8 = 77;
const UNAVAILABLE: u8 = 69;
const HELD: u8 = 75;
/// A command that is told to end has so long for it.
const END_MAX: Duration = Duration::from_secs(10);
/// What a shell adds to the number of the signal that ended a process.
const BY_SIGNAL: i32 = 128;
/// Our own variables, which may hold a grant.
const OURS: &str = "CHECKREIN_";

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

/// How a command came to its end.
enum Ended {
    ByItself(ExitStatus),
    /// What it was permitted under had ended.
    Stopped(String),
    /// Somebody told us to end.
    Told(ExitStatus),
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
        let ended = self.watched(&mut gate, &answer.decision_id).await;
        let (code, result, detail) = match &ended {
            Ok(ended) => ended.told(),
            Err(error) => (
                UNAVAILABLE,
                OutcomeResult::Failed,
                format!("it was not started: {error:#}"),
            ),
        };
        let said = CompleteRequest {
            decision_id: answer.decision_id,
            result: result.into(),
            detail,
            ..CompleteRequest::default()
        };
        if let Err(error) = gate.complete(said).await {
            // The enforcer says by itself that nobody knows.
            warn!("how the command ended could not be recorded: {error:#}");
        }
        match ended {
            Ok(_) => Ok(ExitCode::from(code)),
            Err(error) => Ok(not_run(UNAVAILABLE, &format!("{error:#}"))),
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

    /// Runs the command while what it was permitted under lasts.
    async fn watched(&self, gate: &mut Gate, decision_id: &str) -> anyhow::Result<Ended> {
        let mut watch = gate.watch(decision_id).await?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut child = start(&self.command)?;
        Ok(tokio::select! {
            ended = child.wait() => Ended::ByItself(ended?),
            why = stopped(&mut watch) => {
                warn!(why, "the command is told to end");
                end(child).await?;
                Ended::Stopped(why)
            }
            _ = terminate.recv() => Ended::Told(end(child).await?),
            _ = interrupt.recv() => Ended::Told(end(child).await?),
        })
    }
}

impl Ended {
    fn told(&self) -> (u8, OutcomeResult, String) {
        match self {
            Self::ByItself(status) if status.success() => (0, OutcomeResult::Done, String::new()),
            Self::ByItself(status) => match status.code() {
                Some(code) => (
                    exit(*status),
                    OutcomeResult::Failed,
                    format!("it ended with {code}"),
                ),
                None => (
                    exit(*status),
                    OutcomeResult::Unknown,
                    "a signal ended it".to_owned(),
                ),
            },
            Self::Stopped(why) => (
                NOT_PERMITTED,
                OutcomeResult::Unknown,
                format!("it was ended: {why}"),
            ),
            Self::Told(status) => (
                exit(*status),
                OutcomeResult::Unknown,
                "whoever ran it had it end".to_owned(),
            ),
        }
    }
}

/// Says on standard error what did not happen.
fn not_run(code: u8, words: &str) -> ExitCode {
    eprintln!("checkrein-enforcer: the command was not run: {words}");
    ExitCode::from(code)
}

/// Starts it in a process group of its own, so that all of it can be ended; it hears nothing of what we were told by variables.
fn start(command: &[String]) -> anyhow::Result<Child> {
    let [program, arguments @ ..] = command else {
        bail!("there is no command");
    };
    let mut starting = Command::new(program);
    starting.args(arguments).process_group(0).kill_on_drop(true);
    for name in ours() {
        starting.env_remove(name);
    }
    starting
        .spawn()
        .with_context(|| format!("can't start `{program}`"))
}

fn ours() -> impl Iterator<Item = OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.as_encoded_bytes().starts_with(OURS.as_bytes()))
}

/// Resolves when the command must end, and says why.
async fn stopped(watch: &mut Streaming<WatchResponse>) -> String {
    match watch.message().await {
        Ok(Some(told)) => told.reason,
        // What is under way is known to this enforcer alone: nobody would say when it must end.
        Ok(None) | Err(_) => "the enforcer went away, and nobody would say when the permit ends".to_owned(),
    }
}

/// Tells all of it to end, waits, and ends it.
async fn end(mut child: Child) -> anyhow::Result<ExitStatus> {
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let tell = |signal| {
        if let Some(group) = group {
            // It fails if there is nobody left to hear it.
            let _heard = kill_process_group(group, signal);
        }
    };
    tell(Signal::TERM);
    let status = if let Ok(status) = timeout(END_MAX, child.wait()).await {
        status
    } else {
        info!("the command did not end by itself and is killed");
        tell(Signal::KILL);
        child.wait().await
    };
    // What it started may have outlived it.
    tell(Signal::KILL);
    Ok(status?)
}

fn exit(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| signal + BY_SIGNAL));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
