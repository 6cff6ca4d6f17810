//! Who may call what: every RPC of the control plane, by every kind of caller, over real TLS.
//!
//! Goal: the table in `caller.rs`, the comments of the contract and what really happens are the same three times.
//! Method: each RPC is called with an empty message by a caller of each role; a refusal by role is `PERMISSION_DENIED` before
//! the message is even looked at; an RPC that is not mounted is `UNIMPLEMENTED`; anything else means that the caller got in.
//! Callers whom no role describes get nothing, whatever they call.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "authorization/bearer.rs"]
mod bearer;
#[path = "authorization/browser.rs"]
mod browser;
#[path = "authorization/code.rs"]
mod code;
#[path = "authorization/issuer.rs"]
mod issuer;
#[path = "authorization/provider.rs"]
mod provider;
#[path = "authorization/signer.rs"]
mod signer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use checkrein_control_plane::caller::{CALLERS, OPEN};
use checkrein_proto::fleet::v1::{Hello, SessionRequest, session_request};
use checkrein_shared::SystemClock;
use checkrein_shared::id::InstanceId;
use checkrein_shared::identity::Role;
use checkrein_tests::World;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use tonic::Code;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Identity};

/// What the contract says, in words.
type Contract = BTreeMap<String, BTreeSet<Role>>;

/// Reads the `Caller:` sentences of every service that the control plane serves.
fn contract() -> Contract {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/checkrein");
    let mut contract = Contract::new();
    for noun in ["policy", "decision", "hold", "task", "fleet"] {
        for file in std::fs::read_dir(root.join(noun).join("v1")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            read_services(noun, &text, &mut contract);
        }
    }
    contract
}

fn read_services(noun: &str, text: &str, contract: &mut Contract) {
    let (mut service, mut comment) = (String::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("service ") {
            rest.trim_end_matches(" {").clone_into(&mut service);
        } else if let Some(rest) = line.strip_prefix("//") {
            comment.push_str(rest);
        } else if let Some(rest) = line.strip_prefix("rpc ") {
            let rpc = rest.split('(').next().unwrap_or_default();
            let callers = comment
                .rsplit_once("Caller: ")
                .map(|(_, callers)| callers.trim_end_matches('.'));
            let callers = callers.unwrap_or_else(|| panic!("{service}/{rpc} does not say who may call it"));
            // What anyone may call takes no role.
            let roles = callers.split(", ").filter(|role| *role != "anyone");
            let roles = roles.map(|role| role.parse().unwrap_or_else(|_| panic!("{rpc}: {role}")));
            contract.insert(format!("/checkrein.{noun}.v1.{service}/{rpc}"), roles.collect());
            comment.clear();
        } else {
            comment.clear();
        }
    }
}

/// Calls an RPC with an empty message; says how it was refused, if it was.
async fn call(channel: Channel, path: &str) -> Option<Code> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let request = tonic::Request::new(());
    let path = PathAndQuery::try_from(path).unwrap();
    client
        .unary(request, path, codec)
        .await
        .err()
        .map(|status| status.code())
}

#[test]
fn the_table_says_what_the_contract_says() {
    let table: Contract = CALLERS
        .iter()
        .map(|(rpc, roles)| ((*rpc).to_owned(), roles.iter().copied().collect()))
        .collect();
    let open = OPEN.iter().map(|rpc| ((*rpc).to_owned(), BTreeSet::new()));
    let table: Contract = table.into_iter().chain(open).collect();
    // The gate is the enforcer's to serve, and agents' to call.
    let contract: Contract = contract()
        .into_iter()
        .filter(|(rpc, _)| !rpc.starts_with("/checkrein.decision.v1.GateService/"))
        .collect();
    assert_eq!(table, contract);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_lets_its_callers_in_and_refuses_everyone_else() {
    let world = World::start().await.unwrap();
    for role in Role::ALL {
        let channel = world.person(role, "somebody", 0).await.unwrap().channel();
        for (rpc, roles) in CALLERS {
            // An enforcer that is not in the register is let in by role, and refused by name.
            if role == Role::Enforcer && roles.contains(&role) {
                continue;
            }
            let answered = call(channel.clone(), rpc).await;
            let refused = answered == Some(Code::PermissionDenied);
            assert_eq!(refused, !roles.contains(&role), "{role} calling {rpc}");
            let unserved = [Code::Unimplemented, Code::Unauthenticated].map(Some);
            assert!(
                !unserved.contains(&answered),
                "{role} calling {rpc}: {answered:?}"
            );
        }
    }
}

/// What the CA of a world makes of a SPIFFE ID that it would never be asked for.
fn certified(world: &World, id: &str) -> Identity {
    let keys = world.path().join("data/keys");
    let read = |name: &str| std::fs::read_to_string(keys.join(name)).unwrap();
    let ca_key = KeyPair::from_pem(&read("ca.key")).unwrap();
    let ca = Issuer::from_ca_cert_pem(&read("ca.pem"), ca_key).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    Identity::from_pem(certificate.pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_of_another_trust_domain_or_has_no_role_is_refused_everything() {
    let world = World::start().await.unwrap();
    // Made the same way, an operator of the right domain gets in: it is the name that is refused below.
    let cases = [
        ("spiffe://acme.example/operator/olga", None),
        (
            "spiffe://other.example/operator/olga",
            Some(Code::Unauthenticated),
        ),
        (
            "spiffe://other.example/enforcer/edge",
            Some(Code::Unauthenticated),
        ),
        ("spiffe://acme.example/visitor/olga", Some(Code::PermissionDenied)),
    ];
    for (id, refusal) in cases {
        let channel = world.connect(Some(certified(&world, id)), 0).await.unwrap();
        if refusal.is_none() {
            let list = "/checkrein.fleet.v1.FleetService/List";
            assert_eq!(call(channel, list).await, None, "{id}");
            continue;
        }
        for (rpc, _) in CALLERS {
            assert_eq!(call(channel.clone(), rpc).await, refusal, "{id} calling {rpc}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_certificate_is_refused_everything_but_to_join() {
    let world = World::start().await.unwrap();
    let channel = world.connect(None, 0).await.unwrap();
    for (rpc, _) in CALLERS {
        let answered = call(channel.clone(), rpc).await;
        assert_eq!(answered, Some(Code::Unauthenticated), "{rpc}");
    }
    // Let in, and told that an empty message has no secret.
    for rpc in OPEN {
        let answered = call(channel.clone(), rpc).await;
        assert_eq!(answered, Some(Code::InvalidArgument), "{rpc}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_that_is_not_registered_gets_no_session_and_no_bundle() {
    let world = World::start().await.unwrap();
    let somebody = world.person(Role::Enforcer, "somebody", 0).await.unwrap();
    let hello = Hello {
        protocol: 1,
        instance_id: InstanceId::new(&SystemClock).to_string(),
        incarnation: 1,
        bundle_formats: vec![0],
        ..Hello::default()
    };
    let request = SessionRequest {
        body: Some(session_request::Body::Hello(hello)),
    };
    let opened = somebody
        .fleet()
        .session(tonic::codegen::tokio_stream::iter([request]))
        .await;
    // Refused at once or as the first answer; there is no Welcome.
    let answered = match opened {
        Ok(session) => session.into_inner().message().await,
        Err(status) => Err(status),
    };
    assert_eq!(answered.unwrap_err().code(), Code::PermissionDenied);
    let fetch = "/checkrein.policy.v1.BundleService/Fetch";
    assert_eq!(
        call(somebody.channel(), fetch).await,
        Some(Code::PermissionDenied)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_table_is_served_to_nobody() {
    let world = World::start().await.unwrap();
    for role in Role::ALL {
        let channel = world.person(role, "somebody", 0).await.unwrap().channel();
        for path in [
            "/checkrein.policy.v1.PolicyService/Nothing",
            "/grpc.health.v1.Health/Check",
            "/",
        ] {
            assert_eq!(
                call(channel.clone(), path).await,
                Some(Code::Unimplemented),
                "{role} calling {path}"
            );
        }
    }
}
