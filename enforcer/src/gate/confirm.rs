//! A full-tier action, every action of a task whose calls are counted, and every one that costs something, goes ahead only if the
//! primary says, now, that the task is live and its policy the newest, and has charged the call. A call of a lower tier may have been
//! charged before, with a [slice](crate::slices) that is held here.
//!
//! **Invariant**: a call that is to be charged and was not is denied. One that was charged and is denied afterwards stays charged
//! until the record of the deny has come home: too few are made, never too many.

use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::Generation;
use checkrein_shared::decision::{Cause, Tier};
use checkrein_shared::id::{DecisionId, SliceId};
use tracing::debug;

use super::{Case, Core, Weighed, payment};
use crate::control_plane::{Charge, Confirm, Confirmation, Known, Refusal};
use crate::slices::{Paid, Payment};

/// How long to wait for a newer policy that is known to exist.
const REACH_DEADLINE: Duration = Duration::from_secs(2);

/// Room the journal must have before a call is charged; a release that can't be recorded is a wasted call.
const ROOM_BYTES: u64 = 64 << 10;

/// What the control plane says.
pub(super) enum Confirmed {
    /// It need not be asked: the call is paid from what is held here.
    Paid(Paid),
    /// With what was known of the task before, and when that was asked for, on the boot clock.
    Yes(Option<Known>, u64),
    No(Refusal),
    /// Nobody knows what it says: it may have charged the call.
    Unheard(Refusal),
    /// There is a newer policy than the one the action was judged under.
    NewerPolicy(Generation),
}

impl Core {
    /// Pays a call from a slice, or confirms it, perhaps with another slice.
    pub(super) async fn pay_confirmed(
        &self,
        case: &Case,
        weighed: &Weighed,
        release: DecisionId,
    ) -> Confirmed {
        match self.pay_or_confirm(case, weighed) {
            Payment::Drawn(paid) => Confirmed::Paid(paid),
            Payment::Confirm(slice) => self.confirm(case, weighed, (release, slice)).await,
        }
    }

    async fn confirm(
        &self,
        case: &Case,
        weighed: &Weighed,
        (release, slice): (DecisionId, Option<SliceId>),
    ) -> Confirmed {
        let Some(chain) = &weighed.chain else {
            return Confirmed::No(Refusal::new(Cause::InvalidGrant, "there is no grant to confirm"));
        };
        let is_charged = weighed.is_charged();
        if is_charged
            && !self
                .journal
                .has_room(ROOM_BYTES + weighed.arguments.0.len() as u64)
        {
            let reason = "the release can't be recorded; no call is charged";
            return Confirmed::No(Refusal::new(Cause::JournalFull, reason));
        }
        let ask = Confirm {
            release,
            task: chain.root().task,
            presented: Arc::clone(&case.presented),
            proof: weighed.proof,
            generation: weighed.running.generation,
            revocation_sequence: weighed.running.revocation_sequence,
            tool: case.action.tool.clone(),
            reversibility: weighed.reversibility,
            asked: self.asked(case, weighed),
            cost: weighed.cost,
            instance: self.instance,
            incarnation: self.journal.incarnation(),
            slice,
        };
        // Before it is asked: an answer may be long on its way, and what it says is as old as the question at most.
        let asked_boot_ms = self.clock.boot_ms();
        let answer = self.authority.confirm(ask).await;
        if let (Some(call), Some(id)) = (payment::call(case, weighed), slice) {
            match &answer {
                Ok(confirmation) => self.slices.given(call, id, confirmation.slice, asked_boot_ms),
                Err(_) => self.slices.unheard(call.task, id),
            }
        }
        match answer {
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "a task can't be confirmed"
                );
                let needs = match weighed.tier {
                    Tier::Full => "a full-tier action",
                    Tier::Static | Tier::Light => "a call that is charged to a budget",
                };
                let reason = format!("{needs} needs the control plane, and {error}");
                Confirmed::Unheard(Refusal::new(error.cause(), reason))
            }
            Ok(Confirmation {
                refused: Some(refusal),
                ..
            }) => Confirmed::No(refusal),
            Ok(confirmation) if !confirmation.live => Confirmed::No(Refusal::new(
                Cause::TaskEnded,
                "the task is over; its authority ended with it",
            )),
            Ok(confirmation) if confirmation.generation > weighed.running.generation => {
                Confirmed::NewerPolicy(confirmation.generation)
            }
            Ok(confirmation) => match confirmation.charge {
                _ if !is_charged => Confirmed::Yes(confirmation.known, asked_boot_ms),
                Charge::Charged => Confirmed::Yes(confirmation.known, asked_boot_ms),
                Charge::Exhausted => Confirmed::No(Refusal::new(Cause::Budget, chain.used_up())),
                Charge::None => Confirmed::No(Refusal::new(
                    Cause::Budget,
                    "the control plane did not charge this call to the budget of its task",
                )),
            },
        }
    }

    /// Waits, within a bound, until this generation runs here.
    pub(crate) async fn reach(&self, generation: Generation) {
        let mut running = self.snapshots.running();
        let reached = running.wait_for(|running| running.generation >= generation);
        // Not reached: whoever asked judges again, is told again to refresh, and gives up.
        drop(tokio::time::timeout(REACH_DEADLINE, reached).await);
    }
}

#[cfg(test)]
mod tests;
