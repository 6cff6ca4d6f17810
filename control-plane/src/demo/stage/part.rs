//! A part of the stage: a process of ours, what it says when it is ready, and what it said if it never is.
//!
//! `setpriv` has the kernel kill it when the thread that started it ends, so that not even a killed demo leaves it behind.
//! That thread is the program's first: nothing here is started from a task of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::beside::ending_with_us;
use crate::demo::DemoError;

/// How long any one part may take to come up.
pub(super) const START_MAX: Duration = Duration::from_secs(30);
/// So much of a log is quoted.
const TAIL_BYTES_MAX: u64 = 2_000;

/// A process that ends with the demo.
#[derive(Debug)]
pub(super) struct Part {
    /// What it says when it is ready.
    pub(super) ready: Value,
    process: Child,
    /// Kept, so that it may go on writing.
    _output: BufReader<ChildStdout>,
}

impl Part {
    /// Starts one, and returns when it has said that it is ready: one line of JSON.
    pub(super) async fn start<S: AsRef<OsStr>>(
        name: &'static str,
        binary: &Path,
        arguments: &[S],
        environment: &[(&str, &str)],
        log: PathBuf,
    ) -> Result<Self, DemoError> {
        let mut process = ending_with_us(binary, "KILL")
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log)?)
            // A terminal's Ctrl-C is for us: we end everything, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let not_up = |why: String| DemoError::NotUp {
            name,
            why,
            log: tail(&log),
        };
        let output = process.stdout.take();
        let mut output = BufReader::new(output.ok_or_else(|| not_up("it has no output".to_owned()))?);
        let mut line = String::new();
        match timeout(START_MAX, output.read_line(&mut line)).await {
            Err(_) => {
                return Err(not_up(format!(
                    "it was not ready within {} s",
                    START_MAX.as_secs()
                )));
            }
            Ok(Err(error)) => return Err(error.into()),
            // It closed its output: it has ended, or is about to.
            Ok(Ok(0)) => return Err(not_up(format!("it ended with {}", process.wait().await?))),
            Ok(Ok(_)) => {}
        }
        let ready = serde_json::from_str(&line).map_err(|_| not_up(format!("it said `{}`", line.trim())))?;
        Ok(Self {
            ready,
            process,
            _output: output,
        })
    }

    /// Kills it as a power cut would: no goodbye.
    pub(super) async fn kill(&mut self) -> std::io::Result<()> {
        self.process.kill().await
    }
}

/// The last of a log, as far as it can be read.
fn tail(log: &Path) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests;
