//! From a person's yes to a release: judge again, compare, consume, record, and only then let it through.
//!
//! **Invariant**: what is released is what was approved, byte for byte, under the policy and the task of this moment, and
//! the approval is used up before. Whatever is uncertain afterwards is never tried again here.

use std::sync::Arc;

use checkrein_shared::action::Sha256;
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::id::{DecisionId, HoldId};

use super::wait::unreachable;
use crate::control_plane::{Consume, Consumption, Refusal};
use crate::gate::{Answer, Case, Core, Weighed};

/// An approval is presented at most so often while newer policy keeps coming.
const TRIES_MAX: usize = 5;
/// Room the journal must have before an approval is used up; a release that can't be recorded is a wasted approval.
const ROOM_BYTES: u64 = 64 << 10;

/// Uses an approval for one release, if everything still stands.
pub(crate) async fn release(core: Arc<Core>, case: Arc<Case>, hold: HoldId, approved: Sha256) -> Answer {
    let id = DecisionId::new(&*core.clock);
    for _ in 0..TRIES_MAX {
        let mut weighed = core.weigh_informed(&case).await;
        let ask = match consume_request(&core, &case, &weighed, (hold, id), approved) {
            Ok(ask) => ask,
            Err(None) => return core.deny_held(&case, weighed, Some(hold)),
            Err(Some(refusal)) => return core.deny_held(&case, weighed.denied(refusal), Some(hold)),
        };
        // Before the approval is used up: one whose labels can't be written is not wasted.
        if let Err(refusal) = core.pay_owed(&case, &weighed, id).await {
            return core.deny_held(&case, weighed.denied(refusal), Some(hold));
        }
        let asked_boot_ms = core.clock.boot_ms();
        match core.authority.consume(ask).await {
            Ok(Consumption::Consumed { approvers }) => {
                return core
                    .release(&case, weighed.approved_by(&approvers), Some(hold), id)
                    .await;
            }
            Ok(Consumption::Refresh(generation, ledger)) => {
                core.learn(&weighed, ledger, asked_boot_ms);
                core.reach(generation).await;
            }
            Ok(Consumption::Refused(refusal)) => {
                return core.deny_held(&case, weighed.denied(refusal), Some(hold));
            }
            // It may have been used up: then it stays so, and what it took is given back, for nothing is released.
            Err(error) => {
                weighed.confirmed = Some(id);
                return core.deny_held(&case, unreachable(weighed, &error), Some(hold));
            }
        }
    }
    let weighed = core.weigh(&case).behind();
    core.deny_held(&case, weighed, Some(hold))
}

/// What to present; or why not to, if not because of what was weighed.
fn consume_request(
    core: &Core,
    case: &Case,
    weighed: &Weighed,
    (hold, attempt): (HoldId, DecisionId),
    approved: Sha256,
) -> Result<Consume, Option<Refusal>> {
    if weighed.verdict == Verdict::Deny {
        return Err(None);
    }
    // From the bytes in memory, under the catalog of now.
    let present = weighed
        .identity
        .as_ref()
        .map(checkrein_shared::action::ActionIdentity::sha256);
    if present != Some(approved) {
        let reason = "what was approved and what would be done are not the same any more";
        return Err(Some(Refusal::new(Cause::ActionChanged, reason)));
    }
    let size = ROOM_BYTES + weighed.arguments.0.len() as u64;
    if !core.journal.has_room(size) {
        let reason = "the release can't be recorded; the approval is not used";
        return Err(Some(Refusal::new(Cause::JournalFull, reason)));
    }
    Ok(Consume {
        hold,
        presented: Arc::clone(&case.presented),
        proof: weighed.proof,
        action_sha256: approved,
        generation: weighed.running.generation,
        requirements: weighed.requirements.clone(),
        instance: core.instance,
        incarnation: core.journal.incarnation(),
        ledger_revision: weighed.seen_revision(),
        reversibility: weighed.reversibility,
        cost: weighed.cost,
        attempt,
    })
}

#[cfg(test)]
mod tests;
