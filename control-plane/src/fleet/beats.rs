//! Beats, written down beside the streams and never in them: a slow database delays what operators see, and no verdict.
//!
//! ```text
//! comes from: every session of this replica, as it answers a beat
//!   one queue --> the latest of each stream --> one transaction for all of them
//! goes to: the register; and to a stream whose instance another has taken over
//! ```
//!
//! **Invariant**: telling never waits. A beat that finds the queue full, or a database that is gone, is lost; the next one says
//! the same.

use std::collections::HashMap;

use checkrein_shared::id::SessionId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::store::{self, Stream};
use crate::database::Database;

/// Beats that wait to be written, of all streams of this replica.
const WAITING_MAX: usize = 4_096;
/// Streams whose beats are written in one transaction.
const WRITTEN_AT_ONCE_MAX: usize = 512;

/// Where sessions leave their beats.
#[derive(Debug, Clone)]
pub(super) struct Beats(mpsc::Sender<Beat>);

/// What one stream last said of itself.
#[derive(Debug, Clone)]
pub(super) struct Beat {
    /// Who.
    pub(super) stream: Stream,
    /// Records that have not come home.
    pub(super) journal_pending: u64,
    /// Cancelled when another stream turns out to have the instance.
    pub(super) taken_over: CancellationToken,
}

impl Beats {
    /// Writes beats down for as long as there is somebody to tell them.
    pub(super) fn spawn(database: Database) -> Self {
        let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut told = Vec::new();
            while receiver.recv_many(&mut told, WRITTEN_AT_ONCE_MAX).await > 0 {
                write(&database, told.drain(..)).await;
            }
        });
        Self(sender)
    }

    /// Leaves a beat to be written.
    pub(super) fn tell(&self, beat: Beat) {
        // Full, or the replica is stopping: lost, as said above.
        let _lost = self.0.try_send(beat);
    }
}

async fn write(database: &Database, told: impl Iterator<Item = Beat>) {
    let latest: HashMap<SessionId, Beat> = told.map(|beat| (beat.stream.session, beat)).collect();
    let beats: Vec<Beat> = latest.into_values().collect();
    let all = &beats;
    let written = database.transact("fleet.beats", |tx| async move {
        let ours = store::beats(&tx, all).await?;
        Ok((tx, ours))
    });
    match written.await {
        Ok(ours) => {
            for beat in beats.iter().filter(|beat| !ours.contains(&beat.stream.session)) {
                beat.taken_over.cancel();
            }
        }
        Err(error) => warn!(error = &error as &dyn std::error::Error, "beats not recorded"),
    }
}

#[cfg(test)]
mod tests;
