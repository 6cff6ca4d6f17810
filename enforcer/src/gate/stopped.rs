//! A call that goes on while its authority ends is told so.
//!
//! **Invariant**: whoever waits hears of every revocation that is in force here, however it came about: those that came before
//! it began to wait as well.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;

use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::grant::{Chain, Stopped};
use checkrein_shared::id::DecisionId;
use futures_util::future::select_all;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::{Core, Found, Gate, Permit, Request, RunError, ended};
use crate::snapshot::Running;

/// So many watches may go on at once at one enforcer.
pub(super) const WATCHES_MAX: usize = 256;

/// Another watch is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "{WATCHES_MAX} watches go on at this enforcer; watch several calls at once, or wait until one has ended"
)]
pub(crate) struct TooManyWatches;

/// Calls under way that somebody watches.
#[derive(Debug)]
pub(crate) struct Watched {
    core: Arc<Core>,
    calls: Vec<Call>,
    running: watch::Receiver<Running>,
    _slot: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Call {
    id: DecisionId,
    chain: Arc<Chain>,
    /// It is not under way any more.
    over: CancellationToken,
}

impl Gate {
    /// Decides one call and, if it is permitted, makes it, until what it was permitted under ends: then the tool's future is
    /// dropped where it waits, and its outcome is recorded as unknown. A tool that is done at the same moment is done.
    pub async fn run_until_stopped<T, E, Work, Running>(
        &self,
        request: Request,
        work: Work,
    ) -> Result<T, RunError<E>>
    where
        Work: FnOnce() -> Running,
        Running: Future<Output = Result<T, E>>,
    {
        let mut permit = self.permitted(request).await?;
        let paid = permit.pay();
        let stopped = tokio::select! {
            biased;
            (done, labelled) = async { tokio::join!(work(), paid) } => return ended(permit, done, (labelled, Found::default())).await,
            stopped = permit.stopped() => stopped,
        };
        let detail = "what it was permitted under ended while the tool ran, and nobody knows how far it got";
        let completed = permit.complete(OutcomeResult::Unknown, detail).await;
        completed.map_err(RunError::Complete)?;
        Err(RunError::Stopped(stopped))
    }

    /// Those of these calls that are the caller's and under way, to be watched.
    pub(crate) fn watch(&self, ids: impl IntoIterator<Item = DecisionId>) -> Result<Watched, TooManyWatches> {
        let slot = Arc::clone(&self.core.watches).try_acquire_owned();
        let slot = slot.map_err(|_| TooManyWatches)?;
        let agent = self.caller.as_ref().map(|caller| &caller.agent);
        let call = |id| {
            let (chain, over) = self.core.permits.watch(id, agent)?;
            Some(Call { id, chain, over })
        };
        // One that was named twice is told once.
        let ids = ids.into_iter().collect::<BTreeSet<_>>();
        Ok(Watched {
            core: Arc::clone(&self.core),
            calls: ids.into_iter().filter_map(call).collect(),
            running: self.core.snapshots.running(),
            _slot: slot,
        })
    }
}

impl Watched {
    /// The next call that should stop, each once; none, when none is under way that has not been told.
    pub(crate) async fn next(&mut self) -> Option<(DecisionId, Stopped)> {
        loop {
            self.calls.retain(|call| !call.over.is_cancelled());
            // Marked as seen before the look: what is installed after it wakes us.
            self.running.borrow_and_update();
            let revocations = Arc::clone(&self.core.snapshots.pin().revocations);
            for (at, call) in self.calls.iter().enumerate() {
                if let Some(stopped) = revocations.stops(call.chain.grants()) {
                    return Some((self.calls.swap_remove(at).id, stopped));
                }
            }
            if self.calls.is_empty() {
                return None;
            }
            let ends = self.calls.iter().map(|call| Box::pin(call.over.cancelled()));
            tokio::select! {
                _ = select_all(ends) => {}
                changed = self.running.changed() => changed.ok()?,
            }
        }
    }
}

impl Permit {
    /// Resolves when the grant that this was permitted under is stopped: its task ended, was revoked or amended, or the grant
    /// or one above it was revoked. Then stop, if what was begun can be stopped, and say how it ended as ever. Never, if that
    /// does not happen; that a grant expires is known beforehand, and is not waited for here.
    ///
    /// It costs nothing until something is revoked, can be dropped at any time, and can be asked for again.
    pub async fn stopped(&self) -> Stopped {
        let (Some(core), Some(chain)) = (self.core(), &self.chain) else {
            return pending().await;
        };
        core.stopped(chain).await
    }
}

impl Core {
    /// Resolves when any grant of a chain is stopped by what is revoked here.
    pub(crate) async fn stopped(&self, chain: &Chain) -> Stopped {
        let mut running = self.snapshots.running();
        loop {
            // Marked as seen before the look: what is installed after it wakes us.
            running.borrow_and_update();
            let revocations = Arc::clone(&self.snapshots.pin().revocations);
            if let Some(stopped) = revocations.stops(chain.grants()) {
                return stopped;
            }
            if running.changed().await.is_err() {
                return pending().await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
