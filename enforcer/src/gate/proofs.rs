//! Proofs of possession that were used here: each is good for one call.
//!
//! What is remembered here is forgotten when the enforcer stops; a full-tier release uses its proof up in the control plane
//! as well, once for the whole fleet.
//!
//! **Invariant**: no proof is believed twice while it can be believed at all, and no grant's proofs crowd out another's: past
//! its bound, that grant alone is refused.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use checkrein_shared::decision::{Cause, Tier};
use checkrein_shared::grant::{Chain, InvalidProof, PROOF_LIFE_MS, Proof};
use checkrein_shared::id::{GrantId, ProofId};
use thiserror::Error;

use super::{Case, Core};
use crate::control_plane::Refusal;

/// One grant may have used so many proofs that could still be believed.
const PROOFS_PER_GRANT_MAX: usize = 4_096;
/// And all grants together.
const PROOFS_MAX: usize = 262_144;
/// A proof is believed from this long before the moment it names until this long after.
const REMEMBERED_MS: u64 = 2 * PROOF_LIFE_MS;

/// Those that could still be believed.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    ids: HashSet<ProofId>,
    /// Oldest first, by the clock that never jumps.
    order: VecDeque<(u64, ProofId, GrantId)>,
    by_grant: HashMap<GrantId, usize>,
}

/// A proof that is not believed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
enum Unusable {
    #[error("the proof of possession was used before; make one for each call")]
    Replayed,
    #[error("more proofs of possession are made for this grant than can be remembered; call more slowly")]
    TooMany,
}

impl Core {
    /// What the proof of possession of this call shows; a refusal if it shows nothing, or is missing where one is wanted.
    pub(super) fn proved(&self, case: &Case, chain: &Chain, tier: Tier) -> Result<Option<ProofId>, Refusal> {
        let refusal = |why: InvalidProof| Refusal::new(Cause::InvalidProof, why.to_string());
        let proved = case.proved.get_or_init(|| {
            if case.proof.is_empty() {
                return Ok(None);
            }
            let call = (case.action.tool.as_str(), &case.action.arguments);
            let proof = Proof::verify(
                &case.proof,
                &case.presented,
                chain.leaf(),
                call,
                self.clock.wall_ms(),
            )
            .map_err(refusal)?;
            self.proofs
                .use_once(proof.id, chain.leaf().id, self.clock.boot_ms())
                .map_err(|why| Refusal::new(Cause::InvalidProof, why.to_string()))?;
            Ok(Some(proof.id))
        });
        match proved {
            Ok(None) if tier == Tier::Full && chain.leaf().holder.is_some() => {
                Err(refusal(InvalidProof::Missing))
            }
            proved => proved.clone(),
        }
    }
}

impl Proofs {
    /// Uses a proof of this grant up.
    fn use_once(&self, proof: ProofId, grant: GrantId, boot_ms: u64) -> Result<(), Unusable> {
        let mut used = self.used();
        used.forget(boot_ms);
        if used.ids.contains(&proof) {
            return Err(Unusable::Replayed);
        }
        let of_grant = used.by_grant.get(&grant).copied().unwrap_or_default();
        if of_grant >= PROOFS_PER_GRANT_MAX || used.ids.len() >= PROOFS_MAX {
            return Err(Unusable::TooMany);
        }
        used.ids.insert(proof);
        used.order.push_back((boot_ms, proof, grant));
        used.by_grant.insert(grant, of_grant + 1);
        Ok(())
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Nothing in here panics halfway.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn forget(&mut self, boot_ms: u64) {
        while let Some((at_ms, proof, grant)) = self.order.front().copied()
            && boot_ms.saturating_sub(at_ms) > REMEMBERED_MS
        {
            self.order.pop_front();
            self.ids.remove(&proof);
            if let Some(count) = self.by_grant.get_mut(&grant) {
                *count -= 1;
                if *count == 0 {
                    self.by_grant.remove(&grant);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
