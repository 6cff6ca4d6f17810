//! One enforcer's stream: everything small and urgent, both ways.
//!
//! ```text
//! Hello --> register, fence older incarnations --> Welcome (with the Roster), Revocations, HoldVerdicts, Announce
//! then whichever comes first: a message of the enforcer's, a feed that changed, silence, our own stop
//! ```
//!
//! **Invariant**: every Hello is answered; revocations and verdicts never wait behind a bundle; a stream that is silent for
//! three beats, or whose instance another stream took over, ends.

mod hello;

use std::sync::Arc;
use std::time::Duration;

use checkrein_proto::fleet::v1 as wire;
use checkrein_proto::fleet::v1::session_request::Body as Up;
use checkrein_proto::fleet::v1::session_response::Body as Down;
use checkrein_shared::id::HoldId;
use checkrein_shared::identity::{Role, SpiffeId};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::{info, warn};

use super::beats::Beat;
use super::offer::{Offer, Offers};
use super::store::{self, Stream};
use super::{Feeds, Fleet, Nack, revocations};
use crate::api::{bad_field, database_trouble};
use crate::database::FeedName;
use crate::hold::{self, HoldEvent};

/// Messages waiting for a slow enforcer; past that its stream is cut, and it reconnects.
pub(super) const MESSAGES_WAITING_MAX: usize = 64;
/// How long the register's news may take to reach this replica.
const REGISTER_LAG_MAX: Duration = Duration::from_secs(3);
/// How long one message may wait for a reader.
const SEND_MAX: Duration = Duration::from_secs(10);
/// An enforcer may name at most this many holds in its Hello.
const OPEN_HOLDS_MAX: usize = 1_024;

/// The sending half of a stream.
pub(super) type Sender = mpsc::Sender<Result<wire::SessionResponse, Status>>;

/// A stream that has said Hello.
struct Session {
    fleet: Fleet,
    feeds: Feeds,
    stream: Stream,
    down: Sender,
    offers: Offers,
    taken_over: CancellationToken,
    revocation_sequence: u64,
    hold_revision: u64,
}

/// Runs a stream to its end.
pub(super) async fn run(
    fleet: Fleet,
    enforcer: String,
    mut up: Streaming<wire::SessionRequest>,
    down: Sender,
) {
    let ended = match hello::greet(&fleet, enforcer, &mut up, &down).await {
        Ok(session) => session.follow(up).await,
        Err(status) => Err(status),
    };
    if let Err(status) = ended {
        info!(reason = status.message(), "session ended");
        // Nobody left to tell is fine.
        let _gone = down.try_send(Err(status));
    }
}

impl Session {
    async fn follow(mut self, mut up: Streaming<wire::SessionRequest>) -> Result<(), Status> {
        let silence_max = Duration::from_millis(self.fleet.options.silence_ms());
        let (stop, taken_over) = (self.fleet.stop.clone(), self.taken_over.clone());
        let mut heard = Instant::now();
        let ended = loop {
            let step = tokio::select! {
                biased;
                () = stop.cancelled() => break self.drain().await,
                () = taken_over.cancelled() => {
                    break Err(Status::aborted("another stream has taken this instance over"));
                }
                Ok(()) = self.feeds.removed.changed() => self.check_not_removed(),
                Ok(()) = self.feeds.revocations.changed() => self.send_revocations().await,
                Ok(()) = self.feeds.teams.changed() => self.send_roster().await,
                Ok(()) = self.feeds.holds.changed() => self.send_hold_news().await,
                message = timeout_at(heard + silence_max, up.message()) => match message {
                    Ok(Ok(Some(message))) => {
                        heard = Instant::now();
                        self.receive(message).await
                    }
                    Ok(Ok(None)) => break Ok(()),
                    Ok(Err(status)) => break Err(status),
                    Err(_) => break Err(Status::deadline_exceeded("silent for three beats")),
                },
                Ok(()) = self.feeds.published.changed() => self.announce().await,
                else => break Ok(()),
            };
            if let Err(status) = step {
                break Err(status);
            }
        };
        self.close().await;
        ended
    }

    fn check_not_removed(&mut self) -> Result<(), Status> {
        let removed = self.feeds.removed.borrow_and_update();
        let enforcer = &self.stream.enforcer;
        let id = SpiffeId::of(&self.fleet.authority.trust_domain, Role::Enforcer, enforcer);
        if !id.is_ok_and(|id| !removed.contains(&id)) {
            return Err(Status::permission_denied(format!(
                "enforcer `{enforcer}` was removed"
            )));
        }
        Ok(())
    }

    async fn receive(&mut self, message: wire::SessionRequest) -> Result<(), Status> {
        match message.body {
            Some(Up::Beat(beat)) => self.beat(&beat).await,
            Some(Up::Ack(ack)) => self.ack(&ack).await,
            Some(Up::Nack(nack)) => self.nack(nack).await,
            Some(Up::Hello(_)) => Err(Status::failed_precondition("Hello is said once")),
            // A message of a later version.
            None => Ok(()),
        }
    }

    /// Answers with what is newest, and how old our own knowledge of that is.
    async fn beat(&self, beat: &wire::Beat) -> Result<(), Status> {
        let freshness = {
            let pulse = self.feeds.pulse.borrow();
            wire::Freshness {
                sent_ms: beat.sent_ms,
                generation: pulse.revision(FeedName::Policy),
                revocation_sequence: pulse.revision(FeedName::Task),
                roster_revision: pulse.revision(FeedName::Agent),
                read_age_ms: self.fleet.clock.boot_ms().saturating_sub(pulse.read_at_boot_ms),
            }
        };
        self.send(Down::Freshness(freshness)).await?;
        self.fleet.beats.tell(Beat {
            stream: self.stream.clone(),
            journal_pending: beat.journal_pending,
            taken_over: self.taken_over.clone(),
        });
        Ok(())
    }

    async fn ack(&mut self, ack: &wire::Ack) -> Result<(), Status> {
        if let Ok(offer) = self.offers.acked(ack.nonce) {
            let stream = &self.stream;
            let written = self.fleet.database.transact("fleet.ack", |tx| async move {
                store::ack(&tx, stream, offer.generation).await?;
                Ok((tx, ()))
            });
            written.await.map_err(|error| database_trouble(&error))?;
        }
        self.announce().await
    }

    async fn nack(&mut self, nack: wire::Nack) -> Result<(), Status> {
        let Ok(offer) = self.offers.nacked(nack.nonce) else {
            return Ok(());
        };
        warn!(
            enforcer = self.stream.enforcer,
            generation = offer.generation.0,
            reason = nack.reason,
            "bundle refused"
        );
        let refused = &Nack {
            instance: self.stream.instance,
            generation: offer.generation.0,
            stage: nack.stage,
            reason: hello::storable(&nack.reason, 1_024),
            refused_ms: 0,
        };
        let stream = &self.stream;
        let written = self.fleet.database.transact("fleet.nack", |tx| async move {
            store::nack(&tx, stream, offer.digest, refused).await?;
            Ok((tx, ()))
        });
        written.await.map_err(|error| database_trouble(&error))?;
        self.announce().await
    }

    async fn welcome(&mut self) -> Result<(), Status> {
        let enforcer = &self.stream.enforcer;
        // An enforcer may connect sooner than the feed hears of its registration.
        let known = self
            .feeds
            .published
            .wait_for(|published| published.enforcers.contains_key(enforcer));
        let unknown = || Status::permission_denied(format!("enforcer `{enforcer}` is not in the register"));
        let (labels, agents) = {
            let published = timeout(REGISTER_LAG_MAX, known)
                .await
                .map_err(|_| unknown())?
                .map_err(|_| unknown())?;
            let registered = published.enforcers.get(enforcer).ok_or_else(unknown)?;
            (registered.labels.clone(), registered.agents.clone())
        };
        let roster = self.feeds.teams.borrow_and_update().roster(&agents);
        self.send(Down::Welcome(wire::Welcome {
            session_id: self.stream.session.to_string(),
            replica_id: self.fleet.options.replica.clone(),
            enforcer: self.stream.enforcer.clone(),
            labels,
            agents,
            key_set: Some(self.fleet.authority.key_set.clone()),
            beat_ms: self.fleet.options.beat_ms,
            masking_key: self.fleet.authority.masking_key.clone().into(),
            roster: Some((&roster).into()),
        }))
        .await
    }

    async fn announce(&mut self) -> Result<(), Status> {
        let (generation, bundle) = {
            let published = self.feeds.published.borrow_and_update();
            let registered = published.enforcers.get(&self.stream.enforcer);
            (
                published.generation,
                registered.and_then(|registered| registered.bundle.clone()),
            )
        };
        let Some((manifest, digest)) = bundle else {
            return Ok(());
        };
        match self.offers.offer(Offer { generation, digest }) {
            Some(nonce) => {
                self.send(Down::Announce(wire::Announce {
                    nonce,
                    manifest: Some(manifest),
                }))
                .await
            }
            None => Ok(()),
        }
    }

    /// All of it: it replaces what was told before, and its revision is what the enforcer is fresh by.
    async fn send_roster(&mut self) -> Result<(), Status> {
        let roster = {
            let published = self.feeds.published.borrow();
            let registered = published.enforcers.get(&self.stream.enforcer);
            let agents = registered.map_or(&[][..], |registered| &registered.agents);
            self.feeds.teams.borrow_and_update().roster(agents)
        };
        self.send(Down::Roster((&roster).into())).await
    }

    async fn send_revocations(&mut self) -> Result<(), Status> {
        let log = Arc::clone(&self.feeds.revocations.borrow_and_update());
        for message in revocations::after(&log, self.revocation_sequence) {
            self.revocation_sequence = message.sequence;
            self.send(Down::Revocations(message)).await?;
        }
        Ok(())
    }

    async fn send_standing_holds(&mut self, open_holds: &[String]) -> Result<(), Status> {
        if open_holds.len() > OPEN_HOLDS_MAX {
            return Err(bad_field("open_holds", format!("at most {OPEN_HOLDS_MAX}")));
        }
        // The log's place first, the rows after: a step in between is told twice rather than not at all.
        self.hold_revision = self.feeds.holds.borrow_and_update().revision;
        let ids: Vec<HoldId> = open_holds.iter().filter_map(|id| id.parse().ok()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let standing = hold::standing(&self.fleet.database, &self.stream.enforcer, &ids).await;
        for event in standing.map_err(|error| database_trouble(&error))? {
            self.send_verdict(&event).await?;
        }
        Ok(())
    }

    async fn send_hold_news(&mut self) -> Result<(), Status> {
        let news = Arc::clone(&self.feeds.holds.borrow_and_update());
        let oldest = news
            .recent
            .front()
            .map_or(news.revision + 1, |event| event.revision);
        if oldest > self.hold_revision + 1 && news.revision > self.hold_revision {
            return Err(Status::aborted(
                "too far behind: reconnect and name the holds you wait for",
            ));
        }
        let from = news
            .recent
            .partition_point(|event| event.revision <= self.hold_revision);
        self.hold_revision = news.revision;
        for event in news
            .recent
            .range(from..)
            .filter(|event| event.enforcer == self.stream.enforcer)
        {
            self.send_verdict(event).await?;
        }
        Ok(())
    }

    async fn send_verdict(&self, event: &HoldEvent) -> Result<(), Status> {
        self.send(Down::Verdict(wire::HoldVerdict {
            hold_id: event.hold.to_string(),
            state: checkrein_proto::hold::v1::State::from(event.state).into(),
            version: event.version,
            reason: event.reason.clone(),
            use_by_unix_ms: event.use_by_ms.unwrap_or_default(),
        }))
        .await
    }

    async fn drain(&self) -> Result<(), Status> {
        let drain = wire::Drain {
            reason: "this replica is stopping".to_owned(),
            reconnect_after_ms: 0,
        };
        self.send(Down::Drain(drain)).await
    }

    async fn send(&self, body: Down) -> Result<(), Status> {
        let message = Ok(wire::SessionResponse { body: Some(body) });
        match timeout(SEND_MAX, self.down.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Status::cancelled("the enforcer is gone")),
            Err(_) => Err(Status::resource_exhausted("the enforcer does not read")),
        }
    }

    async fn close(&self) {
        let stream = &self.stream;
        let closed = self.fleet.database.transact("fleet.close", |tx| async move {
            store::close_stream(&tx, stream).await?;
            Ok((tx, ()))
        });
        if let Err(error) = closed.await {
            warn!(
                error = &error as &dyn std::error::Error,
                "the end of a session was not recorded"
            );
        }
    }
}
