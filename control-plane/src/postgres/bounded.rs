//! Runs other people's programs for a bounded time.
//!
//! **Invariant**: a call returns within its limit, and what it started has then ended.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::{PostgresError, io_error};

/// Of what a program said, at most this much is passed on.
const OUTPUT_BYTES_MAX: u64 = 2_000;

const POLL: Duration = Duration::from_millis(10);

/// Runs a program to its end and returns what it said on standard output and error, or fails.
pub(super) fn run(command: &mut Command, limit: Duration) -> Result<String, PostgresError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let starting = || io_error("start", Path::new(&program));
    // A file and not a pipe: nobody has to read while the program writes.
    let output = tempfile::tempfile().map_err(starting())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(starting())?)
        .stderr(output.try_clone().map_err(starting())?)
        .process_group(0)
        .spawn()
        .map_err(starting())?;
    let Some(status) = wait(&mut child, limit) else {
        kill(&mut child);
        return Err(PostgresError::TimedOut { program, limit });
    };
    let said = tail(output).map_err(io_error("read the output of", Path::new(&program)))?;
    if status.success() {
        Ok(said)
    } else {
        Err(PostgresError::Failed {
            program,
            output: said,
        })
    }
}

/// Waits until a child has ended, but no longer than this.
pub(super) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    poll(limit, || child.try_wait().ok().flatten())
}

/// Asks again and again until there is an answer, but no longer than this.
pub(super) fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if waited >= limit {
            return None;
        }
        thread::sleep(POLL);
        waited += POLL;
    }
}

/// The last of a file, as text.
pub(super) fn tail(mut file: File) -> std::io::Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(OUTPUT_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Ends a child that leads its own process group, with all it started, at once.
pub(super) fn kill(child: &mut Child) {
    if let Some(group) = pid(child) {
        // Gone already is what we want.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// A child's process id.
pub(super) fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}
