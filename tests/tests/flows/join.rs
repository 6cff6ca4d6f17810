//! Joining by a token: once, in time, and only towards the control plane that the token names.

mod impostor;
mod typed;
mod withdrawn;

use std::path::Path;
use std::time::Duration;

use checkrein_control_plane::cli::identity::generate_request;
use checkrein_enforcer::{Config, Enforcer, JoinError, join};
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::fleet::v1::{InviteRequest, JoinRequest, ListRequest};
use checkrein_shared::action::Sha256;
use checkrein_shared::identity::{Draft, JoinToken};
use checkrein_tests::{WAIT_MAX, World};
use rcgen::{CertificateParams, KeyPair};
use tonic::Code;

const AGENT: &str = "spiffe://acme.example/agent/billing";
const MINUTE_MS: u64 = 60_000;

fn invite(name: &str, secret: [u8; 32], life_ms: u64) -> InviteRequest {
    InviteRequest {
        role: "enforcer".to_owned(),
        name: name.to_owned(),
        labels: vec!["team=payments".to_owned()],
        agents: vec![AGENT.to_owned()],
        secret_sha256: Sha256::of(&secret).0.to_vec().into(),
        life_ms,
    }
}

fn asking(secret: [u8; 32]) -> JoinRequest {
    JoinRequest {
        secret: secret.to_vec().into(),
        certificate_request: generate_request("edge").unwrap().request,
    }
}

/// A token for `edge`, whose place may or may not have been kept.
fn token(world: &World, secret: [u8; 32]) -> JoinToken {
    JoinToken {
        id: "spiffe://acme.example/enforcer/edge".parse().unwrap(),
        control_plane: vec![format!("https://{}", world.address(0))],
        ca: std::fs::read_to_string(world.path().join("data/keys/ca.pem")).unwrap(),
        root_key: std::fs::read(world.path().join("data/keys/root.pub"))
            .unwrap()
            .try_into()
            .unwrap(),
        secret,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_with_a_token_starts_from_what_was_written_and_nobody_joins_with_it_again() {
    let mut world = World::start().await.unwrap();
    let mut fleet = world.operator().await.unwrap().fleet();
    fleet.invite(invite("edge", [1; 32], MINUTE_MS)).await.unwrap();
    // A place outlives the replica that kept it.
    world.stop_replica(0).await;
    world.restart_replica(0).await.unwrap();
    let (token, home) = (token(&world, [1; 32]), world.path().join("joined"));
    let config = join(&token, &home).await.unwrap();
    let enforcer = Enforcer::connect(Config::load(&config).unwrap()).await.unwrap();
    enforcer
        .wait_until(checkrein_enforcer::Status::connected, WAIT_MAX)
        .await
        .unwrap();
    enforcer.shutdown().await;

    let stolen = join(&token, &world.path().join("stolen")).await.unwrap_err();
    assert!(
        matches!(&stolen, JoinError::Refused(why) if why.contains("has been used")),
        "{stolen}"
    );
    assert_eq!(left(world.path(), "stolen"), [""; 0]);
    let again = join(&token, &home).await.unwrap_err();
    assert!(matches!(again, JoinError::Directory(_)), "{again}");
    let mut fleet = world.operator().await.unwrap().fleet();
    let listed = fleet.list(ListRequest::default()).await.unwrap().into_inner();
    let [edge] = &*listed.enforcers else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (&*edge.name, &*edge.labels),
        ("edge", &["team=payments".to_owned()][..])
    );
}

/// What begins with a name or a dot and the name, in a directory.
fn left(directory: &Path, name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|found| found.trim_start_matches('.').starts_with(name))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_the_answer_or_had_none_joins_by_the_same_command_with_the_same_key() {
    let mut world = World::start().await.unwrap();
    let mut fleet = world.operator().await.unwrap().fleet();
    fleet.invite(invite("edge", [8; 32], MINUTE_MS)).await.unwrap();
    let (token, home) = (token(&world, [8; 32]), world.path().join("lost"));
    // As a process that died after it had asked: its key is on the disk, and the place is taken.
    let draft = Draft::open(&home, &Sha256::of(&token.secret)).unwrap();
    let key = KeyPair::generate().unwrap();
    draft.keep_key(&key.serialize_pem()).unwrap();
    drop(draft);
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let asked = JoinRequest {
        secret: token.secret.to_vec().into(),
        certificate_request: request.pem().unwrap(),
    };
    let mut nobody = FleetServiceClient::new(world.connect(None, 0).await.unwrap());
    nobody.join(asked).await.unwrap();
    // Nobody is there for a while.
    world.stop_replica(0).await;
    let unreachable = join(&token, &home).await.unwrap_err();
    assert!(
        matches!(unreachable, JoinError::Unreachable { .. }),
        "{unreachable}"
    );
    assert!(!home.exists());
    world.restart_replica(0).await.unwrap();
    let config = join(&token, &home).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(home.join("key.pem")).unwrap(),
        key.serialize_pem()
    );
    let enforcer = Enforcer::connect(Config::load(&config).unwrap()).await.unwrap();
    enforcer
        .wait_until(checkrein_enforcer::Status::connected, WAIT_MAX)
        .await
        .unwrap();
    enforcer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_machines_that_take_one_token_at_once_one_has_an_identity_and_the_other_nothing() {
    let world = World::start().await.unwrap();
    let mut fleet = world.operator().await.unwrap().fleet();
    for round in 0..8_u8 {
        let name = format!("edge-{round}");
        let secret = [100 + round; 32];
        fleet.invite(invite(&name, secret, MINUTE_MS)).await.unwrap();
        let token = JoinToken {
            id: format!("spiffe://acme.example/enforcer/{name}").parse().unwrap(),
            ..token(&world, secret)
        };
        let homes = ["one", "two"].map(|machine| world.path().join(format!("{machine}-{round}")));
        let (one, two) = tokio::join!(join(&token, &homes[0]), join(&token, &homes[1]));
        let (winner, loser, refused) = match (one, two) {
            (Ok(_), Err(refused)) => (&homes[0], &homes[1], refused),
            (Err(refused), Ok(_)) => (&homes[1], &homes[0], refused),
            both => panic!("{both:?}"),
        };
        assert!(
            matches!(&refused, JoinError::Refused(why) if why.contains("has been used")),
            "{refused}"
        );
        assert!(winner.join("enforcer.toml").exists());
        let name = loser.file_name().unwrap().to_str().unwrap();
        assert_eq!(left(world.path(), name), [""; 0]);
    }
    let listed = fleet.list(ListRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.enforcers.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_four_who_join_at_once_one_does() {
    let world = World::start().await.unwrap();
    let mut fleet = world.operator().await.unwrap().fleet();
    fleet.invite(invite("edge", [2; 32], MINUTE_MS)).await.unwrap();
    let joining = async || {
        let mut nobody = FleetServiceClient::new(world.connect(None, 0).await.unwrap());
        nobody.join(asking([2; 32])).await.map_err(|status| status.code())
    };
    let joined = tokio::join!(joining(), joining(), joining(), joining());
    let mut joined = [joined.0, joined.1, joined.2, joined.3];
    joined.sort_by_key(Result::is_err);
    assert!(joined[0].is_ok(), "{joined:?}");
    for refused in &joined[1..] {
        assert_eq!(refused.as_ref().unwrap_err(), &Code::FailedPrecondition);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_again_before_the_first_answer_is_answered_both_times() {
    let world = World::start().await.unwrap();
    let mut fleet = world.operator().await.unwrap().fleet();
    for round in 0..8_u8 {
        let secret = [200 + round; 32];
        let name = format!("edge-{round}");
        fleet.invite(invite(&name, secret, MINUTE_MS)).await.unwrap();
        let request = asking(secret);
        let joining = async || {
            let mut nobody = FleetServiceClient::new(world.connect(None, 0).await.unwrap());
            nobody.join(request.clone()).await.map(|_| ())
        };
        let (one, two) = tokio::join!(joining(), joining());
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_slow_few_who_have_shown_nothing_wait_and_the_rest_are_told_so() {
    let world = World::start().await.unwrap();
    let mut operator = world.operator().await.unwrap().fleet();
    let mut sql = world.sql().await.unwrap();
    let slow = sql.transaction().await.unwrap();
    slow.batch_execute("LOCK TABLE invitation IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for at in 0..20_u8 {
        let mut nobody = FleetServiceClient::new(world.connect(None, 0).await.unwrap());
        asked.spawn(async move { nobody.join(asking([at; 32])).await.unwrap_err().code() });
    }
    // All but the few are answered while the table is locked.
    for _ in 0..16 {
        let code = asked.join_next().await.unwrap().unwrap();
        assert_eq!(code, Code::ResourceExhausted);
    }
    operator.list(ListRequest::default()).await.unwrap();
    slow.rollback().await.unwrap();
    while let Some(code) = asked.join_next().await {
        assert_eq!(code.unwrap(), Code::PermissionDenied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_and_one_that_nobody_gave_are_refused() {
    let world = World::start().await.unwrap();
    let mut fleet = world.operator().await.unwrap().fleet();
    fleet.invite(invite("edge", [3; 32], MINUTE_MS)).await.unwrap();
    let expire = "UPDATE invitation SET expires_at = clock_timestamp()";
    world.sql().await.unwrap().execute(expire, &[]).await.unwrap();
    let mut nobody = FleetServiceClient::new(world.connect(None, 0).await.unwrap());
    let expired = nobody.join(asking([3; 32])).await.unwrap_err();
    assert_eq!(expired.code(), Code::FailedPrecondition, "{expired:?}");
    let unknown = nobody.join(asking([4; 32])).await.unwrap_err();
    assert_eq!(unknown.code(), Code::PermissionDenied, "{unknown:?}");
    assert!(!unknown.message().contains("edge"), "{unknown:?}");
    let long = Duration::from_hours(25).as_millis().try_into().unwrap();
    let refused = fleet.invite(invite("other", [5; 32], long)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let listed = fleet.list(ListRequest::default()).await.unwrap().into_inner();
    assert!(listed.enforcers.is_empty(), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_a_nobody_is_small() {
    let world = World::start().await.unwrap();
    let mut nobody = FleetServiceClient::new(world.connect(None, 0).await.unwrap());
    let mut large = asking([6; 32]);
    large.certificate_request = "x".repeat(17 << 10);
    let refused = nobody.join(large).await.unwrap_err();
    assert_ne!(refused.code(), Code::PermissionDenied, "it was read: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_of_another_ca_is_shown_no_secret() {
    let (world, other) = (World::start().await.unwrap(), World::start().await.unwrap());
    // The other would take the secret: it keeps a place under it.
    let mut fleet = other.operator().await.unwrap().fleet();
    fleet.invite(invite("edge", [7; 32], MINUTE_MS)).await.unwrap();
    let astray = JoinToken {
        control_plane: vec![format!("https://{}", other.address(0))],
        ..token(&world, [7; 32])
    };
    let home = world.path().join("astray");
    let refused = join(&astray, &home).await.unwrap_err();
    assert!(matches!(refused, JoinError::Unreachable { .. }), "{refused}");
    assert_eq!(left(world.path(), "astray"), [""; 0]);
    let taken = "SELECT count(*) FROM invitation WHERE joined_at IS NOT NULL";
    let row = other.sql().await.unwrap().query_one(taken, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
}
