//! Time is an argument. This file alone reads the machine's clocks.
//!
//! Two clocks, because they fail differently: the wall clock can be set back, and is what people and certificates
//! mean; the boot clock only grows, through suspend too, and is what ages are measured on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

/// Where time comes from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn wall_ms(&self) -> u64;
    /// Milliseconds since this machine booted, suspend included (`CLOCK_BOOTTIME`).
    fn boot_ms(&self) -> u64;
}

/// A clock handed from part to part.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// A clock that stands still until it is moved; clones share it.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    wall_ms: Arc<AtomicU64>,
    boot_ms: Arc<AtomicU64>,
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn boot_ms(&self) -> u64 {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
        seconds * 1_000 + nanoseconds / 1_000_000
    }
}

impl ManualClock {
    /// A clock that shows this wall time.
    pub fn at(wall_ms: u64) -> Self {
        let clock = Self::default();
        clock.wall_ms.store(wall_ms, Ordering::Relaxed);
        clock
    }

    /// Lets time pass on both clocks.
    pub fn advance_ms(&self, by_ms: u64) {
        self.wall_ms.fetch_add(by_ms, Ordering::Relaxed);
        self.boot_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Sets the wall clock, as an administrator can, and leaves the boot clock alone.
    pub fn set_wall_ms(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }

    fn boot_ms(&self) -> u64 {
        self.boot_ms.load(Ordering::Relaxed)
    }
}
