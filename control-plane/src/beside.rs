//! An enforcer that runs beside a control plane, as a process of its own: for whoever asks and has none.
//!
//! It is an enforcer like any other: what the control plane knows of it, it knows by the session that every enforcer has. So whoever asks
//! here is answered by the same gate.
//!
//! **Invariant**: while it is wanted it is started again whenever it ends, after a pause that grows and has a bound; it ends with whoever
//! started it, whatever ends that.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// After it ended, it is started again this much later,
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// twice as late each time, and never later than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Once it ran for so long, its ends are counted anew.
const STEADY: Duration = Duration::from_mins(1);
/// It may finish what is under way for so long.
const STOP_MAX: Duration = Duration::from_secs(10);

/// An enforcer that is to run.
#[derive(Debug)]
pub(crate) struct Beside {
    binary: PathBuf,
    config: PathBuf,
}

/// There is nothing to run.
#[derive(Debug, Error)]
pub enum NoEnforcer {
    /// The binary is not where ours is.
    #[error("`{}` is missing; install it beside this program: `cargo install --locked --path enforcer`", .0.display())]
    Binary(PathBuf),
    /// Nobody made its configuration.
    #[error("can't read `{}`; `checkrein fleet add` writes one", path.display())]
    Config {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Beside {
    /// The one whose configuration this is, by the binary that was installed with ours.
    pub(crate) fn of(config: PathBuf) -> Result<Self, NoEnforcer> {
        let unreadable = |source| NoEnforcer::Config {
            path: config.clone(),
            source,
        };
        std::fs::File::open(&config).map_err(unreadable)?;
        let binary = installed()?;
        Ok(Self { binary, config })
    }

    /// Keeps it running until it is no longer wanted. From the program's first thread: it ends with the thread that started it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pause = PAUSE_FIRST;
        while !stop.is_cancelled() {
            let since = Instant::now();
            match self.start() {
                Ok(child) => wait(child, &stop).await,
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "the enforcer beside can't be started"
                ),
            }
            if since.elapsed() >= STEADY {
                pause = PAUSE_FIRST;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        let config: &[&OsStr] = &["serve".as_ref(), "--config".as_ref(), self.config.as_ref()];
        let mut command = ending_with_us(&self.binary, "TERM");
        command
            .args(config)
            .stdin(Stdio::null())
            // Our own output is read by whoever started us.
            .stdout(std::io::stderr())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// Until it ends, or has been ended.
async fn wait(mut child: Child, stop: &CancellationToken) {
    let ended = tokio::select! {
        ended = child.wait() => Some(ended),
        () = stop.cancelled() => None,
    };
    if let Some(ended) = ended {
        let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        warn!(how, "the enforcer beside ended, and is started again");
        return;
    }
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // It may have gone by itself.
        let _gone = kill_process(pid, Signal::TERM);
    }
    if timeout(STOP_MAX, child.wait()).await.is_ok() {
        info!("the enforcer beside has stopped");
    } else {
        warn!("the enforcer beside did not stop in time and is killed");
    }
}

/// The enforcer's binary that was installed with ours.
pub(crate) fn installed() -> Result<PathBuf, NoEnforcer> {
    let name = "checkrein-enforcer";
    let beside = std::env::current_exe().map_or_else(|_| PathBuf::from(name), |own| own.with_file_name(name));
    if beside.exists() {
        Ok(beside)
    } else {
        Err(NoEnforcer::Binary(beside))
    }
}

/// A process that the kernel sends this signal when the thread that starts it ends, so that not even a killed program leaves it behind.
pub(crate) fn ending_with_us(binary: &Path, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(binary);
    forget_settings(&mut command);
    command
}

/// Whatever the caller's variables say is meant for the caller.
pub(crate) fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CHECKREIN_")) {
            command.env_remove(name);
        }
    }
}
