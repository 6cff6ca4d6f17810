//! The server's process: started, fed, ended.
//!
//! **Invariant**: nothing of it is left running. It has a process group of its own, which is ended whole; what it writes on standard
//! error is its own affair and goes where ours goes; of what we were told by variables it hears nothing.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// After its standard input was closed it may take so long to end, and so long again after SIGTERM.
const END_MAX: Duration = Duration::from_secs(5);
const TERMINATED_MAX: Duration = Duration::from_secs(2);
/// Our own variables, which may hold a grant.
const OURS: &str = "CHECKREIN_";
/// What a shell adds to the number of the signal that ended a process.
const BY_SIGNAL: u8 = 128;

/// Starts it, with pipes for its standard input and output.
pub(super) fn start(command: &[OsString]) -> io::Result<Child> {
    let [program, arguments @ ..] = command else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .process_group(0)
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(OURS.as_bytes()) {
            command.env_remove(name);
        }
    }
    command.spawn()
}

/// Waits for its end, its standard input being closed; helps, where it takes too long. Gives what we are to end with.
pub(super) async fn end(mut child: Child, stop: &CancellationToken) -> u8 {
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let by_itself = tokio::select! {
        ended = timeout(END_MAX, child.wait()) => ended.ok(),
        () = stop.cancelled() => None,
    };
    let status = if let Some(status) = by_itself {
        status
    } else {
        signal(group, Signal::TERM);
        if let Ok(status) = timeout(TERMINATED_MAX, child.wait()).await {
            status
        } else {
            warn!("the server did not end by itself and is killed");
            signal(group, Signal::KILL);
            child.wait().await
        }
    };
    // What it started may have outlived it.
    signal(group, Signal::KILL);
    status.map_or(u8::MAX, code)
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It fails if there is nobody left to hear it.
        let _heard = kill_process_group(group, signal);
    }
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or(status.signal().map(|signal| signal + i32::from(BY_SIGNAL)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
