//! Bringing the record home: old incarnations first, then the live one for as long as it lives.
//!
//! Comes from the journal, read back through a [`Cursor`]; goes to the control plane's `Append`, which says where to go on
//! and acks cumulatively. What is acked is deleted.
//!
//! **Invariant**: nothing is deleted before an ack whose chain is ours, and nothing is uploaded that power loss could still
//! take from us. So a chain that differs, or that is longer than ours, is a fork: someone else wrote under this name, or the
//! record was changed; that incarnation is never uploaded again, and people are told.

mod stream;

use std::collections::BTreeSet;
use std::sync::Arc;

use checkrein_shared::decision::Chain;
use checkrein_shared::id::InstanceId;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::{debug, error, info, warn};

use super::{CursorError, Journal, JournalError};
use crate::control_plane::{Backoff, Connection};
use crate::status::StatusBoard;

/// Uploads what the journal holds.
#[derive(Debug)]
pub(crate) struct Uploader {
    pub(crate) journal: Arc<Journal>,
    pub(crate) instance: InstanceId,
    /// Since this incarnation the disk has lost nothing.
    pub(crate) up_since: u64,
    pub(crate) connection: Connection,
    pub(crate) status: StatusBoard,
}

/// Why an upload stopped.
#[derive(Debug, Error)]
enum UploadError {
    /// The stream ended; there will be another.
    #[error("the control plane ended the stream")]
    Ended,
    /// It said nothing for too long.
    #[error("the control plane did not answer in time")]
    Deadline,
    #[error("the control plane refused the stream")]
    Refused(#[from] tonic::Status),
    #[error("the control plane stands at record {0}, where nothing that was sent ended")]
    OutOfStep(u64),
    /// Two stories under one name.
    #[error("the control plane's chain at record {} is not ours", .theirs.next_sequence)]
    Fork { theirs: Chain },
    /// It wants what was acked and deleted.
    #[error("the control plane lost records it had acknowledged")]
    Lost(#[source] CursorError),
    #[error("the journal can't be read back")]
    Cursor(#[from] CursorError),
    #[error("acknowledged records can't be deleted")]
    Journal(#[from] JournalError),
}

impl Uploader {
    /// Uploads until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut forked = BTreeSet::new();
        let mut backoff = Backoff::default();
        while !self.journal.incarnations().iter().all(|one| forked.contains(one)) {
            let started = tokio::time::Instant::now();
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.upload_each(&mut forked) => {}
            }
            backoff.ended_after(started.elapsed());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    /// Uploads one incarnation after the other, the live one last and for as long as the stream holds. One whose own
    /// records are the trouble is passed over until the next time, so that it blocks no other.
    async fn upload_each(&self, forked: &mut BTreeSet<u64>) {
        for incarnation in self.journal.incarnations() {
            if forked.contains(&incarnation) {
                continue;
            }
            match self.upload(incarnation).await {
                Ok(()) => self.unstuck(incarnation),
                Err(failure) if failure.is_fork() => {
                    forked.insert(incarnation);
                    self.alarm(incarnation, &failure).await;
                }
                Err(failure) if failure.is_of_the_records() => self.stuck(incarnation, &failure),
                Err(failure) => {
                    debug!(
                        error = &failure as &dyn std::error::Error,
                        incarnation, "the journal's stream ended"
                    );
                    // The others would fare no better.
                    return;
                }
            }
        }
    }

    /// One stream; ends well only when an old incarnation is wholly acked.
    async fn upload(&self, incarnation: u64) -> Result<(), UploadError> {
        let channel = self.connection.wait().await.ok_or(UploadError::Ended)?;
        let ended = stream::upload(self, channel, incarnation).await;
        if ended.is_ok() {
            info!(incarnation, "the records of an earlier run are stored");
        }
        ended
    }

    fn stuck(&self, incarnation: u64, failure: &UploadError) {
        if self.status.read().journal_stuck.contains(&incarnation) {
            return;
        }
        warn!(
            error = failure as &dyn std::error::Error,
            incarnation,
            "the records of this run can't be brought home; they wait on disk, and other runs go on"
        );
        self.status.update(|status| {
            status.journal_stuck.insert(incarnation);
        });
    }

    fn unstuck(&self, incarnation: u64) {
        self.status.update(|status| {
            status.journal_stuck.remove(&incarnation);
        });
    }

    async fn alarm(&self, incarnation: u64, failure: &UploadError) {
        error!(
            error = failure as &dyn std::error::Error,
            incarnation,
            "FORK: the record of this incarnation differs from the control plane's; its upload stops"
        );
        self.status.update(|status| {
            status.forks += 1;
            status.journal_stuck.remove(&incarnation);
        });
        let journal = Arc::clone(&self.journal);
        if let Err(error) = off_thread(move || Ok(journal.set_aside(incarnation)?)).await {
            error!(
                error = &error as &dyn std::error::Error,
                incarnation, "a forked incarnation can't be set aside"
            );
        }
    }
}

impl UploadError {
    /// Another history stands under this name, as we see it or as the control plane does.
    fn is_fork(&self) -> bool {
        match self {
            Self::Fork { .. } | Self::Lost(_) => true,
            Self::Refused(status) => status.code() == Code::DataLoss,
            _ => false,
        }
    }

    /// What is to be uploaded is the trouble, not the way: it would be the same again at once, and another incarnation may
    /// do better.
    fn is_of_the_records(&self) -> bool {
        match self {
            // A journal that was closed is the enforcer's end, and nobody's trouble.
            Self::Journal(error) => !matches!(error, JournalError::Closed),
            Self::Cursor(_) => true,
            Self::Refused(status) => matches!(
                status.code(),
                Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange
            ),
            _ => false,
        }
    }
}

/// Reads, hashes and deletes where no decision waits for it.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, UploadError> {
    // The runtime ends, or the work panicked: if there is another stream, it begins anew.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(UploadError::Ended))
}

#[cfg(test)]
mod tests;
