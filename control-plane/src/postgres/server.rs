//! The process: start, readiness, an end that always comes.
//!
//! The kernel is asked to interrupt the server when its parent dies (`PR_SET_PDEATHSIG`). Setting that in the child
//! ourselves needs `unsafe`, so `setpriv` of util-linux does it; it then *becomes* the server, whose process id is the
//! child's. "Parent" means the thread that started it, so that thread is one of our own, the [`Keeper`]'s, which does
//! nothing else and ends with the server or with the process: a pool's thread would take the server with it when idle.
//!
//! **Invariant**: when a `Keeper` is gone, so is its server.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Cluster, Options, PostgresError, bounded, io_error};

const START_LIMIT: Duration = Duration::from_mins(1);
/// How long a fast shutdown may take before the server is killed.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How soon a server that ended by itself is noticed.
const WATCH: Duration = Duration::from_millis(500);

/// The thread that has the server, as seen from outside.
#[derive(Debug)]
pub(super) struct Keeper {
    sockets: PathBuf,
    process_id: u32,
    /// Cancelled when the server ended though nobody stopped it.
    ended: CancellationToken,
    /// Dropped to have the server stopped.
    running: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What became of a server that was started.
enum Started {
    /// It takes connections.
    Ready,
    /// It has ended.
    Ended(ExitStatus),
}

/// The server's process and all that is its own.
#[derive(Debug)]
struct Server {
    process: Child,
    cluster: Cluster,
}

impl Keeper {
    pub(super) async fn start(options: Options) -> Result<Self, PostgresError> {
        let (running, stop) = mpsc::sync_channel(0);
        let (started, ready) = oneshot::channel();
        let ended = CancellationToken::new();
        let by_itself = ended.clone();
        let thread = thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || keep(&options, started, &stop, &by_itself))
            .map_err(io_error("start a thread for", Path::new("postgres")))?;
        let (process_id, sockets) = ready.await.unwrap_or_else(|_| {
            Err(PostgresError::DidNotStart {
                log: "the thread that starts it failed".to_owned(),
            })
        })?;
        Ok(Self {
            sockets,
            process_id,
            ended,
            running: Some(running),
            thread: Some(thread),
        })
    }

    pub(super) fn sockets(&self) -> &Path {
        &self.sockets
    }

    pub(super) const fn process_id(&self) -> u32 {
        self.process_id
    }

    pub(super) const fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    pub(super) async fn stop(self) {
        // Waiting blocks a thread; let it be one that may.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl Server {
    fn start(options: &Options) -> Result<Self, PostgresError> {
        let cluster = Cluster::open(options)?;
        options.progress.say(&format!(
            "starting Postgres {} on {}",
            cluster.binaries.major,
            cluster.data.display()
        ));
        let path = cluster.runtime.path().join("log");
        let log = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let log = log.map_err(io_error("make", &path))?;
        let process = spawn(&cluster, &log)?;
        let mut server = Self { process, cluster };
        let log_of = |reason: String| PostgresError::DidNotStart {
            log: format!("{reason}: {}", bounded::tail(log).unwrap_or_default()),
        };
        match bounded::poll(START_LIMIT, || server.started()) {
            Some(Started::Ready) => Ok(server),
            Some(Started::Ended(status)) => Err(log_of(format!("it ended with {status}"))),
            None => Err(log_of(format!(
                "it was not ready within {} s",
                START_LIMIT.as_secs()
            ))),
        }
    }

    /// None while it is still starting.
    fn started(&mut self) -> Option<Started> {
        if let Ok(Some(status)) = self.process.try_wait() {
            return Some(Started::Ended(status));
        }
        let file = fs::read_to_string(self.cluster.data.join("postmaster.pid")).ok()?;
        let mut lines = file.lines();
        let ours = lines.next()?.trim() == self.process.id().to_string();
        // The eighth line is the server's state: `starting`, `ready`, `stopping`.
        (ours && lines.nth(6)?.trim() == "ready").then_some(Started::Ready)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is the fast shutdown: sessions are ended, and what is committed is kept.
        if let Some(pid) = bounded::pid(&self.process) {
            let _ = kill_process(pid, Signal::INT);
        }
        if bounded::wait(&mut self.process, STOP_LIMIT).is_none() {
            tracing::warn!(limit = ?STOP_LIMIT, "the private Postgres did not stop in time and is killed");
            bounded::kill(&mut self.process);
        }
    }
}

/// The keeper thread: starts the server, has it until nobody wants it any more, stops it.
fn keep(
    options: &Options,
    started: oneshot::Sender<Result<(u32, PathBuf), PostgresError>>,
    stop: &Receiver<()>,
    ended: &CancellationToken,
) {
    let mut server = match Server::start(options) {
        Ok(server) => server,
        Err(error) => {
            // Nobody listening any more means that nobody needs to know.
            let _ = started.send(Err(error));
            return;
        }
    };
    let reach = (server.process.id(), server.cluster.runtime.path().to_owned());
    if started.send(Ok(reach)).is_err() {
        return;
    }
    while matches!(stop.recv_timeout(WATCH), Err(RecvTimeoutError::Timeout)) {
        if let Ok(Some(status)) = server.process.try_wait() {
            tracing::error!(%status, "the private Postgres ended by itself");
            ended.cancel();
            return;
        }
    }
}

fn spawn(cluster: &Cluster, log: &File) -> Result<Child, PostgresError> {
    let sockets = cluster.runtime.path();
    let output = || log.try_clone().map_err(io_error("write to the log in", sockets));
    let mut command = cluster.account.command("setpriv");
    command
        .args(["--pdeathsig", "INT", "--"])
        .arg(cluster.binaries.directory.join("postgres"));
    command.arg("-D").arg(&cluster.data).arg("-k").arg(sockets);
    let common = [
        "listen_addresses=",
        "unix_socket_permissions=0700",
        "max_connections=200",
    ];
    let quiet = [
        "log_min_messages=warning",
        "log_checkpoints=off",
        "logging_collector=off",
    ];
    for setting in common.iter().chain(&quiet).chain(cluster.durability.settings()) {
        command.args(["-c", setting]);
    }
    command
        .stdin(std::process::Stdio::null())
        .stdout(output()?)
        .stderr(output()?)
        // A terminal's Ctrl-C is for us: we drain first, and the database goes last.
        .process_group(0)
        .spawn()
        .map_err(io_error("start", Path::new("setpriv")))
}
