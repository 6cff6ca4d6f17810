//! The process of a server, over whose pipes MCP is spoken; what it writes on standard error is its own affair and goes where ours goes.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::McpError;
use super::wire::{Id, Line, Lines, Message};
use crate::child::{Child, exit_code};

/// After its standard input was closed it may take so long to end, and so long again after SIGTERM.
const END_MAX: Duration = Duration::from_secs(5);
const TERMINATED_MAX: Duration = Duration::from_secs(2);
/// So much that is no answer is passed over before one.
const LINES_MAX: usize = 1_000;

/// Starts it; gives its standard input and output.
pub(super) fn start(command: &[OsString]) -> Result<(Child, ChildStdin, ChildStdout), McpError> {
    started(command).map_err(|source| McpError::Start {
        command: command.first().cloned().unwrap_or_default(),
        source,
    })
}

pub(super) fn started(command: &[OsString]) -> io::Result<(Child, ChildStdin, ChildStdout)> {
    let [program, arguments @ ..] = command else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let mut child = Child::start(command)?;
    let (stdin, stdout) = child.pipes()?;
    Ok((child, stdin, stdout))
}

/// The line that answers this; none: it ended before, or says too much else.
pub(super) async fn answer(lines: &mut Lines<ChildStdout>, id: &Id) -> io::Result<Option<String>> {
    for _ in 0..LINES_MAX {
        let Some(line) = lines.next().await? else { break };
        if let Line::Text(line) = line
            && matches!(Message::parse(&line), Ok(Message::Response { id: of, .. }) if of == *id)
        {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

/// Waits for its end, its standard input being closed; helps, where it takes too long. Gives what we are to end with.
pub(super) async fn end(mut child: Child, stop: &CancellationToken) -> u8 {
    let by_itself = tokio::select! {
        ended = timeout(END_MAX, child.wait()) => ended.ok(),
        () = stop.cancelled() => None,
    };
    let status = match by_itself {
        Some(status) => status,
        None => child.end(TERMINATED_MAX).await,
    };
    status.map_or(u8::MAX, exit_code)
}
