//! Releases that wait for what calls under way may give back: in order, and not for long.
//!
//! A place is written down before anybody waits, so that it holds on every replica; whoever crashes while waiting loses it soon.
//!
//! **Invariant**: nobody takes what comes free while somebody else waits for it who came before; nobody waits longer than
//! [`WAIT_MAX`], and nothing is held for anybody who waits.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::database::{Database, DatabaseError};
use crate::task::store;

/// Longer than this nobody waits: an enforcer gives up on an answer after three seconds.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// So often whoever is first looks whether something came free; whoever has others before it waits for each of them as long, up to
/// ten.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const AHEAD_MAX: u32 = 9;
/// A place that is older is nobody's any more.
pub(in crate::task) const PLACE_KEPT: Duration = Duration::from_secs(5);
/// So many wait for one budget; one more is refused at once.
pub(in crate::task) const WAITERS_MAX: i64 = 256;

/// One release that may have to wait.
#[derive(Debug)]
pub struct Waiting<'a> {
    database: &'a Database,
    release: Uuid,
    until: Instant,
    is_in_line: bool,
}

impl<'a> Waiting<'a> {
    /// Waits from now on at most so long as anybody does.
    pub fn of(database: &'a Database, release: Uuid) -> Self {
        Self {
            database,
            release,
            until: Instant::now() + WAIT_MAX,
            is_in_line: false,
        }
    }

    /// Waits until it may be worth while to try again; false if there is no more time, or no place.
    pub async fn turn(&mut self, keys: &[String]) -> Result<bool, DatabaseError> {
        if self.is_in_line {
            sleep(LOOK_INTERVAL).await;
        } else {
            let tx = self.database.begin("budget.line_up").await?;
            self.is_in_line = store::spend::line_up(&tx, self.release, keys).await?;
            tx.commit().await?;
        }
        while self.is_in_line && Instant::now() < self.until {
            let tx = self.database.begin("budget.look").await?;
            let ahead = store::spend::ahead(&tx, self.release).await?;
            drop(tx);
            if ahead == 0 {
                return Ok(true);
            }
            sleep(LOOK_INTERVAL * (1 + ahead.min(AHEAD_MAX))).await;
        }
        self.leave().await?;
        Ok(false)
    }

    /// Makes room for the next.
    pub async fn leave(&self) -> Result<(), DatabaseError> {
        if !self.is_in_line {
            return Ok(());
        }
        let tx = self.database.begin("budget.leave").await?;
        store::spend::leave(&tx, self.release).await?;
        tx.commit().await
    }
}
