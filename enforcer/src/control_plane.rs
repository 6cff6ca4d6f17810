//! The control plane as an enforcer sees it: a few replicas, one of them spoken to at a time, over mutual TLS.
//!
//! The follower connects and publishes the connection here; everything else that needs the control plane takes it from
//! here, so that one connection carries it all and a broken one is noticed once.
//!
//! **Invariant**: every call has a deadline, and a call that was not answered is an [`AskError`], never a yes.

mod ask;
mod backoff;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::Generation;
use checkrein_shared::action::{ActionIdentity, Sha256};
use checkrein_shared::decision::Cause;
use checkrein_shared::hold::{Requirement, State};
use checkrein_shared::id::{DecisionId, HoldId, InstanceId, ProofId, SliceId, TaskId, random_bytes};
use checkrein_shared::label::Label;
use checkrein_shared::ledger::{Amounts, CameFrom, Fingerprint, Ledger, Seen};
use checkrein_shared::policy::Reversibility;
use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

pub(crate) use ask::Replicas;
pub(crate) use backoff::Backoff;

use crate::config::Config;
use crate::identity::Source;
use crate::slices::Given;
use crate::tls::Tls;

/// Longest wait for a connection, handshake included.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long a call waits for the follower to reconnect before it gives up.
const RECONNECT_PATIENCE: Duration = Duration::from_millis(500);
/// How long a call that a replica went away under waits for the next connection: a drain sends us elsewhere at once, and that
/// takes the first backoff and a handshake.
const NEXT_CONNECTION_PATIENCE: Duration = Duration::from_secs(2);
/// Longest wait for one answer, connection aside.
const CALL_DEADLINE: Duration = Duration::from_secs(3);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// What one stream may have unread: an eighth of the connection.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What the gate asks the control plane. Everything it says binds; silence binds too.
pub(crate) trait Authority: Send + Sync + std::fmt::Debug {
    /// Whether a task is live now, and what is newest.
    fn confirm(&self, ask: Confirm) -> BoxFuture<'_, Result<Confirmation, AskError>>;
    /// Lets an action wait for people, or finds the hold it has.
    fn open_hold(&self, ask: OpenHold) -> BoxFuture<'_, Result<Opened, AskError>>;
    /// Uses an approval for one release.
    fn consume(&self, ask: Consume) -> BoxFuture<'_, Result<Consumption, AskError>>;
    /// Writes labels into the ledger of a task, and gives it; without labels it is only given.
    fn note(&self, ask: Note) -> BoxFuture<'_, Result<Noted, AskError>>;
    /// Whether there is a connection to ask over.
    fn is_connected(&self) -> bool;
}

/// Which task, judged under what.
#[derive(Debug, Clone)]
pub(crate) struct Confirm {
    /// The release that is charged to the budget, once however often it is asked for.
    pub(crate) release: DecisionId,
    pub(crate) task: TaskId,
    /// The grant, with all it was narrowed from.
    pub(crate) presented: Arc<str>,
    pub(crate) proof: Option<ProofId>,
    pub(crate) generation: Generation,
    pub(crate) revocation_sequence: u64,
    /// What is released.
    pub(crate) tool: String,
    pub(crate) reversibility: Option<Reversibility>,
    /// Its values, if a rule asks where they came from.
    pub(crate) asked: Vec<Fingerprint>,
    /// What it uses up at most, and whose journal says how it ended.
    pub(crate) cost: Amounts,
    pub(crate) instance: InstanceId,
    pub(crate) incarnation: u64,
    /// A slice that we would like to hold for further calls like it.
    pub(crate) slice: Option<SliceId>,
}

/// What a call brings into its task.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) task: TaskId,
    /// The grant, with all it was narrowed from.
    pub(crate) presented: Arc<str>,
    /// None: the ledger is only read.
    pub(crate) labels: BTreeSet<Label>,
    pub(crate) because: Option<Because>,
    /// Values that a result carried.
    pub(crate) seen: Option<Seen>,
    /// Values of a call, if a rule asks where they came from.
    pub(crate) asked: Vec<Fingerprint>,
}

/// What the control plane knows of a task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) ledger: Arc<Ledger>,
    /// Of the values that were asked about, in their order.
    pub(crate) from: Vec<CameFrom>,
}

/// Why data carries labels.
#[derive(Debug, Clone)]
pub(crate) struct Because {
    pub(crate) decision: DecisionId,
    pub(crate) tool: String,
    pub(crate) source: LabelSource,
}

/// How it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelSource {
    /// By the call, before it is made.
    Call,
    /// By what it gave.
    Result,
}

/// What became of it.
#[derive(Debug, Clone)]
pub(crate) enum Noted {
    /// It is written; this is known now.
    Known(Known),
    /// It is not.
    Refused(Refusal),
}

/// What the primary says.
#[derive(Debug, Clone)]
pub(crate) struct Confirmation {
    pub(crate) live: bool,
    /// Why the release may not go ahead in a task that is live.
    pub(crate) refused: Option<Refusal>,
    pub(crate) generation: Generation,
    pub(crate) charge: Charge,
    /// What was known of the task before this release; none: it was not said.
    pub(crate) known: Option<Known>,
    /// What we hold from now on, if we asked.
    pub(crate) slice: Option<Given>,
}

/// What became of the budget of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// Nothing was charged.
    None,
    /// One call was, for this release.
    Charged,
    /// There is no call left.
    Exhausted,
}

/// The action that shall wait.
#[derive(Debug, Clone)]
pub(crate) struct OpenHold {
    pub(crate) decision: DecisionId,
    pub(crate) call_id: String,
    pub(crate) action: ActionIdentity,
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) generation: Generation,
    /// The grant, with all it was narrowed from.
    pub(crate) presented: Arc<str>,
    pub(crate) environment: String,
    pub(crate) intent: String,
    pub(crate) reason: String,
    pub(crate) denial_class: String,
    pub(crate) instance: InstanceId,
    pub(crate) reversibility: Option<Reversibility>,
}

/// What became of it.
#[derive(Debug, Clone)]
pub(crate) enum Opened {
    /// It has a hold, new or not.
    Held(HoldNotice),
    /// It may not even wait.
    Refused(Refusal),
}

/// A hold as far as an enforcer needs it.
#[derive(Debug, Clone)]
pub(crate) struct HoldNotice {
    pub(crate) id: HoldId,
    pub(crate) state: State,
    pub(crate) version: u64,
    pub(crate) action_sha256: Sha256,
    pub(crate) groups: Vec<String>,
    pub(crate) decide_by_ms: u64,
    /// What a person said when denying; of an open one, what somebody asks and nobody has answered.
    pub(crate) said: String,
}

/// A no, with its cause.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) cause: Cause,
    pub(crate) reason: String,
}

/// The approval that shall be used.
#[derive(Debug, Clone)]
pub(crate) struct Consume {
    pub(crate) hold: HoldId,
    pub(crate) presented: Arc<str>,
    pub(crate) proof: Option<ProofId>,
    pub(crate) action_sha256: Sha256,
    pub(crate) generation: Generation,
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) instance: InstanceId,
    pub(crate) incarnation: u64,
    /// The ledger it was judged by; none: no rule looked at it.
    pub(crate) ledger_revision: Option<u64>,
    pub(crate) reversibility: Option<Reversibility>,
    /// What it uses up at most.
    pub(crate) cost: Amounts,
    /// Its name, by which it is given back if nothing is heard of it.
    pub(crate) attempt: DecisionId,
}

/// What became of it.
#[derive(Debug, Clone)]
pub(crate) enum Consumption {
    /// It is used up: release.
    Consumed { approvers: Vec<String> },
    /// Judge again under this generation, and by this ledger if there is one; the approval is intact.
    Refresh(Generation, Option<Arc<Ledger>>),
    /// It can't be used.
    Refused(Refusal),
}

/// The control plane did not answer, or not in a way that can be understood.
#[derive(Debug, Clone, Error)]
pub(crate) enum AskError {
    /// No replica is connected.
    #[error("no control plane is connected")]
    NotConnected,
    /// It did not answer in time.
    #[error("the control plane did not answer in time")]
    Deadline,
    /// It answered with an error, or went away.
    #[error("the control plane failed")]
    Failed(#[source] tonic::Status),
    /// It answered, and there is something wrong with the question.
    #[error("the control plane refused it: {0}")]
    Refused(String),
    /// Its answer means nothing.
    #[error("the control plane's answer can't be understood: {0}")]
    Answer(String),
}

/// A URL or a TLS file that no connection can be made with.
#[derive(Debug, Error)]
#[error("can't speak to `{url}`; check the address and the certificate files")]
pub struct InvalidReplica {
    /// Which.
    pub url: String,
    /// Why not.
    pub source: tonic::transport::Error,
}

/// Where the control plane may be found. The choice is random and then kept, until it fails or asks us to leave.
#[derive(Debug)]
pub(crate) struct Endpoints {
    urls: Vec<String>,
    identity: Source,
    chosen: usize,
}

/// Publishes the connection in use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection(watch::Sender<Option<Channel>>);

/// Where a connection stood among those that were published.
#[derive(Debug)]
struct Place(watch::Receiver<Option<Channel>>);

impl Refusal {
    pub(crate) fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self {
            cause,
            reason: reason.into(),
        }
    }
}

impl Endpoints {
    pub(crate) fn new(config: &Config, identity: Source) -> Result<Self, InvalidReplica> {
        let tls = identity.current();
        for url in &config.control_plane {
            endpoint(url, &tls)?;
        }
        let urls = config.control_plane.clone();
        let chosen = u64::from_le_bytes(random_bytes()) % urls.len().max(1) as u64;
        Ok(Self {
            urls,
            identity,
            chosen: usize::try_from(chosen).unwrap_or_default(),
        })
    }

    /// The identity the next connection is made with, looked for once more.
    pub(crate) async fn identity(&self) -> Arc<Tls> {
        self.identity.look().await;
        self.identity.current()
    }

    /// The CAs of an identity, if the root certifies which those may be.
    pub(crate) fn certified(&self, tls: &Tls) -> Option<Vec<Sha256>> {
        self.identity.is_certified_by_root().then(|| tls.authorities())
    }

    /// Connects to the chosen replica with this identity.
    pub(crate) async fn connect(&self, tls: &Tls) -> Result<Channel, InvalidReplica> {
        let url = self.address();
        let endpoint = endpoint(url, tls)?;
        endpoint.connect().await.map_err(|source| InvalidReplica {
            url: url.to_owned(),
            source,
        })
    }

    /// The address of the chosen replica.
    pub(crate) fn address(&self) -> &str {
        &self.urls[self.chosen]
    }

    /// Chooses the next.
    pub(crate) fn leave(&mut self) {
        self.chosen = (self.chosen + 1) % self.urls.len();
    }
}

impl Connection {
    /// Publishes a connection, or that there is none.
    pub(crate) fn set(&self, channel: Option<Channel>) {
        self.0.send_replace(channel);
    }

    /// The connection, if there is one or one comes within a moment, and its place.
    async fn get(&self) -> Result<(Channel, Place), AskError> {
        let mut place = Place(self.0.subscribe());
        let channel = place.within(RECONNECT_PATIENCE).await;
        Ok((channel.ok_or(AskError::NotConnected)?, place))
    }

    /// Whether there is one now.
    fn is_there(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// The connection, as soon as there is one.
    pub(crate) async fn wait(&self) -> Option<Channel> {
        let mut watching = self.0.subscribe();
        watching.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Place {
    /// The connection after this one, if it comes in time.
    async fn next(mut self) -> Option<Channel> {
        let deadline = tokio::time::Instant::now() + NEXT_CONNECTION_PATIENCE;
        let replaced = tokio::time::timeout_at(deadline, self.0.changed()).await;
        replaced.ok()?.ok()?;
        self.within(deadline.saturating_duration_since(tokio::time::Instant::now()))
            .await
    }

    async fn within(&mut self, patience: Duration) -> Option<Channel> {
        let found = tokio::time::timeout(patience, self.0.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.clone()
    }
}

impl AskError {
    /// Why an action is denied that this befell.
    pub(crate) const fn cause(&self) -> Cause {
        match self {
            Self::Refused(_) => Cause::ControlPlaneRefused,
            Self::NotConnected | Self::Deadline | Self::Failed(_) | Self::Answer(_) => {
                Cause::ControlPlaneUnreachable
            }
        }
    }
}

impl From<Status> for AskError {
    fn from(status: Status) -> Self {
        match status.code() {
            // Another answer would take another question.
            Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented => Self::Refused(status.message().to_owned()),
            _ => Self::Failed(status),
        }
    }
}

fn endpoint(url: &str, tls: &Tls) -> Result<Endpoint, InvalidReplica> {
    let invalid = |source| InvalidReplica {
        url: url.to_owned(),
        source,
    };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(invalid)?;
    Ok(tls
        .towards_control_plane(endpoint)
        .map_err(invalid)?
        .connect_timeout(CONNECT_DEADLINE)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

#[cfg(test)]
mod tests;
