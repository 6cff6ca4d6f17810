//! A session does what it is told by the one control plane it believes, and says what it did.

mod faults;
mod roster;
mod welcome;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use checkrein_proto::fleet::v1::session_request::Body as Up;
use checkrein_proto::fleet::v1::session_response::Body as Down;
use checkrein_proto::hold::v1 as hold_wire;
use checkrein_shared::action::Sha256;
use checkrein_shared::grant::Revoked;
use checkrein_shared::hold::State;
use checkrein_shared::id::{HoldId, TaskId};
use checkrein_shared::{Generation, ManualClock};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::Status;

use super::fetch::{FetchError, Source, Wanted};
use super::*;
use crate::fixture::{AGENT, Keys, NOW_MS, Offer, roster};
use crate::hold::View;
use crate::snapshot::Snapshot;

const SOON: Duration = Duration::from_secs(20);

/// A control plane's end of a session.
struct Wire {
    down: mpsc::Sender<Result<wire::SessionResponse, Status>>,
    up: mpsc::Receiver<wire::SessionRequest>,
    session: JoinHandle<Result<(), SessionError>>,
}

struct Enforcer {
    place: TempDir,
    clock: ManualClock,
    keys: Keys,
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Shelf(HashMap<Sha256, Bytes>);

impl Enforcer {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(NOW_MS);
        clock.advance_ms(1);
        let keys = Keys::fresh();
        let instance = InstanceId::new(&clock);
        let parts = Arc::new(Parts {
            instance,
            root: keys.root.verifying(),
            clock: Arc::new(clock.clone()),
            snapshots: Arc::new(Snapshots::new(Snapshot::default())),
            freshness: Arc::new(Freshness::new(Arc::new(clock.clone()), None)),
            holds: Arc::new(Holds::default()),
            journal: Arc::new(Journal::open(&place.path().join("journal"), instance, 1, 64 << 20).unwrap()),
            last_known_good: Mutex::new(LastKnownGood::open(&place.path().join("policy")).unwrap()),
            status: StatusBoard::new(instance, 1),
        });
        Self {
            place,
            clock,
            keys,
            parts,
        }
    }

    fn welcome(&self) -> wire::Welcome {
        wire::Welcome {
            replica_id: "replica-1".into(),
            enforcer: "edge".into(),
            agents: vec![AGENT.into()],
            key_set: Some(self.keys.signed_set(1)),
            beat_ms: 60_000,
            masking_key: Bytes::from_static(b"masking"),
            roster: Some((&roster(1, &[])).into()),
            ..wire::Welcome::default()
        }
    }

    /// What a session that begins with this welcome comes to.
    async fn begin(&self, welcome: wire::Welcome) -> Result<(), SessionError> {
        self.begin_by(Some(vec![self.keys.set(1).ca]), welcome).await
    }

    /// The same, over a connection that was believed by these CAs, or by a trust bundle.
    async fn begin_by(
        &self,
        believed_by: Option<Vec<Sha256>>,
        welcome: wire::Welcome,
    ) -> Result<(), SessionError> {
        let (outbox, _up) = mpsc::channel(OUTBOX_MAX);
        let (_down, inbox) = mpsc::channel::<Result<wire::SessionResponse, Status>>(1);
        let (parts, source) = (Arc::clone(&self.parts), Arc::new(Shelf(HashMap::new())));
        let begun = Session::begin(
            parts,
            source,
            outbox,
            ReceiverStream::new(inbox),
            welcome,
            believed_by,
        )
        .await;
        begun.map(drop)
    }

    async fn session(&self, offers: &[&Offer]) -> Wire {
        let segments = offers.iter().flat_map(|offer| offer.segments.clone()).collect();
        self.session_with(Arc::new(Shelf(segments))).await
    }

    async fn session_with(&self, source: Arc<dyn Source>) -> Wire {
        let (outbox, up) = mpsc::channel(OUTBOX_MAX);
        let (down, inbox) = mpsc::channel(OUTBOX_MAX);
        let parts = Arc::clone(&self.parts);
        let session = Session::begin(
            parts,
            source,
            outbox,
            ReceiverStream::new(inbox),
            self.welcome(),
            Some(vec![self.keys.set(1).ca]),
        )
        .await;
        Wire {
            down,
            up,
            session: tokio::spawn(session.unwrap().run()),
        }
    }
}

impl Wire {
    async fn say(&self, body: Down) {
        self.down
            .send(Ok(wire::SessionResponse { body: Some(body) }))
            .await
            .unwrap();
    }

    async fn announce(&self, nonce: u64, offer: &Offer) {
        self.say(Down::Announce(wire::Announce {
            nonce,
            manifest: Some(offer.signed.clone()),
        }))
        .await;
    }

    async fn revoke(&self, task: TaskId, previous_sequence: u64, sequence: u64) {
        let entry = wire::Revocation {
            sequence,
            what: Some(wire::revocation::What::TaskId(task.to_string())),
            expires_unix_ms: NOW_MS + 60_000,
            cause: "revoked".into(),
        };
        self.say(Down::Revocations(wire::Revocations {
            previous_sequence,
            sequence,
            entries: vec![entry],
        }))
        .await;
    }

    async fn hear(&mut self) -> Up {
        let heard = timeout(SOON, self.up.recv()).await.expect("something is said");
        heard.unwrap().body.unwrap()
    }

    /// The next thing that is not a beat.
    async fn answer(&mut self) -> Up {
        loop {
            let heard = self.hear().await;
            if !matches!(heard, Up::Beat(_)) {
                return heard;
            }
        }
    }

    async fn beat(&mut self) -> wire::Beat {
        loop {
            if let Up::Beat(beat) = self.hear().await {
                return beat;
            }
        }
    }

    async fn ended(self) -> SessionError {
        timeout(SOON, self.session)
            .await
            .expect("the session ends")
            .unwrap()
            .unwrap_err()
    }
}

fn generation(enforcer: &Enforcer) -> Generation {
    enforcer.parts.snapshots.pin().running().generation
}

#[tokio::test]
async fn a_policy_is_acked_only_once_it_decides_and_is_on_disk() {
    let enforcer = Enforcer::new();
    let offer = enforcer.keys.offer(5);
    let mut wire = enforcer.session(&[&offer]).await;
    wire.announce(9, &offer).await;
    let Up::Ack(ack) = wire.answer().await else {
        panic!("no ack")
    };
    assert_eq!((ack.nonce, ack.generation), (9, 5));
    assert_eq!(ack.manifest_sha256, Sha256::of(&offer.signed.manifest).to_bytes());
    assert_eq!(generation(&enforcer), Generation(5));
    let mut kept = LastKnownGood::open(&enforcer.place.path().join("policy")).unwrap();
    let restored = kept.restore(&enforcer.keys.root.verifying()).unwrap();
    assert_eq!(restored.running().generation, Generation(5));
    wire.announce(10, &offer).await;
    assert!(
        matches!(wire.answer().await, Up::Ack(ack) if ack.nonce == 10),
        "the same again is acked again"
    );
}

#[tokio::test]
async fn what_can_not_be_believed_is_nacked_with_its_stage_and_the_one_before_goes_on() {
    let enforcer = Enforcer::new();
    let keys = &enforcer.keys;
    let good = keys.offer(5);
    let forged = Keys::fresh().offer(6);
    let lower = keys.offer(4);
    let mut wire = enforcer.session(&[&good, &lower]).await;
    wire.announce(1, &good).await;
    assert!(matches!(wire.answer().await, Up::Ack(_)));
    for (nonce, offer, stage) in [
        (2, &forged, wire::Stage::Verify),
        (3, &lower, wire::Stage::RollbackRefused),
    ] {
        wire.announce(nonce, offer).await;
        let Up::Nack(nack) = wire.answer().await else {
            panic!("no nack")
        };
        assert_eq!(
            (nack.nonce, nack.stage(), nack.using_generation),
            (nonce, stage, 5)
        );
        assert!(!nack.reason.is_empty());
    }
    assert_eq!(generation(&enforcer), Generation(5));
    let status = enforcer.parts.status.read();
    assert_eq!((status.nacks, status.rollbacks_refused), (2, 1));
    drop(wire);
    let frozen = Offer::of(crate::fixture::FROZEN, 1, 6, &keys.bundle);
    let changed = Offer {
        segments: frozen
            .segments
            .keys()
            .map(|sha256| (*sha256, Bytes::from_static(b"other")))
            .collect(),
        signed: frozen.signed,
    };
    let mut wire = enforcer.session(&[&changed]).await;
    wire.announce(1, &changed).await;
    let Up::Nack(nack) = wire.answer().await else {
        panic!("no nack")
    };
    assert_eq!(nack.stage(), wire::Stage::Verify);
    assert_eq!(generation(&enforcer), Generation(5));
}

#[tokio::test]
async fn policy_is_fresh_only_when_an_answer_to_our_beat_names_exactly_what_runs() {
    let enforcer = Enforcer::new();
    let offer = enforcer.keys.offer(5);
    let mut wire = enforcer.session(&[&offer]).await;
    wire.announce(1, &offer).await;
    assert!(matches!(wire.answer().await, Up::Ack(_)));
    let sent_ms = wire.beat().await.sent_ms;
    enforcer.clock.advance_ms(50);
    let named = |generation, revocation_sequence, roster_revision, sent_ms, read_age_ms| {
        Down::Freshness(wire::Freshness {
            sent_ms,
            generation,
            revocation_sequence,
            read_age_ms,
            roster_revision,
        })
    };
    let freshness = |generation, revocations, sent_ms, read_age_ms| {
        named(generation, revocations, 1, sent_ms, read_age_ms)
    };
    for wrong in [
        freshness(6, 0, sent_ms, 0),
        freshness(5, 1, sent_ms, 0),
        named(5, 0, 2, sent_ms, 0),
        freshness(5, 0, 0, 0),
        freshness(5, 0, sent_ms, 1_000),
    ] {
        wire.say(wrong).await;
    }
    wire.announce(2, &offer).await;
    assert!(matches!(wire.answer().await, Up::Ack(_)));
    assert_eq!(enforcer.parts.freshness.age_ms(), u64::MAX);
    wire.say(freshness(5, 0, sent_ms, 20)).await;
    wire.announce(3, &offer).await;
    assert!(matches!(wire.answer().await, Up::Ack(_)));
    assert_eq!(enforcer.parts.freshness.age_ms(), 70);
}

fn is_over(snapshot: &Snapshot, task: TaskId) -> bool {
    let entries = snapshot.revocations.entries();
    entries.iter().any(|entry| entry.what == Revoked::Task(task))
}

#[tokio::test]
async fn a_revocation_is_in_force_at_once_and_a_gap_ends_the_session() {
    let enforcer = Enforcer::new();
    let mut wire = enforcer.session(&[]).await;
    let task = TaskId::new(&enforcer.clock);
    wire.beat().await;
    wire.revoke(task, 0, 2).await;
    wire.beat().await;
    let snapshot = enforcer.parts.snapshots.pin();
    assert_eq!(snapshot.revocations.sequence, 2);
    assert!(is_over(&snapshot, task));
    wire.say(Down::Revocations(wire::Revocations {
        previous_sequence: 3,
        sequence: 4,
        entries: vec![],
    }))
    .await;
    let ended = wire.ended().await;
    assert!(matches!(
        ended,
        SessionError::RevocationGap { held: 2, previous: 3 }
    ));
}

#[tokio::test]
async fn a_verdict_reaches_its_waiter() {
    let enforcer = Enforcer::new();
    let id = HoldId::new(&enforcer.clock);
    let known = View::new(State::Open, 1, "");
    let mut waiter = enforcer.parts.holds.wait(id, known).unwrap();
    assert_eq!(enforcer.parts.hello().open_holds, [id.to_string()]);
    let wire = enforcer.session(&[]).await;
    let verdict = wire::HoldVerdict {
        hold_id: id.to_string(),
        state: hold_wire::State::Denied.into(),
        version: 2,
        reason: "no".into(),
        ..wire::HoldVerdict::default()
    };
    wire.say(Down::Verdict(verdict)).await;
    let view = timeout(SOON, waiter.decided()).await.unwrap();
    assert_eq!((view.state, view.said.as_str()), (State::Denied, "no"));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_silent_for_three_beats_is_over() {
    let enforcer = Enforcer::new();
    let wire = enforcer.session(&[]).await;
    assert!(matches!(
        timeout(Duration::from_mins(5), wire.session)
            .await
            .unwrap()
            .unwrap(),
        Err(SessionError::Silent)
    ));
}

#[tokio::test]
async fn a_drain_sends_us_elsewhere() {
    let enforcer = Enforcer::new();
    let wire = enforcer.session(&[]).await;
    wire.say(Down::Drain(wire::Drain {
        reason: "restart".into(),
        reconnect_after_ms: 70,
    }))
    .await;
    let SessionError::Drained { reconnect_after, .. } = wire.ended().await else {
        panic!("not drained")
    };
    assert_eq!(reconnect_after, Duration::from_millis(70));
}

#[test]
fn nothing_is_said_of_labels_or_agents_in_hello() {
    let enforcer = Enforcer::new();
    let hello = enforcer.parts.hello();
    let said: BTreeMap<&str, u64> = BTreeMap::from([
        ("generation", hello.generation),
        ("incarnation", hello.incarnation),
    ]);
    assert_eq!(said, BTreeMap::from([("generation", 0), ("incarnation", 1)]));
    assert_eq!(hello.bundle_formats, BUNDLE_FORMATS);
}
