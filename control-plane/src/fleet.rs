//! The fleet: which enforcers there are, who they may speak for, what each runs now.
//!
//! ```text
//! register --> row, certificate, the bundle of its labels
//! session  <-> enforcer: what is newest, what it runs, what has been revoked, what people said
//! remove   --> refused everywhere, for ever
//! ```
//!
//! **Invariant**: an enforcer is what the register says of its identity, never what its Hello says.

mod agent;
mod api;
mod beats;
mod invitation;
mod join;
mod offer;
mod register;
mod removal;
mod revocations;
mod roster;
mod session;
mod store;

use std::sync::Arc;

use checkrein_shared::SharedClock;
use checkrein_shared::id::InstanceId;
use checkrein_shared::identity::SpiffeId;
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::authority::{Authority, AuthorityError};
use crate::database::{Database, DatabaseError, Transaction};
use crate::decision::{self, Progress};
use crate::feed::Pulse;
use crate::hold::HoldNews;
use crate::policy::{Policies, PolicyError, PublishedFeed};
use crate::session::Sessions;
use crate::task::RevocationLog;
pub use agent::{Agent, AllowedTool};
use beats::Beats;
pub use invitation::{Invited, InvitedState};
pub use join::{Invite, Joined};
pub use register::Register;
pub use removal::{Removal, Removed, RemovedFeed, any_removed, is_removed, load_removed};
pub use roster::{Teams, TeamsFeed, load_teams};

/// So many beats may be missed: a stream that is silent for longer ends, and its enforcer is not shown as connected.
const BEATS_MISSED_MAX: u64 = 3;

/// The verbs of the fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    database: Database,
    authority: Arc<Authority>,
    policies: Policies,
    clock: SharedClock,
    feeds: Feeds,
    stop: CancellationToken,
    options: FleetOptions,
    beats: Beats,
    joining: Arc<Semaphore>,
}

/// What every session listens to.
#[derive(Debug, Clone)]
pub struct Feeds {
    /// The newest revisions, and when they were read.
    pub pulse: watch::Receiver<Pulse>,
    /// What every enforcer should run.
    pub published: PublishedFeed,
    /// Whose authority has ended.
    pub revocations: watch::Receiver<Arc<RevocationLog>>,
    /// What has become of holds.
    pub holds: watch::Receiver<Arc<HoldNews>>,
    /// Whom to refuse.
    pub removed: RemovedFeed,
    /// Which agent is in which team.
    pub teams: TeamsFeed,
}

/// How a replica talks to enforcers.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Names this replica to enforcers and operators.
    pub replica: String,
    /// How often an enforcer asks how fresh it is.
    pub beat_ms: u64,
    /// Where people find the console, if this replica serves one.
    pub console: Option<Desk>,
}

/// Where people are signed in.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The address of the console.
    pub url: String,
    /// Who is signed in there.
    pub sessions: Sessions,
}

/// A register entry with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcer {
    /// The last part of its SPIFFE ID.
    pub name: String,
    /// Its identity.
    pub spiffe_id: SpiffeId,
    /// `key=value`.
    pub labels: Vec<String>,
    /// Who it may speak for.
    pub agents: Vec<String>,
    /// When.
    pub registered_ms: u64,
    /// Since when it is let in nowhere, if it was removed.
    pub removed_ms: Option<u64>,
    /// From where it runs.
    pub instances: Vec<Instance>,
    /// What it refused.
    pub nacks: Vec<Nack>,
}

/// One directory an enforcer runs from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The directory.
    pub id: InstanceId,
    /// How often it was opened.
    pub incarnation: u64,
    /// Its version.
    pub build: String,
    /// Whether a stream is open.
    pub connected: bool,
    /// Its last beat.
    pub last_seen_ms: u64,
    /// What it enforces.
    pub generation: u64,
    /// Since when; 0: it never said.
    pub acked_ms: u64,
    /// Records that have not come home.
    pub journal_pending: u64,
}

/// How far the record of one opening of a directory has come home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Where it stands.
    pub progress: Progress,
    /// Whoever wrote it is gone, and said or left that more was to come.
    pub unfinished: bool,
}

/// A refused bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nack {
    /// From which directory.
    pub instance: InstanceId,
    /// Its generation.
    pub generation: u64,
    /// Where it failed, as on the wire.
    pub stage: i32,
    /// Why.
    pub reason: String,
    /// When.
    pub refused_ms: u64,
}

/// Why a verb on the fleet failed.
#[derive(Debug, Error)]
pub enum FleetError {
    /// The name is taken.
    #[error("enforcer `{0}` is in the register already; `fleet add --force` certifies a new key for it")]
    Taken(String),
    /// The name is not there.
    #[error("there is no enforcer `{0}` in the register: add it first")]
    NotRegistered(String),
    /// The agent is not an agent.
    #[error("`{0}` is not an agent: expected `spiffe://<domain>/agent/<name>`")]
    NotAnAgent(SpiffeId),
    /// The name is spent.
    #[error("`{0}` was removed; what was certified for it may be out there, so choose another name")]
    Removed(SpiffeId),
    /// Somebody would be left outside.
    #[error("`{0}` can't remove itself; another operator can")]
    RemovesItself(SpiffeId),
    /// Not one that can be.
    #[error("`{0}` can't be removed: expected an agent, an enforcer or a person of this trust domain")]
    NotRemovable(SpiffeId),
    /// No place was kept under this secret.
    #[error("the join token is not known here: ask an operator for a new one")]
    NotInvited,
    /// Nobody waits to be answered, who may be nobody.
    #[error("too many are joining at this moment: try again")]
    TooManyJoin,
    /// Too late.
    #[error("the join token has expired: ask an operator for a new one")]
    InvitationExpired,
    /// Another key was faster.
    #[error("the join token has been used: if not by you, tell an operator; ask for a new one")]
    InvitationUsed,
    /// Taken back.
    #[error("the join token was withdrawn: ask an operator for a new one")]
    InvitationWithdrawn,
    /// Nobody of that name was.
    #[error("nobody is invited as `{0}`; `fleet invitations` lists who is")]
    NobodyInvited(SpiffeId),
    /// Too late to take it back.
    #[error("`{0}` has joined already; `fleet remove` lets it in nowhere any more")]
    HasJoined(SpiffeId),
    /// Certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The bundle.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl FleetOptions {
    /// How long an enforcer may be silent.
    const fn silence_ms(&self) -> u64 {
        self.beat_ms.saturating_mul(BEATS_MISSED_MAX)
    }
}

impl Fleet {
    /// The verbs over this database. Sessions end when `stop` is cancelled.
    pub fn new(
        database: Database,
        authority: Arc<Authority>,
        policies: Policies,
        clock: SharedClock,
        feeds: Feeds,
        stop: CancellationToken,
        options: FleetOptions,
    ) -> Self {
        Self {
            beats: Beats::spawn(database.clone()),
            joining: Arc::new(Semaphore::new(join::JOINS_AT_ONCE_MAX)),
            database,
            authority,
            policies,
            clock,
            feeds,
            stop,
            options,
        }
    }
}

/// Deletes what is not worth showing any more. Any replica may.
pub async fn retire(database: &Database) -> Result<(), DatabaseError> {
    database
        .transact("fleet.retire", |tx| async move {
            store::retire(&tx).await?;
            Ok((tx, ()))
        })
        .await
}

/// An enforcer's journals, and which of them nobody is bringing home.
async fn journals(tx: &Transaction, enforcer: &Enforcer) -> Result<Vec<Journal>, DatabaseError> {
    let found = decision::journals(tx, &enforcer.name).await?;
    let journal = |progress: Progress| Journal {
        unfinished: is_unfinished(&progress, &enforcer.instances),
        progress,
    };
    Ok(found.into_iter().map(journal).collect())
}

/// A later opening brings earlier journals home before it opens its own. The latest is finished when its enforcer last said
/// that nothing was left; one that has been succeeded by a connection only is still to be brought.
fn is_unfinished(progress: &Progress, instances: &[Instance]) -> bool {
    if progress.is_followed {
        return false;
    }
    let instance = instances.iter().find(|instance| instance.id == progress.instance);
    instance.is_some_and(|instance| {
        instance.incarnation > progress.incarnation || (!instance.connected && instance.journal_pending > 0)
    })
}

/// Whether the register lets this enforcer speak for this agent.
pub async fn speaks_for(tx: &Transaction, enforcer: &str, agent: &SpiffeId) -> Result<bool, DatabaseError> {
    store::speaks_for(tx, enforcer, agent).await
}

/// The latest opening of this directory that has connected, if any has; none later connects until the transaction ends.
pub async fn share_incarnation(
    tx: &Transaction,
    enforcer: &str,
    instance: InstanceId,
) -> Result<Option<u64>, DatabaseError> {
    store::share_incarnation(tx, enforcer, instance).await
}

#[cfg(test)]
mod tests;
