//! How the enforcer does, as one value that people, health checks and tests can look at and wait on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::Generation;
use checkrein_shared::action::Sha256;
use checkrein_shared::id::InstanceId;
use tokio::sync::watch;

/// Ages grow without an event: whoever waits on one looks again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How an enforcer does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The name in the register; none until the control plane said so once.
    pub enforcer: Option<String>,
    /// The directory it runs from.
    pub instance: InstanceId,
    /// Which opening of it.
    pub incarnation: u64,
    /// Until when its certificate is good. Passed: no new connection is made until there is a new one.
    pub identity_until_ms: u64,
    /// The replica it is connected to.
    pub replica: Option<String>,
    /// The epoch of the policy that decides.
    pub epoch: u64,
    /// Its generation; 0: none, everything is denied.
    pub generation: Generation,
    /// The digest of its manifest.
    pub manifest: Sha256,
    /// How far the revocation log is known.
    pub revocation_sequence: u64,
    /// Which roster of agents and teams is known.
    pub roster_revision: u64,
    /// How long ago all of it was confirmed to be the newest; at most `u64::MAX`: never.
    pub policy_age_ms: u64,
    /// Secret arguments can be masked.
    pub has_masking_key: bool,
    /// How many holds are waited for.
    pub holds_waiting: usize,
    /// The sequence of the journal's next record.
    pub journal_appended: u64,
    /// Everything before this is stored by the control plane.
    pub journal_acked: u64,
    /// What the journal holds on disk.
    pub journal_bytes: u64,
    /// The journal failed: everything is denied until a restart.
    pub journal_failed: bool,
    /// Incarnations whose records can't be read back, or are refused; they wait on disk. Not empty: look at the log.
    pub journal_stuck: BTreeSet<u64>,
    /// Incarnations of which the control plane tells another story. Not 0: look at the log.
    pub forks: u64,
    /// Policies refused since the start.
    pub nacks: u64,
    /// Why the last of them was refused.
    pub last_nack: Option<String>,
    /// Policies that would have rolled this enforcer back. Not 0: look at the log.
    pub rollbacks_refused: u64,
}

/// Where the parts of an enforcer say how they do.
#[derive(Debug, Clone)]
pub(crate) struct StatusBoard(Arc<watch::Sender<Status>>);

/// A wait that ended before what was waited for came.
#[derive(Debug, thiserror::Error)]
#[error("not so within {waited:?}; the enforcer stands at {last:?}")]
pub struct NotReached {
    /// How long.
    pub waited: Duration,
    /// How it stood then.
    pub last: Box<Status>,
}

impl Status {
    /// Whether a replica is connected.
    pub const fn connected(&self) -> bool {
        self.replica.is_some()
    }

    /// Whether this generation decides and was confirmed once to be the newest: until then only static calls are permitted.
    pub fn decides_by(&self, generation: Generation) -> bool {
        self.generation == generation && self.policy_age_ms < u64::MAX
    }

    /// Records the control plane has not stored yet, of this incarnation.
    pub const fn journal_pending(&self) -> u64 {
        self.journal_appended.saturating_sub(self.journal_acked)
    }
}

impl StatusBoard {
    pub(crate) fn new(instance: InstanceId, incarnation: u64) -> Self {
        let status = Status {
            enforcer: None,
            instance,
            incarnation,
            identity_until_ms: 0,
            replica: None,
            epoch: 0,
            generation: Generation(0),
            manifest: Sha256::default(),
            revocation_sequence: 0,
            roster_revision: 0,
            policy_age_ms: u64::MAX,
            has_masking_key: false,
            holds_waiting: 0,
            journal_appended: 0,
            journal_acked: 0,
            journal_bytes: 0,
            journal_failed: false,
            journal_stuck: BTreeSet::new(),
            forks: 0,
            nacks: 0,
            last_nack: None,
            rollbacks_refused: 0,
        };
        Self(Arc::new(watch::Sender::new(status)))
    }

    /// Changes what is seen.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        self.0.send_modify(change);
    }

    /// What was last said.
    pub(crate) fn read(&self) -> Status {
        self.0.borrow().clone()
    }

    /// Waits until `look` gives a status that satisfies, for at most so long.
    pub(crate) async fn wait_until(
        &self,
        look: impl Fn() -> Status,
        satisfies: impl Fn(&Status) -> bool,
        within: Duration,
    ) -> Result<Status, NotReached> {
        let mut changes = self.0.subscribe();
        let deadline = tokio::time::Instant::now() + within;
        loop {
            changes.borrow_and_update();
            let status = look();
            if satisfies(&status) {
                return Ok(status);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(NotReached {
                    waited: within,
                    last: Box::new(status),
                });
            }
            let again = deadline.min(tokio::time::Instant::now() + LOOK_AGAIN);
            // Either way it is looked at again.
            drop(tokio::time::timeout_at(again, changes.changed()).await);
        }
    }
}
