//! An enforcer that runs: what it was started with, and what it has heard since.

use std::sync::{Arc, Mutex};

use checkrein_shared::grant::{Revocation, Revoked};
use checkrein_shared::id::TaskId;
use checkrein_shared::{Clock, ManualClock};

use super::site::Site;
use super::wire::{Link, Wire};
use crate::control_plane::Authority;
use crate::fixture::AGENT;
use crate::freshness::Freshness;
use crate::gate::{Caller, Core, Gate};
use crate::hold::Holds;
use crate::snapshot::Snapshots;

/// An enforcer that runs.
pub(super) struct Standing {
    pub(super) gate: Gate,
    snapshots: Arc<Snapshots>,
    freshness: Arc<Freshness>,
    pub(super) run: u32,
    /// The epoch of the task that it has heard of.
    pub(super) heard: u64,
}

impl Standing {
    /// Begins, knowing nothing of any task.
    pub(super) fn start(
        site: &Site,
        (enforcer, run): (usize, u32),
        wire: &Arc<Mutex<Wire>>,
        clock: &ManualClock,
    ) -> Self {
        let snapshots = Arc::new(Snapshots::new(site.snapshot()));
        let freshness = Arc::new(Freshness::new(Arc::new(clock.clone()), None));
        let link = Link {
            enforcer,
            wire: Arc::clone(wire),
        };
        let core = Core::new(
            site.instance(),
            Arc::new(clock.clone()),
            Arc::clone(&snapshots),
            Arc::clone(&freshness),
            site.journal(enforcer),
            Arc::new(link) as Arc<dyn Authority>,
            Arc::new(Holds::default()),
        );
        let caller = Caller {
            agent: AGENT.parse().unwrap(),
            asserted: true,
        };
        let asked = freshness.ask();
        assert!(freshness.confirm(asked, 0));
        Self {
            gate: Gate::new(Arc::new(core), Some(caller)),
            snapshots,
            freshness,
            run,
            heard: 0,
        }
    }

    /// Whatever was pushed arrives: the epoch that the task is in now, and that nothing else is new.
    pub(super) fn hear(&mut self, task: TaskId, epoch: u64, clock: &ManualClock) {
        if self.heard < epoch {
            self.heard = epoch;
            let over = Revocation {
                what: Revoked::Before { task, epoch },
                expires_ms: u64::MAX,
                cause: "amended".into(),
            };
            let now_ms = clock.wall_ms();
            self.snapshots.install(|next| {
                next.revocations = Arc::new(next.revocations.extended(epoch, [over], now_ms));
            });
        }
        let asked = self.freshness.ask();
        assert!(self.freshness.confirm(asked, 0));
    }
}
