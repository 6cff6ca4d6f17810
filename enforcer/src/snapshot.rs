//! What decides, as one value: pinned once per decision, replaced whole.
//!
//! Written by the follower alone; read by every deciding thread. This file has the only `ArcSwap` of the enforcer.
//!
//! **Invariant**: policy generation and revocation sequence change together or not at all, as a decision sees them; a policy never
//! decides without the teams of the roster beside it; and no deciding thread ever frees a bundle: the writer keeps every replaced
//! snapshot until it is the last to hold it.

mod revocations;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use checkrein_shared::Generation;
use checkrein_shared::action::{MaskingKey, Sha256};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::key::KeySet;
use checkrein_shared::policy::{Bundle, Judgement, Roster, Seated, Situation};
use tokio::sync::watch;
use tracing::error;

pub(crate) use revocations::Revocations;

/// Everything a verdict depends on that comes from the control plane.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// None: nothing is permitted.
    pub(crate) policy: Option<Policy>,
    pub(crate) revocations: Arc<Revocations>,
    /// None: no grant can be verified.
    pub(crate) keys: Option<Arc<KeySet>>,
    /// The agents this enforcer may speak for.
    pub(crate) agents: Arc<BTreeSet<SpiffeId>>,
    /// What the register says of them. One that is not in it is denied: which rules apply to it can't be said.
    pub(crate) roster: Arc<Roster>,
    /// In memory only: it comes with each session.
    pub(crate) masking: Option<MaskingKey>,
}

/// A bundle that was verified and decoded.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) bundle: Arc<Bundle>,
    /// The digest of its manifest.
    pub(crate) manifest: Sha256,
    /// The bundle with the roster's teams; none: they add nothing to it. Kept up by [`Snapshots`] alone.
    pub(crate) seated: Option<Arc<Seated>>,
}

/// What runs, for whoever must compare it with what is newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Running {
    pub(crate) epoch: u64,
    pub(crate) generation: Generation,
    pub(crate) manifest: Sha256,
    pub(crate) revocation_sequence: u64,
    pub(crate) roster_revision: u64,
}

/// The current snapshot, and the old ones somebody still reads.
#[derive(Debug)]
pub(crate) struct Snapshots {
    current: ArcSwap<Snapshot>,
    retired: Mutex<Vec<Arc<Snapshot>>>,
    running: watch::Sender<Running>,
}

impl Snapshot {
    /// What this snapshot runs.
    pub(crate) fn running(&self) -> Running {
        let policy = self.policy.as_ref();
        Running {
            epoch: policy.map_or(0, |policy| policy.bundle.epoch()),
            generation: policy.map_or(Generation(0), |policy| policy.bundle.generation()),
            manifest: policy.map(|policy| policy.manifest).unwrap_or_default(),
            revocation_sequence: self.revocations.sequence,
            roster_revision: self.roster.revision,
        }
    }

    /// Whether what was put together for another is of this bundle and this roster, and is what stands here.
    fn is_seated_as(&self, other: &Self) -> bool {
        let parts = |snapshot: &Self| {
            let policy = snapshot.policy.as_ref();
            policy.map(|policy| {
                (
                    Arc::as_ptr(&policy.bundle),
                    policy.seated.as_ref().map(Arc::as_ptr),
                )
            })
        };
        parts(self) == parts(other) && self.roster.agents == other.roster.agents
    }

    /// Puts the agents of the roster into their teams. What can't be put together is not known: its agents are denied.
    fn seat(&mut self) {
        let Some(policy) = &mut self.policy else {
            return;
        };
        let seated = Seated::new(&policy.bundle, &self.roster);
        policy.seated = seated
            .unwrap_or_else(|error| {
                error!(%error, "the agents of this enforcer are denied");
                self.roster = Arc::default();
                None
            })
            .map(Arc::new);
    }
}

impl Policy {
    /// Judges a situation, each agent in the teams of packs and of the roster.
    pub(crate) fn judge(&self, situation: &Situation<'_>) -> Judgement {
        match &self.seated {
            Some(seated) => seated.judge(situation),
            None => self.bundle.judge(situation),
        }
    }
}

impl Snapshots {
    pub(crate) fn new(mut first: Snapshot) -> Self {
        first.seat();
        let running = watch::Sender::new(first.running());
        Self {
            current: ArcSwap::from_pointee(first),
            retired: Mutex::default(),
            running,
        }
    }

    /// The snapshot of this moment, for one decision. Let go of it before waiting for people.
    pub(crate) fn pin(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Replaces the snapshot. There is one writer, so that read and write need no retry.
    pub(crate) fn install(&self, change: impl FnOnce(&mut Snapshot)) {
        let before = self.current.load_full();
        let mut next = Snapshot::clone(&before);
        change(&mut next);
        if !next.is_seated_as(&before) {
            next.seat();
        }
        // What was read is let go of: the writer counts who still reads.
        drop(before);
        let running = next.running();
        let old = self.current.swap(Arc::new(next));
        self.retired().push(old);
        self.running.send_replace(running);
    }

    /// Takes out the retired snapshots nobody reads any more; whoever calls this frees them.
    #[must_use = "dropping these is the point; choose the thread that does"]
    pub(crate) fn sweep(&self) -> Vec<Arc<Snapshot>> {
        let mut retired = self.retired();
        // Out of `current` nobody can gain a reference any more: one left is ours, and stays one.
        let (free, read) = std::mem::take(&mut *retired)
            .into_iter()
            .partition(|old| Arc::strong_count(old) == 1);
        *retired = read;
        free
    }

    /// What runs, now and from now on.
    pub(crate) fn running(&self) -> watch::Receiver<Running> {
        self.running.subscribe()
    }

    fn retired(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Snapshot>>> {
        // A push or a partition leaves no half state behind.
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
