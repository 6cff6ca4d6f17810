//! An enforcer, put together: what it opens, what it runs, and how it stops.
//!
//! **Invariant**: opening needs no control plane. What was kept decides at once; if nothing was, everything is denied.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use checkrein_shared::{SharedClock, SystemClock};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::control_plane::{Connection, Endpoints, InvalidReplica, Replicas};
use crate::directory::{Directory, DirectoryError, sync_directory};
use crate::follow::{Follower, Parts};
use crate::freshness::Freshness;
use crate::gate::{Caller, Core, Gate};
use crate::hold::Holds;
use crate::identity::{IdentityError, Renewer, Source};
use crate::journal::upload::Uploader;
use crate::journal::{Journal, JournalError};
use crate::last_known_good::{LastKnownGood, LastKnownGoodError};
use crate::snapshot::Snapshots;
use crate::status::{NotReached, Status, StatusBoard};

/// How often old snapshots are freed and the age of the policy is written down.
const UPKEEP: Duration = Duration::from_secs(2);
/// How long a shutdown waits for calls under way to say how they ended.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// How long it waits for the control plane to take the last records; they are on disk in any case.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A running enforcer. Dropping it stops it at once; [`Enforcer::shutdown`] lets it finish.
#[derive(Debug)]
pub struct Enforcer {
    gate: Gate,
    core: Arc<Core>,
    pub(crate) parts: Arc<Parts>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    identity: Source,
    directory: Directory,
}

/// An enforcer that can't run.
#[derive(Debug, Error)]
pub enum EnforcerError {
    /// Its directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Its journal.
    #[error("can't open the journal")]
    Journal(#[from] JournalError),
    /// What it kept.
    #[error(transparent)]
    LastKnownGood(#[from] LastKnownGoodError),
    /// Its certificates.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its control plane's address.
    #[error(transparent)]
    Replica(#[from] InvalidReplica),
    /// It was stopped while it opened.
    #[error("stopped while opening")]
    Stopped,
}

/// What is read from disk before anything runs.
struct Opened {
    directory: Directory,
    journal: Journal,
    last_known_good: LastKnownGood,
    snapshots: Snapshots,
}

impl Enforcer {
    /// Opens the directory, decides from what was kept there, and follows the control plane from now on.
    ///
    /// Returns at once, whether or not the control plane answers; [`Enforcer::wait_until`] waits for it. An identity from the
    /// Workload API is waited for, within a bound: without one nobody could be spoken to.
    pub async fn connect(config: Config) -> Result<Self, EnforcerError> {
        Self::connect_with(config, Arc::new(SystemClock)).await
    }

    /// The same, on another clock.
    pub async fn connect_with(config: Config, clock: SharedClock) -> Result<Self, EnforcerError> {
        let identity = Source::open(&config).await?;
        let endpoints = Endpoints::new(&config, identity.clone())?;
        let asserted = config.in_process.as_ref();
        let caller = asserted.map(|process| Caller {
            agent: process.agent.clone(),
            asserted: true,
        });
        let (reading, clock_of_reading) = (config.clone(), Arc::clone(&clock));
        let opened = tokio::task::spawn_blocking(move || Opened::read(&reading, &clock_of_reading)).await;
        let opened = opened.map_err(|_| EnforcerError::Stopped)??;
        let connection = Connection::default();
        let (parts, directory) = opened.into_parts(&config, &clock);
        let core = Arc::new(Core::new(
            parts.instance,
            Arc::clone(&clock),
            Arc::clone(&parts.snapshots),
            Arc::clone(&parts.freshness),
            Arc::clone(&parts.journal),
            Arc::new(Replicas(connection.clone())),
            Arc::clone(&parts.holds),
        ));
        let gate = Gate::new(Arc::clone(&core), caller);
        let stop = CancellationToken::new();
        let mut tasks = start((&parts, directory.up_since()), endpoints, &connection, &stop);
        tasks.push(tokio::spawn(Arc::clone(&core).tend_slices(stop.clone())));
        tasks.push(tokio::spawn(
            identity.clone().follow(parts.status.clone(), stop.clone()),
        ));
        if let (true, Some(renewer)) = (config.renew, Renewer::new(&identity, connection, clock)) {
            tasks.push(tokio::spawn(renewer.run(stop.clone())));
        }
        Ok(Self {
            gate,
            core,
            parts,
            stop,
            tasks,
            identity,
            directory,
        })
    }

    /// Where the agent of this process has its actions decided.
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// How the enforcer does now.
    pub fn status(&self) -> Status {
        self.parts.status_now()
    }

    /// Waits until the status satisfies, for at most so long.
    pub async fn wait_until(
        &self,
        satisfies: impl Fn(&Status) -> bool,
        within: Duration,
    ) -> Result<Status, NotReached> {
        self.parts
            .status
            .wait_until(|| self.parts.status_now(), satisfies, within)
            .await
    }

    /// The directory it runs from.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) const fn identity(&self) -> &Source {
        &self.identity
    }

    /// Permits nothing more, and waits, within a bound, for the calls under way to say how they ended; nobody knows of the
    /// rest. Whoever offers the gate over a surface does this first, while callers can still be heard.
    pub async fn settle(&self) {
        self.core.refuse_permits();
        if timeout(SETTLE_MAX, self.core.permits_settled()).await.is_err() {
            warn!("calls were still under way; nobody knows how they end");
        }
        self.core.abandon_permits();
        self.core.end_slices();
    }

    /// Stops: calls under way [settle](Self::settle), the last records are offered to the control plane for a moment, and
    /// what it does not take stays on disk for the next run.
    pub async fn shutdown(mut self) {
        self.settle().await;
        self.parts.journal.ask_for_sync();
        let drained = |status: &Status| status.journal_pending() == 0;
        if self.status().connected() && self.wait_until(drained, DRAIN_MAX).await.is_err() {
            info!("the control plane has not taken every record; the next run will bring them");
        }
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            if timeout(DRAIN_MAX, task).await.is_err() {
                warn!("a part of the enforcer did not stop in time");
            }
        }
        let parts = Arc::clone(&self.parts);
        let closing = tokio::task::spawn_blocking(move || {
            parts.remember_age();
            parts.close();
        });
        drop(closing.await);
    }
}

impl Drop for Enforcer {
    fn drop(&mut self) {
        self.stop.cancel();
        // Nothing was awaited; their outcomes still belong into this run's record.
        self.core.abandon_permits();
        self.core.end_slices();
        // Before the directory is given up. After a shutdown nothing is waited for here; without one, at most for the one
        // file that is being written: to give up the directory while it is would be to write into what is another's.
        self.parts.close();
    }
}

impl Opened {
    fn read(config: &Config, clock: &SharedClock) -> Result<Self, EnforcerError> {
        let directory = Directory::open(&config.directory, &**clock)?;
        let journal_path = directory.path().join("journal");
        let (instance, incarnation) = (directory.instance(), directory.incarnation());
        let journal = Journal::open(&journal_path, instance, incarnation, config.journal.max_bytes)?;
        let mut last_known_good = LastKnownGood::open(&directory.path().join("policy"))?;
        // The names of what was just made, or a power loss could take the journal and leave the rest.
        sync_directory(directory.path()).map_err(LastKnownGoodError::from)?;
        let restored = last_known_good
            .restore(&config.root_key.0)
            .map_err(LastKnownGoodError::from)?;
        Ok(Self {
            directory,
            journal,
            last_known_good,
            snapshots: Snapshots::new(restored),
        })
    }

    fn into_parts(self, config: &Config, clock: &SharedClock) -> (Arc<Parts>, Directory) {
        let status = StatusBoard::new(self.directory.instance(), self.directory.incarnation());
        status.update(|status| status.enforcer = self.last_known_good.enforcer());
        // An age without its policy would be a lie about the next one.
        let has_policy = self.snapshots.pin().policy.is_some();
        let remembered = self.last_known_good.remembered().filter(|_| has_policy);
        let parts = Parts {
            instance: self.directory.instance(),
            root: config.root_key.0.clone(),
            clock: Arc::clone(clock),
            snapshots: Arc::new(self.snapshots),
            freshness: Arc::new(Freshness::new(Arc::clone(clock), remembered)),
            holds: Arc::new(Holds::default()),
            journal: Arc::new(self.journal),
            last_known_good: Mutex::new(self.last_known_good),
            status,
        };
        parts.report();
        (Arc::new(parts), self.directory)
    }
}

impl Parts {
    /// What was said, and what is only known by looking.
    fn status_now(&self) -> Status {
        let progress = *self.journal.progress().borrow();
        Status {
            policy_age_ms: self.freshness.age_ms(),
            holds_waiting: self.holds.open().len(),
            journal_appended: progress.appended,
            journal_failed: progress.failed,
            journal_bytes: self.journal.bytes(),
            ..self.status.read()
        }
    }

    /// From here on nothing is written: gates and tasks that outlive the enforcer must not touch what is another's.
    fn close(&self) {
        self.journal.close();
        self.kept().close();
    }

    /// Writes down how old the policy is, so that a restart does not make it younger.
    pub(crate) fn remember_age(&self) {
        let kept = self.kept();
        let Some(remembered) = self.freshness.remembered() else {
            return;
        };
        // Read after what was confirmed, which is of these revocations and teams or earlier ones: a restart that has fewer on disk must
        // not think itself as fresh.
        let running = *self.snapshots.running().borrow();
        let is_behind = kept.revocation_sequence() < running.revocation_sequence
            || kept.roster_revision() < running.roster_revision;
        if is_behind {
            return;
        }
        if let Err(error) = kept.keep_confirmation(remembered) {
            warn!(%error, "the age of the policy can't be written down; a restart will think it older");
        }
    }
}

fn start(
    (parts, up_since): (&Arc<Parts>, u64),
    endpoints: Endpoints,
    connection: &Connection,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let follower = Follower {
        endpoints,
        connection: connection.clone(),
        parts: Arc::clone(parts),
    };
    let uploader = Uploader {
        journal: Arc::clone(&parts.journal),
        instance: parts.instance,
        up_since,
        connection: connection.clone(),
        status: parts.status.clone(),
    };
    vec![
        tokio::spawn(follower.run(stop.clone())),
        tokio::spawn(uploader.run(stop.clone())),
        tokio::spawn(upkeep(Arc::clone(parts), stop.clone())),
    ]
}

async fn upkeep(parts: Arc<Parts>, stop: CancellationToken) {
    let mut ticks = interval(UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                parts.sweep();
                let parts = Arc::clone(&parts);
                drop(tokio::task::spawn_blocking(move || parts.remember_age()).await);
            }
        }
    }
}
