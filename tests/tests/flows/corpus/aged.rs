//! Policy that grows old: an enforcer that its control plane does not reach, on a clock that goes no further by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use checkrein_enforcer::{Enforcer, Status};
use checkrein_shared::{Clock, SharedClock, SystemClock};
use checkrein_tests::{Cut, WAIT_MAX, World};

use super::stand::Place;

/// The wire to the control plane, and the clock.
pub(super) struct Aged {
    wire: Cut,
    clock: Stopped,
    /// When the wire was cut, by that clock.
    cut_boot_ms: u64,
}

/// The machine's clock, but that ages are measured on a moment that stays, once one is said: whoever asks finds the same age.
#[derive(Debug, Clone, Default)]
struct Stopped(Arc<AtomicU64>);

impl Clock for Stopped {
    fn wall_ms(&self) -> u64 {
        SystemClock.wall_ms()
    }

    fn boot_ms(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => SystemClock.boot_ms(),
            stopped => stopped,
        }
    }
}

impl Aged {
    pub(super) async fn before(world: &World) -> Self {
        Self {
            wire: Cut::before(world.address(0)).await.unwrap(),
            clock: Stopped::default(),
            cut_boot_ms: 0,
        }
    }

    pub(super) fn place(&self) -> Place {
        let clock: SharedClock = Arc::new(self.clock.clone());
        Place {
            control_plane: self.wire.address,
            clock,
        }
    }

    /// From now on its policy is confirmed no more.
    pub(super) async fn cut(&mut self, enforcer: &Enforcer) {
        self.wire.cut();
        let is_alone = |status: &Status| !status.connected();
        enforcer.wait_until(is_alone, WAIT_MAX).await.unwrap();
        self.cut_boot_ms = self.clock.boot_ms();
    }

    /// It was confirmed about so long ago.
    pub(super) fn by(&self, age_s: u64) {
        let now_ms = self.cut_boot_ms + age_s * 1_000;
        self.clock.0.store(now_ms, Ordering::Relaxed);
    }

    /// Its control plane hears of what it decided.
    pub(super) fn heal(&self) {
        self.wire.heal();
    }
}
