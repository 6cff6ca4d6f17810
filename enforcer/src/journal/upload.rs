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
use tracing::{debug, error, info};

use super::{CursorError, Journal, JournalError};
use crate::control_plane::{Backoff, Connection};
use crate::status::StatusBoard;

/// Uploads what the journal holds.
#[derive(Debug)]
pub(crate) struct Uploader {
    pub(crate) journal: Arc<Journal>,
    pub(crate) instance: InstanceId,
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
        while !stop.is_cancelled() {
            let Some(incarnation) = self
                .journal
                .incarnations()
                .into_iter()
                .find(|one| !forked.contains(one))
            else {
                return;
            };
            let started = tokio::time::Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.upload(incarnation) => ended,
            };
            let Err(failure) = ended else { continue };
            if failure.is_fork() {
                self.alarm(incarnation, &failure);
                forked.insert(incarnation);
                continue;
            }
            debug!(
                error = &failure as &dyn std::error::Error,
                incarnation, "the journal's stream ended"
            );
            backoff.ended_after(started.elapsed());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.next()) => {}
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

    fn alarm(&self, incarnation: u64, failure: &UploadError) {
        error!(
            error = failure as &dyn std::error::Error,
            incarnation,
            "FORK: the record of this incarnation differs from the control plane's; its upload stops"
        );
        self.status.update(|status| status.forks += 1);
        if let Err(error) = self.journal.set_aside(incarnation) {
            error!(
                error = &error as &dyn std::error::Error,
                incarnation, "a forked incarnation can't be set aside"
            );
        }
    }
}

impl UploadError {
    const fn is_fork(&self) -> bool {
        matches!(self, Self::Fork { .. } | Self::Lost(_))
    }
}

#[cfg(test)]
mod tests;
