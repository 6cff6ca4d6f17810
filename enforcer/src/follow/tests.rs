//! A session does what it is told by the one control plane it believes, and says what it did.

use std::collections::{BTreeMap, HashMap};
use std::task::{Context, Wake, Waker};

use bytes::Bytes;
use checkrein_proto::fleet::v1::session_request::Body as Up;
use checkrein_proto::fleet::v1::session_response::Body as Down;
use checkrein_proto::hold::v1 as hold_wire;
use checkrein_shared::action::Sha256;
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
use crate::fixture::{AGENT, Ca, Keys, NOW_MS, Offer};
use crate::hold::View;
use crate::snapshot::Snapshot;
use crate::tls::Tls;

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

/// A source that fails.
#[derive(Debug)]
struct Broken(fn() -> FetchError);

impl Source for Broken {
    fn fetch(&self, _: Vec<Wanted>) -> BoxFuture<'_, Result<HashMap<Sha256, Bytes>, FetchError>> {
        ready(Err((self.0)())).boxed()
    }
}

impl Source for Shelf {
    fn fetch(&self, wanted: Vec<Wanted>) -> BoxFuture<'_, Result<HashMap<Sha256, Bytes>, FetchError>> {
        let found = wanted.iter().map(|wanted| {
            let bytes = self.0.get(&wanted.sha256).cloned();
            bytes
                .map(|bytes| (wanted.sha256, bytes))
                .ok_or_else(|| FetchError::Source(Status::unavailable("gone")))
        });
        ready(found.collect()).boxed()
    }
}

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
            authorities: vec![keys.set(1).ca],
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

    /// One that knows two replicas.
    fn follower(&self) -> Follower {
        let (ca, place) = (Ca::new(), tempfile::tempdir().unwrap());
        let mut config = ca.config(
            &place,
            "spiffe://acme.example/enforcer/edge",
            "https://127.0.0.1:1",
        );
        config.control_plane.push("https://127.0.0.1:2".into());
        Follower {
            endpoints: Endpoints::new(&config, &Tls::load(&config).unwrap()).unwrap(),
            connection: Connection::default(),
            parts: Arc::clone(&self.parts),
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
            ..wire::Welcome::default()
        }
    }

    /// What a session that begins with this welcome comes to.
    async fn begin(&self, welcome: wire::Welcome) -> Result<(), SessionError> {
        let (outbox, _up) = mpsc::channel(OUTBOX_MAX);
        let (_down, inbox) = mpsc::channel::<Result<wire::SessionResponse, Status>>(1);
        let (parts, source) = (Arc::clone(&self.parts), Arc::new(Shelf(HashMap::new())));
        let begun = Session::begin(parts, source, outbox, ReceiverStream::new(inbox), welcome).await;
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
        let session = Session::begin(parts, source, outbox, ReceiverStream::new(inbox), self.welcome()).await;
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
            task_id: task.to_string(),
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
async fn segments_a_replica_does_not_give_end_the_session_and_refuse_nothing() {
    let enforcer = Enforcer::new();
    let wire = enforcer.session(&[]).await;
    wire.announce(1, &enforcer.keys.offer(5)).await;
    assert!(matches!(wire.ended().await, SessionError::Fetch(_)));
    assert_eq!(enforcer.parts.status.read().nacks, 0);
}

#[tokio::test]
async fn wrong_segments_are_the_replicas_fault_and_refuse_nothing() {
    let enforcer = Enforcer::new();
    let wrong = Broken(|| FetchError::Content("a chunk came out of order".into()));
    let wire = enforcer.session_with(Arc::new(wrong)).await;
    wire.announce(1, &enforcer.keys.offer(5)).await;
    assert!(matches!(wire.ended().await, SessionError::Segments(_)));
    assert_eq!(enforcer.parts.status.read().nacks, 0);
}

#[tokio::test]
async fn a_policy_that_can_not_be_kept_ends_the_session_and_is_not_refused() {
    let enforcer = Enforcer::new();
    let offer = enforcer.keys.offer(5);
    let wire = enforcer.session(&[&offer]).await;
    let policy = enforcer.place.path().join("policy");
    std::fs::remove_dir_all(&policy).unwrap();
    wire.announce(1, &offer).await;
    assert!(matches!(wire.ended().await, SessionError::Persist(_)));
    assert_eq!(enforcer.parts.status.read().nacks, 0);
    std::fs::create_dir_all(policy.join("segments")).unwrap();
    let mut wire = enforcer.session(&[&offer]).await;
    wire.announce(1, &offer).await;
    assert!(matches!(wire.answer().await, Up::Ack(_)), "there is room again");
}

#[tokio::test]
async fn a_policy_replaced_before_it_was_fetched_is_no_failure_of_the_replica() {
    let enforcer = Enforcer::new();
    let gone = Broken(|| FetchError::Source(Status::not_found("no such segment in this bundle")));
    let wire = enforcer.session_with(Arc::new(gone)).await;
    wire.announce(1, &enforcer.keys.offer(5)).await;
    let ended = wire.ended().await;
    assert!(matches!(ended, SessionError::Superseded));
    assert_eq!(enforcer.parts.status.read().nacks, 0);
    let mut follower = enforcer.follower();
    let (address, mut backoff) = (follower.endpoints.address(), Backoff::default());
    for _ in 0..40 {
        let wait = follower.after(&ended, &mut backoff, Duration::ZERO);
        assert!(wait < Duration::from_millis(250), "it never grows");
        assert_eq!(follower.endpoints.address(), address);
    }
    follower.after(
        &SessionError::Segments("wrong".into()),
        &mut backoff,
        Duration::ZERO,
    );
    assert_ne!(
        follower.endpoints.address(),
        address,
        "another replica may do better"
    );
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
    let freshness = |generation, revocation_sequence, sent_ms, read_age_ms| {
        Down::Freshness(wire::Freshness {
            sent_ms,
            generation,
            revocation_sequence,
            read_age_ms,
        })
    };
    for wrong in [
        freshness(6, 0, sent_ms, 0),
        freshness(5, 1, sent_ms, 0),
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
    assert!(snapshot.revocations.tasks.contains_key(&task));
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
async fn revocations_that_can_not_be_written_are_in_force_and_end_the_session() {
    let enforcer = Enforcer::new();
    let wire = enforcer.session(&[]).await;
    std::fs::remove_dir_all(enforcer.place.path().join("policy")).unwrap();
    wire.revoke(TaskId::new(&enforcer.clock), 0, 1).await;
    assert!(matches!(wire.ended().await, SessionError::Persist(_)));
    assert_eq!(enforcer.parts.snapshots.pin().revocations.sequence, 1);
}

#[tokio::test]
async fn what_one_session_could_not_write_the_next_writes() {
    let enforcer = Enforcer::new();
    let policy = enforcer.place.path().join("policy");
    let wire = enforcer.session(&[]).await;
    let aside = enforcer.place.path().join("aside");
    std::fs::rename(&policy, &aside).unwrap();
    let task = TaskId::new(&enforcer.clock);
    wire.revoke(task, 0, 1).await;
    wire.ended().await;
    std::fs::rename(&aside, &policy).unwrap();
    let wire = enforcer.session(&[]).await;
    wire.revoke(TaskId::new(&enforcer.clock), 1, 2).await;
    let written = async {
        while enforcer.parts.kept().revocation_sequence() < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, written).await.expect("it is written");
    let restored = LastKnownGood::open(&policy)
        .unwrap()
        .restore(&enforcer.keys.root.verifying());
    assert!(restored.unwrap().revocations.tasks.contains_key(&task));
}

#[tokio::test]
async fn policy_is_remembered_as_fresh_only_with_every_revocation_it_runs_with_on_disk() {
    let enforcer = Enforcer::new();
    let parts = &enforcer.parts;
    let asked = parts.freshness.ask();
    assert!(parts.freshness.confirm(asked, 0));
    let revocations = crate::snapshot::Revocations::default().extended(1, [], NOW_MS);
    parts
        .snapshots
        .install(|next| next.revocations = Arc::new(revocations.clone()));
    parts.remember_age();
    assert_eq!(parts.kept().remembered(), None);
    parts.kept().keep_revocations(&revocations).unwrap();
    parts.remember_age();
    assert!(parts.kept().remembered().is_some());
}

#[tokio::test]
async fn a_verdict_reaches_its_waiter() {
    let enforcer = Enforcer::new();
    let id = HoldId::new(&enforcer.clock);
    let known = View {
        state: State::Open,
        version: 1,
        said: String::new(),
    };
    let mut waiter = enforcer.parts.holds.wait(id, known).unwrap();
    assert_eq!(enforcer.parts.hello().open_holds, [id.to_string()]);
    let wire = enforcer.session(&[]).await;
    let verdict = wire::HoldVerdict {
        hold_id: id.to_string(),
        state: hold_wire::State::Denied.into(),
        version: 2,
        reason: "no".into(),
    };
    wire.say(Down::Verdict(verdict)).await;
    let view = timeout(SOON, waiter.decided()).await.unwrap();
    assert_eq!((view.state, view.said.as_str()), (State::Denied, "no"));
}

#[tokio::test]
async fn a_key_set_the_pinned_root_did_not_sign_ends_everything() {
    let enforcer = Enforcer::new();
    let mut welcome = enforcer.welcome();
    welcome.key_set = Some(Keys::fresh().signed_set(1));
    let begun = enforcer.begin(welcome).await;
    assert!(matches!(begun, Err(SessionError::KeySet(_))));
    assert!(enforcer.parts.snapshots.pin().keys.is_none());
}

#[tokio::test]
async fn keys_for_another_ca_than_the_connection_was_believed_by_end_everything() {
    let enforcer = Enforcer::new();
    let mut set = enforcer.keys.set(1);
    set.ca = Sha256::of(b"another");
    let mut welcome = enforcer.welcome();
    welcome.key_set = Some(set.sign(&enforcer.keys.root));
    let begun = enforcer.begin(welcome).await;
    assert!(matches!(begun, Err(SessionError::Authority { certified }) if certified == set.ca));
    assert!(enforcer.parts.snapshots.pin().keys.is_none());
}

#[tokio::test]
async fn a_welcome_without_a_masking_key_is_none_and_takes_no_key_away() {
    let enforcer = Enforcer::new();
    enforcer.begin(enforcer.welcome()).await.unwrap();
    let mut welcome = enforcer.welcome();
    welcome.masking_key = Bytes::new();
    let begun = enforcer.begin(welcome).await;
    assert!(matches!(begun, Err(SessionError::Message(what)) if what.contains("masking_key")));
    assert!(enforcer.parts.snapshots.pin().masking.is_some());
    assert!(enforcer.parts.status.read().has_masking_key);
}

/// Looks, in the very moment in which a status is said, at what decides.
struct Onlooker {
    parts: Arc<Parts>,
    seen: Mutex<Vec<(bool, bool)>>,
}

impl Wake for Onlooker {
    fn wake(self: Arc<Self>) {
        let (status, snapshot) = (self.parts.status.read(), self.parts.snapshots.pin());
        let said = status.connected() || status.has_masking_key;
        let decides = snapshot.keys.is_some() && snapshot.masking.is_some();
        self.seen.lock().unwrap().push((said, decides));
    }
}

#[tokio::test]
async fn a_status_that_says_connected_is_said_only_when_keys_and_masking_decide() {
    let enforcer = Enforcer::new();
    let onlooker = Arc::new(Onlooker {
        parts: Arc::clone(&enforcer.parts),
        seen: Mutex::default(),
    });
    let waker = Waker::from(Arc::clone(&onlooker));
    let status = &enforcer.parts.status;
    let mut waiting = Box::pin(status.wait_until(|| status.read(), |_| false, SOON));
    assert!(waiting.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    enforcer.begin(enforcer.welcome()).await.unwrap();
    assert_eq!(onlooker.seen.lock().unwrap().first(), Some(&(true, true)));
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
