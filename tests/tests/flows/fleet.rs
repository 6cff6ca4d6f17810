//! The register: who is in it, and how an enforcer keeps its identity.

mod agents;
mod removal;
mod renewal;
mod teams;

use checkrein_control_plane::authority::{Authority, not_after_ms};
use checkrein_control_plane::cli::identity::generate_request;
use checkrein_proto::fleet::v1::{CertifyRequest, ListRequest, RegisterRequest};
use checkrein_proto::policy::v1::FetchRequest;
use checkrein_proto::policy::v1::bundle_service_client::BundleServiceClient;
use checkrein_shared::clock::{Clock, ManualClock, SystemClock};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_tests::{WAIT_MAX, World, payments};
use tonic::Code;

const AGENT: &str = "spiffe://acme.example/agent/billing";

fn register(name: &str, key: &str) -> RegisterRequest {
    RegisterRequest {
        name: name.to_owned(),
        labels: vec!["team=payments".to_owned()],
        agents: vec![AGENT.to_owned()],
        certificate_request: generate_request(name).unwrap().request,
        idempotency_key: key.to_owned(),
    }
}

fn certify(role: Role, name: &str) -> CertifyRequest {
    CertifyRequest {
        role: role.to_string(),
        name: name.to_owned(),
        certificate_request: generate_request(name).unwrap().request,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_whose_answer_was_lost_is_asked_for_again_and_loses_no_name() {
    let world = World::start().await.unwrap();
    let mut fleet = world.operator().await.unwrap().fleet();
    let first = fleet
        .register(register("edge", "once"))
        .await
        .unwrap()
        .into_inner();
    // The key was lost with the answer: the same request, with another key to certify.
    let again = fleet
        .register(register("edge", "once"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.enforcer, again.enforcer);
    assert_ne!(first.certificate, again.certificate);
    let mut other = register("edge", "once");
    other.labels = vec!["team=others".to_owned()];
    let refused = fleet.register(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let taken = fleet.register(register("edge", "twice")).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists, "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_is_certified_again_if_it_is_in_the_register_and_a_replica_never() {
    let world = World::start().await.unwrap();
    let mut fleet = world.operator().await.unwrap().fleet();
    let unknown = fleet.certify(certify(Role::Enforcer, "edge")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown:?}");
    let first = fleet
        .register(register("edge", "once"))
        .await
        .unwrap()
        .into_inner();
    let again = fleet
        .certify(certify(Role::Enforcer, "edge"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again.spiffe_id, first.enforcer.unwrap().spiffe_id);
    assert_ne!(again.certificate, first.certificate);
    let replica = fleet
        .certify(certify(Role::ControlPlane, "edge"))
        .await
        .unwrap_err();
    assert_eq!(replica.code(), Code::InvalidArgument, "{replica:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_the_register_and_of_the_packs_hold_each_entry_once() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    for name in ["a", "b", "c"] {
        operator.fleet().register(register(name, name)).await.unwrap();
    }
    let mut names = Vec::new();
    let mut request = ListRequest {
        page_size: 2,
        ..ListRequest::default()
    };
    loop {
        let page = operator.fleet().list(request.clone()).await.unwrap().into_inner();
        names.extend(page.enforcers.into_iter().map(|enforcer| enforcer.name));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(names, ["a", "b", "c"]);

    for name in ["one", "two"] {
        let mut pack = payments().unwrap();
        pack.name = name.to_owned();
        let settings = b"namespace = \"org\"\n".to_vec();
        pack.files = [("checkrein.toml".to_owned(), settings)].into();
        world.push(&pack).await.unwrap();
    }
    let mut packs = Vec::new();
    let mut request = checkrein_proto::policy::v1::ListRequest {
        page_size: 1,
        ..Default::default()
    };
    loop {
        let page = operator
            .policies()
            .list(request.clone())
            .await
            .unwrap()
            .into_inner();
        packs.extend(page.revisions.into_iter().map(|revision| revision.pack));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(packs, ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_was_superseded_while_it_was_fetched_is_still_served() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let mut pack = payments().unwrap();
    world.push(&pack).await.unwrap();
    let sql = world.sql().await.unwrap();
    let rows = sql
        .query(
            "SELECT unnest(segments) FROM bundle WHERE generation = (SELECT max(generation) FROM bundle)",
            &[],
        )
        .await
        .unwrap();
    let announced: Vec<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect();
    pack.files.remove("tests/pay.yaml");
    let freeze = r#"@id("frozen") forbid (principal, action in Action::"spend", resource);"#;
    let rules = pack.files.get_mut("rules.cedar").unwrap();
    rules.extend_from_slice(freeze.as_bytes());
    let newest = world.push(&pack).await.unwrap();
    enforcer
        .wait_until(|status| status.generation == Generation(newest), WAIT_MAX)
        .await
        .unwrap();
    let channel = world.person(Role::Enforcer, "edge", 0).await.unwrap().channel();
    let mut bundles = BundleServiceClient::new(channel);
    let wanted = FetchRequest {
        sha256: announced.iter().map(|sha256| sha256.clone().into()).collect(),
    };
    let mut fetched = std::collections::BTreeSet::new();
    let mut stream = bundles.fetch(wanted).await.unwrap().into_inner();
    while let Some(chunk) = stream.message().await.unwrap() {
        fetched.insert(chunk.sha256.to_vec());
    }
    assert_eq!(fetched, announced.into_iter().collect());
    let foreign = FetchRequest {
        sha256: vec![vec![7; 32].into()],
    };
    let refused = bundles.fetch(foreign).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_that_was_lost_is_made_good_by_the_next_hello() {
    let world = World::start().await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let replica = [world.address(0)];
    let enforcer = world.start_enforcer(&directory, AGENT, &replica).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    world.until_acked(generation).await.unwrap();
    enforcer.shutdown().await;
    let sql = world.sql().await.unwrap();
    let lose = "UPDATE enforcer_instance SET acked_generation = 0, acked_at = NULL";
    assert_eq!(sql.execute(lose, &[]).await.unwrap(), 1);
    let again = world.start_enforcer(&directory, AGENT, &replica).await.unwrap();
    world.until_acked(generation).await.unwrap();
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_files_ends_no_session_and_the_next_is_made_with_the_new_ones() {
    let mut world = World::start().await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let addresses = [world.address(0)];
    let enforcer = world.start_enforcer(&directory, AGENT, &addresses).await.unwrap();
    let write = |certificate: &str, key: &str, ca: &str| {
        for (name, text) in [("certificate.pem", certificate), ("key.pem", key), ("ca.pem", ca)] {
            std::fs::write(directory.join(name), text).unwrap();
        }
    };
    let first = ["certificate.pem", "key.pem", "ca.pem"]
        .map(|name| std::fs::read_to_string(directory.join(name)).unwrap());
    let first_until_ms = not_after_ms(&first[0]).unwrap();

    // With this identity no connection could be made: what still comes, comes over the session that there is.
    let elsewhere = world.path().join("elsewhere");
    let past = ManualClock::at(SystemClock.wall_ms() - 60_000);
    let other = Authority::open(&elsewhere, "acme.example", &past).unwrap();
    let foreign = other.issue(&past, Role::Enforcer, "edge").unwrap();
    write(&foreign.certificate, &foreign.key, &other.ca_certificate);
    let foreign_until_ms = foreign.not_after_ms().unwrap();
    assert_ne!(foreign_until_ms, first_until_ms);
    let status = enforcer
        .wait_until(|status| status.identity_until_ms == foreign_until_ms, WAIT_MAX)
        .await
        .unwrap();
    assert!(status.connected());
    let generation = Generation(world.push(&payments().unwrap()).await.unwrap());
    enforcer
        .wait_until(|status| status.decides_by(generation), WAIT_MAX)
        .await
        .unwrap();

    write(&first[0], &first[1], &first[2]);
    world.stop_replica(0).await;
    let gone = enforcer.wait_until(|status| !status.connected(), WAIT_MAX);
    gone.await.unwrap();
    world.restart_replica(0).await.unwrap();
    enforcer
        .wait_until(
            |status| status.connected() && status.identity_until_ms == first_until_ms,
            WAIT_MAX,
        )
        .await
        .unwrap();
    enforcer.shutdown().await;
}
