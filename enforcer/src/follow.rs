//! Following the control plane: one session at a time, and another when it ends.
//!
//! Comes from the control plane: who we are, policy, revocations, teams, freshness, verdicts. Goes to [`Snapshots`],
//! [`LastKnownGood`], [`Freshness`] and [`Holds`], which the gate reads. While there is no session, what is held goes on
//! deciding, and its age says for how long.
//!
//! **Invariant**: the follower is the only writer of snapshots; a policy is acked only after it decides and is on disk.

mod adopt;
mod fetch;
mod heavy;
mod session;
mod welcome;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use checkrein_proto::fleet::v1 as wire;
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_shared::SharedClock;
use checkrein_shared::action::Sha256;
use checkrein_shared::id::InstanceId;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::key::VerifyingKey;
use checkrein_shared::policy::BUNDLE_FORMAT;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::{info, warn};

use crate::control_plane::{Backoff, CONNECT_DEADLINE, Connection, Endpoints, InvalidReplica};
use crate::freshness::Freshness;
use crate::hold::Holds;
use crate::journal::Journal;
use crate::last_known_good::LastKnownGood;
use crate::snapshot::Snapshots;
use crate::status::StatusBoard;
use fetch::Replica;
use session::Session;

/// What this version speaks.
const PROTOCOL: u32 = 1;
/// Bundle formats this version can decode; nothing else is offered to it.
const BUNDLE_FORMATS: [u32; 1] = [BUNDLE_FORMAT];
/// Longest wait for the answer to Hello.
const WELCOME_DEADLINE: Duration = Duration::from_secs(10);
/// Messages to the control plane that may wait; full: it does not read, and the session is over.
const OUTBOX_MAX: usize = 32;
/// A control plane that drains may send us away for at most so long.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// Follows the control plane until it is told to stop.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) endpoints: Endpoints,
    pub(crate) connection: Connection,
    pub(crate) parts: Arc<Parts>,
}

/// What a session reads and writes.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) instance: InstanceId,
    pub(crate) root: VerifyingKey,
    pub(crate) clock: SharedClock,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) holds: Arc<Holds>,
    pub(crate) journal: Arc<Journal>,
    /// Touches files: only on threads that may block.
    pub(crate) last_known_good: Mutex<LastKnownGood>,
    pub(crate) status: StatusBoard,
}

/// Why a session ended.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    #[error("no connection")]
    Connect(#[source] InvalidReplica),
    #[error(
        "the certificate of `{0}` has expired; a new one is taken up as soon as its files hold it, or the Workload API gives it"
    )]
    Expired(SpiffeId),
    #[error("the control plane did not answer in time")]
    Deadline,
    #[error("the control plane refused the session")]
    Refused(#[from] tonic::Status),
    #[error("the control plane ended the session")]
    Ended,
    #[error("nothing came for three beats")]
    Silent,
    #[error("the control plane does not read what is sent")]
    Stalled,
    #[error("its first message was no welcome")]
    NoWelcome,
    #[error("a message can't be understood: {0}")]
    Message(String),
    #[error("the key set is not to be believed; is `root_key` the root of this control plane?")]
    KeySet(#[from] checkrein_shared::key::Untrusted),
    #[error(
        "the root certifies the CA `{certified}`, and `ca` holds another; `checkrein fleet add` writes the right one"
    )]
    Authority { certified: Sha256 },
    #[error("revocations up to {held} are known, and those after {previous} came: some are missing")]
    RevocationGap { held: u64, previous: u64 },
    #[error("the policy could not be fetched")]
    Fetch(#[source] tonic::Status),
    #[error("the replica gave other segments than it was asked for: {0}")]
    Segments(String),
    #[error("the policy was replaced by a newer one before it was fetched")]
    Superseded,
    #[error("the control plane drains: {reason}")]
    Drained {
        reason: String,
        reconnect_after: Duration,
    },
    #[error("what must be kept can't be written")]
    Persist(#[from] std::io::Error),
}

impl Follower {
    /// Follows until told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            let started = Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => break,
                ended = self.follow_once() => ended,
            };
            self.connection.set(None);
            self.parts.status.update(|status| status.replica = None);
            let wait = self.after(&ended, &mut backoff, started.elapsed());
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.connection.set(None);
        self.parts.status.update(|status| status.replica = None);
    }

    /// One session, from connection to its end.
    async fn follow_once(&self) -> SessionError {
        match self.open().await {
            Ok(session) => {
                let ended = session.run().await;
                ended.err().unwrap_or(SessionError::Ended)
            }
            Err(error) => error,
        }
    }

    async fn open(&self) -> Result<Session<Streaming<wire::SessionResponse>>, SessionError> {
        let tls = self.endpoints.identity().await;
        if tls.svid().not_after_ms <= self.parts.clock.wall_ms() {
            return Err(SessionError::Expired(tls.svid().id.clone()));
        }
        let connected = timeout(CONNECT_DEADLINE, self.endpoints.connect(&tls)).await;
        let channel = connected
            .map_err(|_| SessionError::Deadline)?
            .map_err(SessionError::Connect)?;
        let (outbox, queue) = mpsc::channel(OUTBOX_MAX);
        let hello = wire::session_request::Body::Hello(self.parts.hello());
        outbox
            .try_send(wire::SessionRequest { body: Some(hello) })
            .map_err(|_| SessionError::Stalled)?;
        let mut client = FleetServiceClient::new(channel.clone());
        let opened = timeout(WELCOME_DEADLINE, client.session(ReceiverStream::new(queue))).await;
        let mut inbox = opened.map_err(|_| SessionError::Deadline)??.into_inner();
        let first = timeout(WELCOME_DEADLINE, inbox.message())
            .await
            .map_err(|_| SessionError::Deadline)??;
        let Some(wire::session_response::Body::Welcome(welcome)) = first.and_then(|first| first.body) else {
            return Err(SessionError::NoWelcome);
        };
        let source = Arc::new(Replica(channel.clone()));
        let believed_by = self.endpoints.certified(&tls);
        let parts = Arc::clone(&self.parts);
        let session = Session::begin(parts, source, outbox, inbox, welcome, believed_by).await?;
        info!(address = self.endpoints.address(), "following the control plane");
        self.connection.set(Some(channel));
        Ok(session)
    }

    /// How long to wait, and with whom to speak next.
    fn after(&mut self, ended: &SessionError, backoff: &mut Backoff, lasted: Duration) -> Duration {
        backoff.ended_after(lasted);
        let address = self.endpoints.address().to_owned();
        if let SessionError::Superseded = ended {
            // Nobody's fault, and the answer to the next Hello is the newest: a burst of pushes shall not keep us away.
            info!(address, %ended, "the session begins anew");
            return Backoff::first();
        }
        if let SessionError::Drained { reconnect_after, .. } = ended {
            info!(address, %ended, "the session ended");
            self.endpoints.leave();
            return (*reconnect_after).min(DRAIN_MAX) + backoff.next();
        }
        warn!(
            address,
            error = ended as &dyn std::error::Error,
            "no session with the control plane; what is held decides"
        );
        // Another replica can't help with what is our own.
        if !matches!(
            ended,
            SessionError::RevocationGap { .. } | SessionError::Persist(_) | SessionError::Expired(_)
        ) {
            self.endpoints.leave();
        }
        backoff.next()
    }
}

impl Parts {
    fn hello(&self) -> wire::Hello {
        let running = *self.snapshots.running().borrow();
        wire::Hello {
            protocol: PROTOCOL,
            instance_id: self.instance.to_string(),
            incarnation: self.journal.incarnation(),
            build: concat!("checkrein-enforcer ", env!("CARGO_PKG_VERSION")).into(),
            bundle_formats: BUNDLE_FORMATS.to_vec(),
            epoch: running.epoch,
            generation: running.generation.0,
            manifest_sha256: running.manifest.to_bytes(),
            revocation_sequence: running.revocation_sequence,
            open_holds: self.holds.open().iter().map(ToString::to_string).collect(),
            key_set_version: self.snapshots.pin().keys.as_ref().map_or(0, |keys| keys.version),
        }
    }

    /// The kept files. Blocks: call it where blocking is allowed.
    pub(crate) fn kept(&self) -> MutexGuard<'_, LastKnownGood> {
        // Each file is replaced whole: a panic between two leaves what a crash would.
        self.last_known_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what runs.
    pub(crate) fn report(&self) {
        let running = *self.snapshots.running().borrow();
        self.status.update(|status| {
            status.epoch = running.epoch;
            status.generation = running.generation;
            status.manifest = running.manifest;
            status.revocation_sequence = running.revocation_sequence;
            status.roster_revision = running.roster_revision;
        });
    }

    /// Frees the snapshots nobody reads any more, on a thread that may take its time.
    pub(crate) fn sweep(&self) {
        let free = self.snapshots.sweep();
        if !free.is_empty() {
            drop(tokio::task::spawn_blocking(move || drop(free)));
        }
    }
}

#[cfg(test)]
mod tests;
