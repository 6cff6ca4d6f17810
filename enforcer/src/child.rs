//! A program that was started here, and all that it starts: one group, which ends whole.
//!
//! **Invariant**: it hears nothing of what we were told by variables, which may be a grant; and nothing that stayed in its group outlives
//! the [`Child`]. What leaves the group (`setsid`) leaves our reach.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tracing::warn;

/// Our own variables.
const OURS: &str = "CHECKREIN_";
/// What a shell adds to the number of the signal that ended a process.
const BY_SIGNAL: i32 = 128;

/// One that runs, or has ended.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    group: Option<Pid>,
}

impl Child {
    /// Starts it.
    pub fn start(mut command: Command) -> io::Result<Self> {
        command.process_group(0).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(OURS.as_bytes()) {
                command.env_remove(name);
            }
        }
        let process = command.spawn()?;
        let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { process, group })
    }

    /// Its standard input and output, if they are pipes that nobody took.
    pub fn pipes(&mut self) -> io::Result<(ChildStdin, ChildStdout)> {
        let pipes = self.process.stdin.take().zip(self.process.stdout.take());
        pipes.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Tells all of it to end, and ends it once it had so long for it.
    pub async fn end(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        self.tell(Signal::TERM);
        if let Ok(status) = timeout(patience, self.process.wait()).await {
            return status;
        }
        warn!("a program did not end by itself and is killed");
        self.tell(Signal::KILL);
        self.process.wait().await
    }

    fn tell(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails if there is nobody left to hear it.
            let _heard = kill_process_group(group, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // What it started may have outlived it.
        self.tell(Signal::KILL);
    }
}

/// What a program that ended so makes its caller exit with, as a shell has it.
pub fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| signal + BY_SIGNAL));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
