//! Renewal: whoever shows a certificate gets another, and never another name.

use std::sync::Arc;

use checkrein_control_plane::authority::not_after_ms;
use checkrein_control_plane::cli::client::ClientConfig;
use checkrein_control_plane::cli::identity::{
    CLIENT_FILE, Credentials, RootKey, generate_request, write_identity,
};
use checkrein_enforcer::{Enforcer, Status};
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::fleet::v1::{CertifyRequest, RenewRequest};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_shared::{Clock, ManualClock, SystemClock};
use checkrein_tests::{Binaries, WAIT_MAX, World, payments};
use tonic::Code;
use tonic::transport::Identity;

const AGENT: &str = "spiffe://acme.example/agent/billing";
/// The longest a renewed certificate holds.
const LIFE_MS: u64 = 90 * 24 * 60 * 60 * 1_000;
/// Everybody who may renew, with a name that is in the register where one has to be.
const CALLERS: [(Role, &str); 5] = [
    (Role::Operator, "olga"),
    (Role::Approver, "bob"),
    (Role::Orchestrator, "scheduler"),
    (Role::Enforcer, "edge"),
    (Role::Agent, "billing"),
];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shows_a_certificate_gets_one_for_a_new_key_and_its_own_name() {
    let world = World::start().await.unwrap();
    world.register("edge", &[], &[]).await.unwrap();
    for (role, name) in CALLERS {
        let id = format!("spiffe://acme.example/{role}/{name}");
        // What the request calls itself is not looked at.
        let made = generate_request("admin").unwrap();
        let request = RenewRequest {
            certificate_request: made.request,
        };
        let mut fleet = world.person(role, name, 0).await.unwrap().fleet();
        let renewed = fleet.renew(request.clone()).await.unwrap().into_inner();
        assert_eq!(renewed.spiffe_id, id);
        let now_ms = SystemClock.wall_ms();
        let left_ms = renewed.not_after_unix_ms.saturating_sub(now_ms);
        assert!((1..=LIFE_MS).contains(&left_ms), "{id}: {left_ms}");

        // It is a certificate of that very key, and the control plane reads the same name off it.
        let identity = Identity::from_pem(&renewed.certificate, &made.key);
        let channel = world.connect(Some(identity), 0).await.unwrap();
        let again = FleetServiceClient::new(channel).renew(request).await.unwrap();
        assert_eq!(again.into_inner().spiffe_id, id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_that_is_not_in_the_register_and_a_request_that_is_none_are_refused() {
    let world = World::start().await.unwrap();
    let request = RenewRequest {
        certificate_request: generate_request("edge").unwrap().request,
    };
    let mut stranger = world.person(Role::Enforcer, "edge", 0).await.unwrap().fleet();
    let refused = stranger.renew(request.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused:?}");
    world.register("edge", &[], &[]).await.unwrap();
    stranger.renew(request).await.unwrap();

    let mut operator = world.operator().await.unwrap().fleet();
    for text in ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"] {
        let request = RenewRequest {
            certificate_request: text.to_owned(),
        };
        let refused = operator.renew(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_renews_with_one_command_and_goes_on_with_the_same_key() {
    let world = World::start().await.unwrap();
    let made = generate_request("bob").unwrap();
    let certify = CertifyRequest {
        role: Role::Approver.to_string(),
        name: "bob".to_owned(),
        certificate_request: made.request,
    };
    let mut fleet = world.operator().await.unwrap().fleet();
    let certified = fleet.certify(certify).await.unwrap().into_inner();
    let credentials = Credentials {
        certificate: certified.certificate.clone(),
        key: made.key,
        ca: certified.ca_certificate,
    };
    let bob = world.path().join("bob");
    let address = format!("https://{}", world.address(0));
    let config = ClientConfig::beside(vec![address], RootKey([7; 32]))
        .encode()
        .unwrap();
    write_identity(&bob, &credentials, (CLIENT_FILE, &config), false).unwrap();
    let binaries = Binaries::build().await.unwrap();
    let mut before = certified.certificate;
    // The second time it is the renewed certificate that is shown.
    for _ in 0..2 {
        let mut command = binaries.checkrein();
        command.args(["--json", "--config"]).arg(bob.join(CLIENT_FILE));
        let renewed = command.args(["identity", "renew"]).output().await.unwrap();
        let said = String::from_utf8_lossy(&renewed.stderr);
        assert!(renewed.status.success(), "{said}");
        let answer: serde_json::Value = serde_json::from_slice(&renewed.stdout).unwrap();
        assert_eq!(answer["spiffe_id"], "spiffe://acme.example/approver/bob");
        let after = std::fs::read_to_string(bob.join("certificate.pem")).unwrap();
        assert_ne!(after, before);
        assert_eq!(
            std::fs::read_to_string(bob.join("key.pem")).unwrap(),
            credentials.key
        );
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_past_half_of_its_certificates_life_renews_it_and_keeps_its_session() {
    let mut world = World::start().await.unwrap();
    let directory = world.register("edge", &[], &[AGENT]).await.unwrap();
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let (certificate, key) = (read("certificate.pem"), read("key.pem"));
    let first_until_ms = not_after_ms(&certificate).unwrap();
    let config = world
        .enforcer_config(&directory, AGENT, &[world.address(0)])
        .unwrap();
    // While there is nobody to ask, what is there goes on.
    world.stop_replica(0).await;
    let past_half = ManualClock::at(SystemClock.wall_ms() + LIFE_MS / 100 * 60);
    let enforcer = Enforcer::connect_with(config, Arc::new(past_half)).await.unwrap();
    assert_eq!(read("certificate.pem"), certificate);
    world.restart_replica(0).await.unwrap();
    let renewed = |status: &Status| status.connected() && status.identity_until_ms > first_until_ms;
    enforcer.wait_until(renewed, WAIT_MAX).await.unwrap();
    assert_ne!(read("certificate.pem"), certificate);
    assert_eq!(read("key.pem"), key, "the key stays");
    // The session that was there still carries what is pushed, and the next is made with the new certificate.
    let generation = Generation(world.push(&payments().unwrap()).await.unwrap());
    let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
    decides.await.unwrap();
    world.stop_replica(0).await;
    let gone = enforcer.wait_until(|status| !status.connected(), WAIT_MAX);
    gone.await.unwrap();
    world.restart_replica(0).await.unwrap();
    enforcer.wait_until(renewed, WAIT_MAX).await.unwrap();
    enforcer.shutdown().await;
}
