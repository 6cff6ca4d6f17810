//! The one door to Postgres.
//!
//! Inside the control plane the database is the only bus: a verb's transaction writes and raises its feed's revision; every
//! replica's feed wakes, reads the truth, and tells its streams.
//!
//! **Invariant**: a transaction that is not committed is rolled back, whichever way its holder leaves; a revision is raised
//! under the counter's row lock, so revisions commit in order and without a gap.

mod answers;
mod claim;
mod migrate;
mod retry;
mod tls;

use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use thiserror::Error;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Client, Config, Connection, Row, Socket};
use tracing::debug;

pub use answers::is_good_key;
pub use claim::Claim;
use tls::{Encrypted, Tls};

/// Connections a replica keeps for its verbs; the feed has one more of its own.
const CONNECTIONS_MAX: usize = 8;
/// Connections for the record alone: however many journals come home at once, no verdict waits behind them.
const RECORD_CONNECTIONS_MAX: usize = 4;
/// How long a verb waits for a connection before it says that the database is busy.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(5);
/// No statement may run longer.
const STATEMENT_MS_MAX: u32 = 10_000;
/// Nor one with which somebody looks for something, or counts: whoever asked for too much has to ask for less.
const LOOKING_MS_MAX: u32 = 3_000;
/// No statement may wait longer for a lock.
const LOCK_MS_MAX: u32 = 5_000;
/// A transaction whose replica fell silent is ended by the server, and its locks with it.
const IDLE_TRANSACTION_MS_MAX: u32 = 30_000;
/// A server that went away without a word is noticed this soon: what was sent to it is not acknowledged, or what was asked is
/// not answered while its host does not answer either.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVES_MISSED_MAX: u32 = 3;

/// Postgres, for everyone in this replica.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
    record: Pool,
    config: Config,
    tls: Tls,
}

/// A transaction under way. Dropped without [`Transaction::commit`], it is rolled back.
#[derive(Debug)]
pub struct Transaction {
    /// `None` only after commit.
    connection: Option<Object>,
    name: &'static str,
}

/// What can go wrong between us and Postgres.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// The address can't be read.
    #[error("`{0}` is not a Postgres address: expected `postgres://user@host/database`")]
    InvalidAddress(String, #[source] tokio_postgres::Error),
    /// Encryption was asked for, and nothing to verify by given.
    #[error(
        "`sslmode=require` needs the CA that certified the database: name its certificate with --database-ca"
    )]
    NoCa,
    /// The CA's file holds no certificate.
    #[error("the database's CA holds no certificate, PEM, that can be used")]
    InvalidCa,
    /// No connection in time.
    #[error("no connection to the database; is it running?")]
    Unavailable(#[from] PoolError),
    /// A statement failed.
    #[error("the database refused a statement of `{name}`")]
    Statement {
        /// The transaction's name.
        name: &'static str,
        /// What Postgres said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A statement outside a named transaction failed.
    #[error("the database refused a statement")]
    Postgres(#[from] tokio_postgres::Error),
    /// The primary did not answer a read in time.
    #[error("the database does not answer")]
    ReadTimedOut,
    /// The connection ended.
    #[error("the database closed the connection")]
    ConnectionClosed,
    /// The key stands for another request already.
    #[error("the key `{0}` was used for another request; take a fresh key for a new request")]
    KeyReused(String),
    /// A row that no version of this program wrote.
    #[error("table `{table}` holds an inconsistent row `{row}`")]
    Inconsistent {
        /// Which table.
        table: &'static str,
        /// Which row.
        row: String,
    },
    /// An UPDATE that had to change one row did not.
    #[error("`{name}` expected to change one row and changed {changed}")]
    RowCount {
        /// The transaction's name.
        name: &'static str,
        /// How many it changed.
        changed: u64,
    },
    /// The database was written by a newer version.
    #[error("the database is at version {found}, this program knows {known}: upgrade the control plane")]
    NewerSchema {
        /// What it is at.
        found: i32,
        /// What this program knows.
        known: i32,
    },
    /// The database belongs to an installation with another root key.
    #[error(
        "the database belongs to the installation of root key `{found}`, not `{expected}`: stop, and copy the whole `keys` \
         directory of a replica that serves it into this one's data directory in place of what is there"
    )]
    ForeignKeys {
        /// Whose it is.
        found: String,
        /// Ours.
        expected: String,
    },
    /// Our keys were rotated away, or are not the ones the others sign with.
    #[error(
        "the database knows key set {found} and this replica has another one, of version {expected}: copy the whole `keys` \
         directory of a replica that serves it"
    )]
    OtherKeySet {
        /// The version on record.
        found: u64,
        /// Ours.
        expected: u64,
    },
    /// The database belongs to another control plane.
    #[error("the database belongs to trust domain `{found}`, not `{expected}`")]
    ForeignInstallation {
        /// Whose it is.
        found: String,
        /// Ours.
        expected: String,
    },
}

/// A feed: something that is published in revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedName {
    /// Bundles; its revision is the generation.
    Policy,
    /// The register.
    Fleet,
    /// Revocations; its revision is the revocation sequence.
    Task,
    /// Steps of holds.
    Hold,
    /// The teams of agents.
    Agent,
}

impl Database {
    /// Prepares connections to `address`, encrypted if there is a CA, PEM, to verify the server by; none is opened yet.
    pub fn new(address: &str, ca: Option<&[u8]>) -> Result<Self, DatabaseError> {
        let mut config = Config::from_str(address)
            .map_err(|source| DatabaseError::InvalidAddress(without_password(address), source))?;
        harden(&mut config);
        let tls = Tls::apply(ca, &mut config)?;
        Ok(Self {
            pool: pool(&config, &tls, CONNECTIONS_MAX),
            record: pool(&config, &tls, RECORD_CONNECTIONS_MAX),
            config,
            tls,
        })
    }

    /// The same database over the record's own connections.
    #[must_use]
    pub fn of_the_record(&self) -> Self {
        Self {
            pool: self.record.clone(),
            ..self.clone()
        }
    }

    /// Brings the schema up to what this program knows, one replica at a time, and claims the database for an installation.
    /// Returns the epoch.
    pub async fn prepare(&self, claim: &Claim) -> Result<u64, DatabaseError> {
        let mut connection = self.pool.get().await?;
        migrate::run(&mut connection).await?;
        claim::run(&mut connection, claim).await
    }

    /// Begins a transaction. The name says whose it is, in traces and errors.
    pub async fn begin(&self, name: &'static str) -> Result<Transaction, DatabaseError> {
        Transaction::begin(self.pool.get().await?, name).await
    }

    /// The same for looking through a lot: what takes too long is ended ([`DatabaseError::is_cut_off`]).
    pub async fn begin_looking(&self, name: &'static str) -> Result<Transaction, DatabaseError> {
        let tx = self.begin(name).await?;
        let bound = format!("-- looking.bound\nSET LOCAL statement_timeout = {LOOKING_MS_MAX}");
        tx.batch_execute(&bound)
            .await
            .map_err(|source| tx.failed(source))?;
        Ok(tx)
    }

    /// Opens a connection of one's own, as the feed does to listen.
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, Encrypted<Socket>>), DatabaseError> {
        Ok(self.config.connect(self.tls.clone()).await?)
    }
}

impl Transaction {
    async fn begin(connection: Object, name: &'static str) -> Result<Self, DatabaseError> {
        // Ours before BEGIN is sent: whoever gives up waiting for the answer leaves a rollback behind it, and no open
        // transaction goes back into the pool.
        let tx = Self {
            connection: Some(connection),
            name,
        };
        tx.batch_execute("BEGIN")
            .await
            .map_err(|source| tx.failed(source))?;
        debug!(transaction = name, "begin");
        Ok(tx)
    }

    /// Makes everything done in it true.
    pub async fn commit(mut self) -> Result<(), DatabaseError> {
        if let Some(connection) = &self.connection {
            connection
                .batch_execute("COMMIT")
                .await
                .map_err(|source| self.failed(source))?;
        }
        self.connection = None;
        Ok(())
    }

    /// Says in whose transaction a statement failed.
    pub const fn failed(&self, source: tokio_postgres::Error) -> DatabaseError {
        DatabaseError::Statement {
            name: self.name,
            source,
        }
    }

    /// Runs a statement that has to change exactly one row.
    pub async fn change_one(
        &self,
        statement: &str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<(), DatabaseError> {
        match self
            .execute(statement, parameters)
            .await
            .map_err(|source| self.failed(source))?
        {
            1 => Ok(()),
            changed => Err(DatabaseError::RowCount {
                name: self.name,
                changed,
            }),
        }
    }

    /// Takes the feed's row lock and raises its revision. Call it last: everyone else who publishes waits.
    pub async fn raise(&self, feed: FeedName) -> Result<u64, DatabaseError> {
        let raise = "-- revision.raise
            UPDATE revision SET value = value + 1 WHERE feed = $1 RETURNING value";
        let row = self
            .query_one(raise, &[&feed.as_str()])
            .await
            .map_err(|source| self.failed(source))?;
        // The payload stays empty: a notification is a hint to read, never the news itself.
        self.batch_execute("-- revision.notify\nNOTIFY checkrein")
            .await
            .map_err(|source| self.failed(source))?;
        Ok(unsigned(row.get(0)))
    }

    /// The feed's revision as it stands, its row locked until the transaction ends.
    pub async fn lock(&self, feed: FeedName) -> Result<u64, DatabaseError> {
        let lock = "-- revision.lock
            SELECT value FROM revision WHERE feed = $1 FOR UPDATE";
        let row = self
            .query_one(lock, &[&feed.as_str()])
            .await
            .map_err(|source| self.failed(source))?;
        Ok(unsigned(row.get(0)))
    }

    /// The feed's revision as it stands, which nobody raises until the transaction ends; any number may share it.
    pub async fn share(&self, feed: FeedName) -> Result<u64, DatabaseError> {
        let share = "-- revision.share
            SELECT value FROM revision WHERE feed = $1 FOR SHARE";
        let row = self
            .query_one(share, &[&feed.as_str()])
            .await
            .map_err(|source| self.failed(source))?;
        Ok(unsigned(row.get(0)))
    }

    /// The feed's revision as it stands.
    pub async fn revision(&self, feed: FeedName) -> Result<u64, DatabaseError> {
        let read = "-- revision.read
            SELECT value FROM revision WHERE feed = $1";
        let row = self
            .query_one(read, &[&feed.as_str()])
            .await
            .map_err(|source| self.failed(source))?;
        Ok(unsigned(row.get(0)))
    }
}

impl Deref for Transaction {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        match &self.connection {
            Some(connection) => connection,
            // INVARIANT: only `commit`, which consumes the transaction, takes the connection out.
            None => unreachable!("a committed transaction is gone"),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // Rolled back in the background, and back into the pool; a connection that can't is dropped by the pool's check.
        tokio::spawn(async move {
            if let Err(error) = connection.batch_execute("ROLLBACK").await {
                debug!(%error, "rollback failed; the connection is dropped");
                drop(Object::take(connection));
            }
        });
    }
}

impl FeedName {
    /// Its row in `revision`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Fleet => "fleet",
            Self::Task => "task",
            Self::Hold => "hold",
            Self::Agent => "agent",
        }
    }
}

/// Sets what no address should have to say: bounds for every wait, and that only a primary will do.
fn harden(config: &mut Config) {
    config
        .application_name("checkrein")
        .connect_timeout(CONNECTION_WAIT_MAX)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVES_MISSED_MAX)
        .tcp_user_timeout(UNACKNOWLEDGED_MAX)
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .options(format!(
            "-c statement_timeout={STATEMENT_MS_MAX} -c lock_timeout={LOCK_MS_MAX} \
             -c idle_in_transaction_session_timeout={IDLE_TRANSACTION_MS_MAX}"
        ));
}

fn pool(config: &Config, tls: &Tls, connections_max: usize) -> Pool {
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Verified,
    };
    let manager = Manager::from_config(config.clone(), tls.clone(), recycling);
    Pool::builder(manager)
        .max_size(connections_max)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECTION_WAIT_MAX))
        .create_timeout(Some(CONNECTION_WAIT_MAX))
        .recycle_timeout(Some(CONNECTION_WAIT_MAX))
        .build()
        // INVARIANT: the builder fails only when timeouts are set without a runtime.
        .unwrap_or_else(|error| unreachable!("the pool can't be built: {error}"))
}

/// A row that can't be.
pub fn inconsistent(table: &'static str, row: &dyn std::fmt::Display) -> DatabaseError {
    DatabaseError::Inconsistent {
        table,
        row: row.to_string(),
    }
}

/// A count as Postgres keeps it.
pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count as it is; CHECKs keep them from being negative.
pub fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// A column of text that must parse.
pub fn parsed<T: FromStr>(row: &Row, column: &str, table: &'static str) -> Result<T, DatabaseError> {
    let text: String = row.get(column);
    text.parse().map_err(|_| inconsistent(table, &text))
}

/// A moment as milliseconds since the epoch.
pub fn moment_ms(row: &Row, column: &str) -> u64 {
    to_ms(row.get(column))
}

/// The same, where it may be missing.
pub fn moment_ms_opt(row: &Row, column: &str) -> Option<u64> {
    row.get::<_, Option<time::OffsetDateTime>>(column).map(to_ms)
}

/// Milliseconds since the epoch as Postgres keeps a moment.
pub fn from_ms(ms: u64) -> time::OffsetDateTime {
    let nanoseconds = i128::from(ms).saturating_mul(1_000_000);
    time::OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

/// A moment as milliseconds since the epoch, where it comes in an array.
pub fn to_ms(moment: time::OffsetDateTime) -> u64 {
    u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// An address as it may be shown: whatever stands before the host of a URL may be a secret, and so may all of any other form.
pub(crate) fn without_password(address: &str) -> String {
    let (before_query, _) = address.split_once('?').unwrap_or((address, ""));
    match (before_query.find("://"), before_query.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}…{}", &before_query[..scheme + 3], &before_query[at..])
        }
        _ => "…".to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
