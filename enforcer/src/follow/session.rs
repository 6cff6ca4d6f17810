//! One session: what comes is acted on at once, in the order in which it came.
//!
//! A policy takes time to fetch and decode and is adopted beside the loop, so that a revocation or a verdict never waits
//! behind it; it is installed and acked here, where everything else is.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use checkrein_proto::fleet::v1 as wire;
use checkrein_proto::fleet::v1::session_request::Body as Up;
use checkrein_proto::fleet::v1::session_response::Body as Down;
use checkrein_proto::policy::v1::{Manifest, SignedManifest};
use checkrein_shared::Generation;
use checkrein_shared::action::Sha256;
use checkrein_shared::grant::Revocation;
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;
use tracing::{error, info};

use super::adopt::{self, Adopted, Failure};
use super::fetch::Source;
use super::welcome::{read_roster, take_welcome};
use super::{Parts, SessionError};
use crate::hold::View;
use crate::policy::Refused;

/// A control plane may not make us beat faster or slower than this.
const BEAT_MS: std::ops::RangeInclusive<u64> = 50..=60_000;
/// After so many beats without a word the session is over.
const SILENT_BEATS: u32 = 3;
/// Announced and not begun; a control plane has one outstanding, and a newer one replaces it.
const ANNOUNCED_MAX: usize = 2;

/// A session that has been welcomed.
pub(super) struct Session<Inbox> {
    parts: Arc<Parts>,
    source: Arc<dyn Source>,
    outbox: mpsc::Sender<wire::SessionRequest>,
    inbox: Inbox,
    /// The CAs that this connection was believed by, where the root has a say in that.
    believed_by: Option<Vec<Sha256>>,
    beat: Duration,
    adopting: Option<Adopting>,
    announced: VecDeque<wire::Announce>,
    /// Revocations and the roster on their way to disk: one write at a time, and what came meanwhile goes with the next.
    keeping: Option<JoinHandle<io::Result<Durable>>>,
}

/// How far what is in force at once is on disk too.
#[derive(Clone, Copy)]
struct Durable {
    revocation_sequence: u64,
    roster_revision: u64,
}

struct Adopting {
    nonce: u64,
    offered: Offered,
    work: JoinHandle<Result<Adopted, Failure>>,
}

/// A manifest by name, for the answer.
#[derive(Clone)]
struct Offered {
    generation: u64,
    manifest_sha256: bytes::Bytes,
}

impl<Inbox: Stream<Item = Result<wire::SessionResponse, Status>> + Unpin> Session<Inbox> {
    /// Learns who we are, and asks at once how fresh what we run is.
    pub(super) async fn begin(
        parts: Arc<Parts>,
        source: Arc<dyn Source>,
        outbox: mpsc::Sender<wire::SessionRequest>,
        inbox: Inbox,
        welcome: wire::Welcome,
        believed_by: Option<Vec<Sha256>>,
    ) -> Result<Self, SessionError> {
        let beat = Duration::from_millis(welcome.beat_ms.clamp(*BEAT_MS.start(), *BEAT_MS.end()));
        take_welcome(&parts, welcome, believed_by.as_deref()).await?;
        parts.freshness.forget_questions();
        Ok(Self {
            parts,
            source,
            outbox,
            inbox,
            believed_by,
            beat,
            adopting: None,
            announced: VecDeque::new(),
            keeping: None,
        })
    }

    /// Until the session ends.
    pub(super) async fn run(mut self) -> Result<(), SessionError> {
        // What the session before could not write is tried again.
        self.keep();
        // The first tick is at once.
        let mut beats = interval(self.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent_at = Instant::now() + self.beat * SILENT_BEATS;
        loop {
            tokio::select! {
                came = timeout_at(silent_at, self.inbox.next()) => {
                    let message = came.map_err(|_| SessionError::Silent)?.ok_or(SessionError::Ended)??;
                    silent_at = Instant::now() + self.beat * SILENT_BEATS;
                    self.receive(message).await?;
                }
                _ = beats.tick() => self.beat()?,
                adopted = finished(&mut self.adopting) => self.answer(adopted)?,
                durable = kept(&mut self.keeping) => self.kept(durable?),
            }
        }
    }

    async fn receive(&mut self, message: wire::SessionResponse) -> Result<(), SessionError> {
        match message.body {
            Some(Down::Welcome(welcome)) => {
                take_welcome(&self.parts, welcome, self.believed_by.as_deref()).await
            }
            Some(Down::Announce(announce)) => self.announced(announce),
            Some(Down::Freshness(freshness)) => {
                self.freshness(&freshness);
                Ok(())
            }
            Some(Down::Revocations(revocations)) => self.revoke(revocations),
            Some(Down::Roster(roster)) => self.roster(roster),
            Some(Down::Verdict(verdict)) => self.verdict(verdict),
            Some(Down::Drain(drain)) => Err(SessionError::Drained {
                reason: drain.reason,
                reconnect_after: Duration::from_millis(drain.reconnect_after_ms),
            }),
            // A newer control plane may say things this version has no ear for.
            None => Ok(()),
        }
    }

    fn announced(&mut self, announce: wire::Announce) -> Result<(), SessionError> {
        if self.announced.len() == ANNOUNCED_MAX {
            self.announced.pop_front();
        }
        self.announced.push_back(announce);
        self.adopt_next()
    }

    fn adopt_next(&mut self) -> Result<(), SessionError> {
        if self.adopting.is_some() {
            return Ok(());
        }
        let Some(announce) = self.announced.pop_front() else {
            return Ok(());
        };
        let signed = announce
            .manifest
            .ok_or_else(|| SessionError::Message("`manifest` is missing".into()))?;
        let offered = Offered::read(&signed);
        let work = tokio::spawn(adopt::adopt(
            Arc::clone(&self.parts),
            Arc::clone(&self.source),
            signed,
        ));
        self.adopting = Some(Adopting {
            nonce: announce.nonce,
            offered,
            work,
        });
        Ok(())
    }

    /// Installs what was adopted and acks it, or says why not.
    fn answer(&mut self, (nonce, offered, adopted): Finished) -> Result<(), SessionError> {
        match adopted {
            Ok(mut adopted) => {
                self.parts
                    .snapshots
                    .install(|next| next.policy = adopted.policy.take());
                self.parts.report();
                self.parts.sweep();
                let generation = self.parts.snapshots.running().borrow().generation;
                info!(%generation, "this policy decides now");
                self.send(Up::Ack(wire::Ack {
                    nonce,
                    generation: offered.generation,
                    manifest_sha256: offered.manifest_sha256,
                    fetch_us: adopted.fetch_us,
                    decode_us: adopted.decode_us,
                }))?;
            }
            Err(Failure::Refused(refused)) => self.refuse(nonce, offered, refused)?,
            // The next session will announce it again.
            Err(Failure::Session(error)) => return Err(error),
        }
        self.beat()?;
        self.adopt_next()
    }

    fn refuse(&mut self, nonce: u64, offered: Offered, refused: Refused) -> Result<(), SessionError> {
        let is_rollback = refused.stage == wire::Stage::RollbackRefused;
        error!(generation = offered.generation, stage = ?refused.stage, reason = refused.reason, "a policy is refused; the one before goes on");
        self.parts.status.update(|status| {
            status.nacks += 1;
            status.last_nack = Some(refused.reason.clone());
            status.rollbacks_refused += u64::from(is_rollback);
        });
        let using = self.parts.snapshots.running().borrow().generation;
        self.send(Up::Nack(wire::Nack {
            nonce,
            generation: offered.generation,
            manifest_sha256: offered.manifest_sha256,
            stage: refused.stage.into(),
            reason: refused.reason,
            using_generation: using.0,
        }))
    }

    fn freshness(&self, freshness: &wire::Freshness) {
        let running = *self.parts.snapshots.running().borrow();
        let names_ours = freshness.generation == running.generation.0
            && freshness.revocation_sequence == running.revocation_sequence
            && freshness.roster_revision == running.roster_revision
            && running.generation != Generation(0);
        if names_ours {
            self.parts
                .freshness
                .confirm(freshness.sent_ms, freshness.read_age_ms);
        }
    }

    /// In force at once, and on disk soon; if that fails the session is over, and what runs does not count as fresh.
    fn revoke(&mut self, came: wire::Revocations) -> Result<(), SessionError> {
        let held = self.parts.snapshots.running().borrow().revocation_sequence;
        if came.previous_sequence > held {
            return Err(SessionError::RevocationGap {
                held,
                previous: came.previous_sequence,
            });
        }
        let entries = came.entries.into_iter().map(|entry| {
            let entry = Revocation::try_from(entry);
            entry.map_err(|error| SessionError::Message(format!("a revocation: {error}")))
        });
        let entries: Vec<_> = entries.collect::<Result<_, SessionError>>()?;
        let now_ms = self.parts.clock.wall_ms();
        self.parts.snapshots.install(|next| {
            let extended = next.revocations.extended(came.sequence, entries, now_ms);
            next.revocations = Arc::new(extended);
        });
        self.parts.report();
        self.parts.sweep();
        self.keep();
        self.beat()
    }

    /// As a revocation: somebody may have been taken out of a team that permits, or put into one that forbids.
    fn roster(&mut self, came: wire::Roster) -> Result<(), SessionError> {
        let roster = read_roster(&self.parts, came)?;
        self.parts.snapshots.install(|next| next.roster = roster);
        self.parts.report();
        self.parts.sweep();
        self.keep();
        self.beat()
    }

    fn keep(&mut self) {
        if self.keeping.is_some() {
            return;
        }
        let parts = Arc::clone(&self.parts);
        self.keeping = Some(tokio::task::spawn_blocking(move || {
            let snapshot = parts.snapshots.pin();
            let (revocations, roster) = (Arc::clone(&snapshot.revocations), Arc::clone(&snapshot.roster));
            // The disk may take its time, and what is pinned can't be freed.
            drop(snapshot);
            let mut kept = parts.kept();
            kept.keep_revocations(&revocations)?;
            kept.keep_roster(&roster)?;
            Ok(Durable {
                revocation_sequence: revocations.sequence,
                roster_revision: roster.revision,
            })
        }));
    }

    fn kept(&mut self, durable: Durable) {
        let running = *self.parts.snapshots.running().borrow();
        let is_behind = durable.revocation_sequence < running.revocation_sequence
            || durable.roster_revision < running.roster_revision;
        if is_behind {
            self.keep();
        }
    }

    fn verdict(&self, verdict: wire::HoldVerdict) -> Result<(), SessionError> {
        let state = verdict
            .state()
            .try_into()
            .map_err(|error| SessionError::Message(format!("{error}")))?;
        let id = verdict
            .hold_id
            .parse()
            .map_err(|error| SessionError::Message(format!("{error}")))?;
        self.parts.holds.tell(
            id,
            View {
                state,
                version: verdict.version,
                said: verdict.reason,
                use_by_ms: Some(verdict.use_by_unix_ms).filter(|ms| *ms > 0),
            },
        );
        Ok(())
    }

    fn beat(&mut self) -> Result<(), SessionError> {
        let status = self.parts.status.read();
        let appended = self.parts.journal.progress().borrow().appended;
        self.send(Up::Beat(wire::Beat {
            sent_ms: self.parts.freshness.ask(),
            generation: status.generation.0,
            journal_pending: appended.saturating_sub(status.journal_acked),
            policy_age_ms: self.parts.freshness.age_ms(),
        }))
    }

    fn send(&self, body: Up) -> Result<(), SessionError> {
        let sent = self.outbox.try_send(wire::SessionRequest { body: Some(body) });
        sent.map_err(|_| SessionError::Stalled)
    }
}

impl Offered {
    /// The name even of what will not be believed; the digest is of the bytes as they came.
    fn read(signed: &SignedManifest) -> Self {
        let manifest = Manifest::decode(&*signed.manifest).unwrap_or_default();
        Self {
            generation: manifest.generation,
            manifest_sha256: Sha256::of(&signed.manifest).to_bytes(),
        }
    }
}

type Finished = (u64, Offered, Result<Adopted, Failure>);

/// Resolves when the adoption under way is done; never, if there is none.
async fn finished(adopting: &mut Option<Adopting>) -> Finished {
    let Some(under_way) = adopting else {
        return pending().await;
    };
    let adopted = (&mut under_way.work).await.unwrap_or_else(|_| {
        Err(Failure::Refused(Refused::new(
            wire::Stage::Decode,
            "the bundle made the enforcer panic",
        )))
    });
    let finished = (under_way.nonce, under_way.offered.clone(), adopted);
    *adopting = None;
    finished
}

/// Resolves when the write under way is done, with how far it came; never, if there is none.
async fn kept(keeping: &mut Option<JoinHandle<io::Result<Durable>>>) -> io::Result<Durable> {
    let Some(under_way) = keeping else {
        return pending().await;
    };
    let kept = under_way.await.map_err(io::Error::other).flatten();
    *keeping = None;
    kept
}
