//! For benchmarks, behind the feature `measure`, which nothing that ships turns on: what decided once decides again.
//!
//! A swap is rare where enforcers run, and each new policy is decoded first, so that neither its cost to those who decide
//! meanwhile nor a verdict between two policies would ever be seen. Here decoded policies take turns as fast as one likes,
//! by the very step the follower takes. What a grant costs is a small part of a decision, and is seen alone.
//!
//! **Invariant**: only what this enforcer verified and decoded itself is installed. What is given up is that a lower
//! generation never returns, and therefore no ordinary build has this.

use std::sync::Arc;

use checkrein_shared::grant::{Chain, InvalidGrant};
use checkrein_shared::id::TaskId;
use checkrein_shared::key::KeySet;
use checkrein_shared::ledger::Ledger;

use crate::Enforcer;
use crate::gate::VerifiedGrants;
use crate::ledger::Ledgers;
use crate::snapshot::Policy;

/// A policy that decided in this enforcer.
#[derive(Debug, Clone)]
pub struct Decoded(Policy);

/// What a gate remembers of the grants it has seen.
#[derive(Debug, Default)]
pub struct SeenGrants(VerifiedGrants);

impl SeenGrants {
    /// The grant of a token, as a decision looks it up.
    pub fn verify(&self, token: &str, keys: &KeySet) -> Result<Arc<Chain>, InvalidGrant> {
        self.0.verify(token, keys)
    }
}

/// What a gate remembers of the ledgers of tasks.
#[derive(Debug, Default)]
pub struct SeenLedgers(Ledgers);

impl SeenLedgers {
    /// Takes in what the control plane said of a task.
    pub fn learn(&self, task: TaskId, ledger: Ledger) {
        self.0.learn(task, 0, Arc::new(ledger), 0);
    }

    /// The ledger of a task, as a decision looks it up.
    pub fn view(&self, task: TaskId) -> Option<Arc<Ledger>> {
        self.0.view(task, 0).map(|view| view.ledger)
    }
}

impl Enforcer {
    /// The policy that decides now; none before the first.
    pub fn decoded(&self) -> Option<Decoded> {
        self.parts.snapshots.pin().policy.clone().map(Decoded)
    }

    /// Lets a policy decide again.
    pub fn swap_to(&self, decoded: &Decoded) {
        let policy = decoded.0.clone();
        self.parts.snapshots.install(|next| next.policy = Some(policy));
        self.parts.sweep();
    }
}
