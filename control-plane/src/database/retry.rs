//! Transactions that are tried again, and trouble that passes.
//!
//! **Invariant**: only what Postgres rolled back is tried again, a bounded number of times.

use tokio_postgres::error::SqlState;
use tracing::debug;

use super::{Database, DatabaseError, Transaction};

/// How often a transaction that others kept getting in the way of is tried.
pub(super) const TRIES_MAX: usize = 4;

/// Postgres chose this transaction to lose; the same again may win.
const CONFLICTS: [SqlState; 2] = [
    SqlState::T_R_DEADLOCK_DETECTED,
    SqlState::T_R_SERIALIZATION_FAILURE,
];
/// The server is busy, going away, or no primary any more: it, or another, will do it soon.
const PASSING: [SqlState; 7] = [
    SqlState::LOCK_NOT_AVAILABLE,
    SqlState::QUERY_CANCELED,
    SqlState::ADMIN_SHUTDOWN,
    SqlState::CRASH_SHUTDOWN,
    SqlState::CANNOT_CONNECT_NOW,
    SqlState::READ_ONLY_SQL_TRANSACTION,
    SqlState::TOO_MANY_CONNECTIONS,
];

impl Database {
    /// Runs `work` in a transaction of this name and commits it; again from its beginning if Postgres rolled it back for the
    /// sake of another. So `work` may do nothing outside its transaction, which it gives back with its result.
    pub async fn transact<T, F>(
        &self,
        name: &'static str,
        work: impl Fn(Transaction) -> F,
    ) -> Result<T, DatabaseError>
    where
        F: Future<Output = Result<(Transaction, T), DatabaseError>>,
    {
        let mut tries = 1;
        loop {
            let attempt = async {
                let (tx, done) = work(self.begin(name).await?).await?;
                tx.commit().await?;
                Ok(done)
            };
            match attempt.await {
                Err(error) if DatabaseError::is_conflict(&error) && tries < TRIES_MAX => {
                    debug!(transaction = name, tries, %error, "again");
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }
}

impl DatabaseError {
    /// Whether Postgres rolled the transaction back for the sake of another: the same again may succeed at once.
    pub fn is_conflict(&self) -> bool {
        self.code().is_some_and(|code| CONFLICTS.contains(code))
    }

    /// Whether it is the server's trouble and not the statement's: the same request may succeed a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::ReadTimedOut | Self::ConnectionClosed => true,
            Self::Statement { source, .. } | Self::Postgres(source) if source.is_closed() => true,
            _ => self
                .code()
                .is_some_and(|code| CONFLICTS.contains(code) || PASSING.contains(code)),
        }
    }

    /// Whether a statement was ended because it took longer than it may.
    pub fn is_cut_off(&self) -> bool {
        self.code() == Some(&SqlState::QUERY_CANCELED)
    }

    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Statement { source, .. } | Self::Postgres(source) => source.code(),
            _ => None,
        }
    }
}
