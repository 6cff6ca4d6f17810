//! A call that goes on while its authority ends is told so.
//!
//! **Invariant**: whoever waits hears of every revocation that is in force here, however it came about: those that came before
//! it began to wait as well.

use std::future::pending;

use checkrein_shared::grant::Stopped;

use super::Permit;

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
        let mut running = core.snapshots.running();
        loop {
            // Marked as seen before the look: what is installed after it wakes us.
            running.borrow_and_update();
            let revocations = core.snapshots.pin().revocations.clone();
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
