//! How a call that costs something, or is counted, is paid: from a slice that this enforcer holds, or with its confirmation.
//!
//! **Invariant**: a call of the full tier is confirmed, and so is one that a rule judges by what its task has done: it is judged by
//! exactly that, then.

use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::decision::{Record, Tier};
use checkrein_shared::id::SliceId;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Case, Core, Weighed};
use crate::slices::{Call, Payment};

/// How often old slices are ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

impl Core {
    /// Pays a permitted call that is to be charged, or says how it is to be confirmed.
    pub(super) fn pay_or_confirm(&self, case: &Case, weighed: &Weighed) -> Payment {
        let is_local = weighed.tier != Tier::Full && !weighed.reads_ledger && !weighed.reads_pedigree;
        let call = call(case, weighed).filter(|_| is_local && weighed.is_charged());
        let Some(call) = call else {
            return Payment::Confirm(None);
        };
        let now = (self.clock.boot_ms(), self.authority.is_connected());
        let payment = self.slices.pay(call, now, || SliceId::new(&*self.clock));
        self.slices_held.notify_one();
        payment
    }

    /// Ends slices in time, until told to stop.
    pub(crate) async fn tend_slices(self: Arc<Self>, stop: CancellationToken) {
        while stop
            .run_until_cancelled(self.slices_held.notified())
            .await
            .is_some()
        {
            let mut ticks = interval(LOOK_INTERVAL);
            while !self.slices.is_empty() {
                if stop.run_until_cancelled(ticks.tick()).await.is_none() {
                    return;
                }
                let generation = self.snapshots.running().borrow().generation;
                let now = (self.clock.boot_ms(), self.authority.is_connected());
                self.write_ended(self.slices.ended(now, generation));
            }
        }
    }

    /// Ends every slice; nothing is permitted any more.
    pub(crate) fn end_slices(&self) {
        self.write_ended(self.slices.end_all());
    }

    fn write_ended(&self, ended: Vec<checkrein_shared::decision::SliceClosed>) {
        let mut ended = ended.into_iter();
        let mut is_written = false;
        while let Some(closed) = ended.next() {
            if let Err(error) = self.journal.append(&Record::SliceClosed(closed)) {
                warn!(error = &error as &dyn std::error::Error, slice = %closed.slice, "the end of a slice can't be recorded; what is left of it stays held");
                self.slices.unwritten(std::iter::once(closed).chain(ended));
                return;
            }
            is_written = true;
        }
        if is_written {
            // Somebody may wait for what comes free.
            self.journal.ask_for_sync();
        }
    }
}

/// The call as far as slices are concerned; none, if there is no grant.
pub(super) fn call<'a>(case: &'a Case, weighed: &'a Weighed) -> Option<Call<'a>> {
    let chain = weighed.chain.as_ref()?;
    Some(Call {
        task: chain.root().task,
        presented: &case.presented,
        tool: &case.action.tool,
        generation: weighed.running.generation,
        cost: &weighed.cost,
    })
}

#[cfg(test)]
mod tests;
