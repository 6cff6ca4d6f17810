//! What goes wrong is laid at the right door: a policy is refused only for its own fault, and nothing passes for fresh that a
//! restart would forget.

use super::*;
use crate::fixture::Ca;
use crate::identity;

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
            endpoints: Endpoints::new(&config, identity::Source::read(config.files()).unwrap()).unwrap(),
            connection: Connection::default(),
            parts: Arc::clone(&self.parts),
        }
    }
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
    let (address, mut backoff) = (follower.endpoints.address().to_owned(), Backoff::default());
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
    assert!(is_over(&restored.unwrap(), task));
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
async fn an_expired_certificate_is_named_and_nobody_is_bothered_with_it() {
    let enforcer = Enforcer::new();
    let follower = enforcer.follower();
    assert!(matches!(follower.open().await, Err(SessionError::Connect(_))));
    let until_ms = follower.endpoints.identity().await.svid().not_after_ms;
    enforcer
        .clock
        .advance_ms(until_ms - enforcer.parts.clock.wall_ms());
    let Err(expired) = follower.open().await else {
        panic!("a session with an expired certificate")
    };
    assert!(matches!(&expired, SessionError::Expired(id) if id.name() == "edge"));
    assert!(
        expired
            .to_string()
            .contains("spiffe://acme.example/enforcer/edge")
    );
}
