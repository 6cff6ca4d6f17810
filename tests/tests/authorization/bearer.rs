//! Callers who say by a bearer token who they are: the same table, and every token that must not be believed.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use checkrein_control_plane::caller::{BY_CERTIFICATE_ONLY, CALLERS, OPEN};
use checkrein_control_plane::cli::client::ClientConfig;
use checkrein_control_plane::config::{JwtSvidSettings, OidcSettings};
use checkrein_proto::hold::v1::ListRequest;
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_shared::identity::Role;
use checkrein_tests::{World, WorldOptions};
use serde_json::{Value, json};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::certified;
use super::issuer::Issuer;
use super::signer::{Signer, now_s};

pub(super) const LIST: &str = "/checkrein.policy.v1.PolicyService/List";

/// A world that takes tokens of this issuer and of this workload authority.
struct Scene {
    world: World,
    issuer: Issuer,
    workloads: Signer,
    certifier: Signer,
    bundle: tempfile::NamedTempFile,
}

impl Scene {
    async fn start() -> Self {
        let (issuer, workloads) = (Issuer::start().await, Signer::new("workloads"));
        let bundle = tempfile::NamedTempFile::new().unwrap();
        // The bundle's certificates stand beside the keys, and verify no token.
        let certifier = Signer::new("certifier");
        let listed = [certifier.public("x509-svid"), workloads.public("jwt-svid")];
        let keys = json!({"spiffe_sequence": 1, "keys": listed});
        std::fs::write(bundle.path(), keys.to_string()).unwrap();
        let options = WorldOptions {
            oidc: OidcSettings {
                issuer: Some(issuer.url.clone()),
                audience: Some("checkrein".to_owned()),
                operators: vec!["ops".to_owned(), "sre".to_owned()],
                approvers: vec!["risk".to_owned()],
                ..OidcSettings::default()
            },
            jwt_svid: JwtSvidSettings {
                keys: Some(bundle.path().to_owned()),
                audience: Some("checkrein".to_owned()),
            },
            ..WorldOptions::default()
        };
        Self {
            world: World::with(options).await.unwrap(),
            issuer,
            workloads,
            certifier,
            bundle,
        }
    }

    async fn nobody(&self) -> Channel {
        self.world.connect(None, 0).await.unwrap()
    }
}

/// Claims of a workload that are good for a few minutes.
fn svid(id: &str) -> Value {
    json!({"sub": id, "aud": "checkrein", "exp": now_s() + 300})
}

pub(super) async fn call(channel: &Channel, path: &str, token: &str) -> Option<Status> {
    call_with(channel, path, &[format!("Bearer {token}")]).await
}

/// With each of these as an `authorization`.
async fn call_with(channel: &Channel, path: &str, authorizations: &[String]) -> Option<Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let mut request = tonic::Request::new(());
    for authorization in authorizations {
        let value = authorization.parse().unwrap();
        request.metadata_mut().append("authorization", value);
    }
    let path = PathAndQuery::try_from(path).unwrap();
    client.unary(request, path, codec).await.err()
}

/// Every RPC lets a bearer in who is one of these, and nobody else; without naming the token.
pub(super) async fn expect_roles(channel: &Channel, token: &str, roles: &[Role]) {
    for (rpc, row) in CALLERS {
        let allowed = row.iter().any(|role| roles.contains(role));
        // An enforcer that is not in the register is let in by role, and refused by name.
        if roles == [Role::Enforcer] && allowed {
            continue;
        }
        let refused = call(channel, rpc, token).await;
        let code = refused.map(|status| status.code());
        if BY_CERTIFICATE_ONLY.contains(rpc) {
            assert_eq!(code, Some(Code::Unauthenticated), "{roles:?} {rpc}");
            continue;
        }
        let unserved = [Code::Unimplemented, Code::Unauthenticated].map(Some);
        assert_eq!(code == Some(Code::PermissionDenied), !allowed, "{roles:?} {rpc}");
        assert!(!unserved.contains(&code), "{roles:?} calling {rpc}: {code:?}");
    }
}

/// No RPC takes this token.
pub(super) async fn expect_refused(channel: &Channel, what: &str, token: &str) -> String {
    let mut reasons = BTreeSet::new();
    for (rpc, _) in CALLERS {
        let refused = call(channel, rpc, token).await;
        let refused = refused.unwrap_or_else(|| panic!("{what}: {rpc} let it in"));
        assert_eq!(
            refused.code(),
            Code::Unauthenticated,
            "{what}: {rpc}: {refused:?}"
        );
        for part in token.split('.').filter(|part| !part.is_empty()) {
            assert!(!refused.message().contains(part), "{what}: {refused:?}");
        }
        reasons.insert(refused.message().to_owned());
    }
    assert_eq!(reasons.len(), 1, "{what}: {reasons:?}");
    reasons.pop_first().unwrap()
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn what_anyone_may_call_answers_alike_whatever_certificate_or_token_comes_with_it() {
    let scene = Scene::start().await;
    let world = &scene.world;
    let mut channels = vec![("nobody".to_owned(), scene.nobody().await)];
    for role in Role::ALL {
        let person = world.person(role, "somebody", 0).await.unwrap();
        channels.push((role.to_string(), person.channel()));
    }
    for id in [
        "spiffe://other.example/operator/olga",
        "spiffe://acme.example/visitor/olga",
    ] {
        let identity = Some(certified(world, id));
        channels.push((id.to_owned(), world.connect(identity, 0).await.unwrap()));
    }
    let issuer = &scene.issuer;
    let olga = format!("Bearer {}", issuer.signer.sign(&issuer.claims("olga", &["ops"])));
    let authorizations = [
        vec![],
        vec![olga.clone()],
        vec![olga.clone(), olga],
        vec!["Bearer nonsense".to_owned()],
        vec!["Basic b2xnYTpvbGdh".to_owned()],
    ];
    for rpc in OPEN {
        let mut answers = BTreeSet::new();
        for (who, channel) in &channels {
            for authorization in &authorizations {
                let refused = call_with(channel, rpc, authorization).await.unwrap();
                // Let in, and told that an empty message has no secret.
                assert_eq!(refused.code(), Code::InvalidArgument, "{who} {authorization:?}");
                answers.insert(refused.message().to_owned());
            }
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_what_the_groups_of_a_token_say_and_nothing_more() {
    let scene = Scene::start().await;
    let (issuer, channel) = (&scene.issuer, scene.nobody().await);
    let signed = |groups: &[&str]| issuer.signer.sign(&issuer.claims("olga", groups));
    let both = [Role::Operator, Role::Approver];
    expect_roles(&channel, &signed(&["sre", "staff"]), &both[..1]).await;
    expect_roles(&channel, &signed(&["risk"]), &both[1..]).await;
    expect_roles(&channel, &signed(&["risk", "ops"]), &both).await;
    // A claim of one text is a list of one.
    let one = with(issuer.claims("olga", &[]), "groups", json!("ops"));
    expect_roles(&channel, &issuer.signer.sign(&one), &both[..1]).await;
    for groups in [&["staff", "operator", "op"][..], &[]] {
        let reason = expect_refused(&channel, "no group", &signed(groups)).await;
        assert!(reason.contains("`groups`"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_which_one_part_is_wrong_lets_nobody_in() {
    let scene = Scene::start().await;
    let (issuer, channel) = (&scene.issuer, scene.nobody().await);
    let good = issuer.claims("olga", &["ops", "risk"]);
    let signed = issuer.signer.sign(&good);
    assert!(call(&channel, LIST, &signed).await.is_none(), "all else is right");
    let claims = |name: &str, value: Value| issuer.signer.sign(&with(good.clone(), name, value));
    let header = |name: &str, value: Value| {
        let header = with(issuer.signer.header(), name, value);
        issuer.signer.sign_as(&header, &good)
    };
    let parts: Vec<&str> = signed.split('.').collect();
    let other = issuer.signer.sign(&issuer.claims("mallory", &["ops"]));
    let tampered = format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]);
    let cases = [
        ("expired", claims("exp", json!(now_s() - 31))),
        ("no end", claims("exp", Value::Null)),
        ("an end that is no time", claims("exp", json!("never"))),
        ("not yet", claims("nbf", json!(now_s() + 120))),
        ("issued in the future", claims("iat", json!(now_s() + 120))),
        ("wrong audience", claims("aud", json!("other"))),
        ("no audience", claims("aud", Value::Null)),
        (
            "other issuer",
            claims("iss", json!("https://login.other.example")),
        ),
        ("foreign key", Signer::new("first").sign(&good)),
        ("a workload's key", scene.workloads.sign(&good)),
        ("none", issuer.signer.unsigned(&good)),
        (
            "public key as secret",
            issuer.signer.sign_with_the_public_key_as_secret(&good),
        ),
        ("another curve", header("alg", json!("ES384"))),
        ("another family", header("alg", json!("RS256"))),
        ("critical extension", header("crit", json!(["exp"]))),
        ("another kind", header("typ", json!("logout+jwt"))),
        ("no key named", header("kid", Value::Null)),
        ("tampered", tampered),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("no token", "olga".to_owned()),
        ("no name", claims("preferred_username", Value::Null)),
        (
            "no name for a SPIFFE ID",
            claims("preferred_username", json!("olga@acme.example")),
        ),
        ("two segments", claims("preferred_username", json!("olga/admin"))),
    ];
    for (what, token) in cases {
        // One fetch for a key that is not listed takes a moment; a single call shows as much.
        if what == "a workload's key" {
            let refused = call(&channel, LIST, &token).await.unwrap();
            assert_eq!(refused.code(), Code::Unauthenticated, "{what}");
            continue;
        }
        let reason = expect_refused(&channel, what, &token).await;
        if what.contains("SPIFFE") {
            assert!(reason.contains("--oidc-name-claim"), "{reason}");
        }
    }
    // A key that the token brings along is not looked at.
    let brought = Signer::new("first");
    let header = with(brought.header(), "jwk", brought.public("sig"));
    expect_refused(&channel, "brought key", &brought.sign_as(&header, &good)).await;
    // Within the skew of clocks.
    let late = claims("exp", json!(now_s() - 5));
    assert!(call(&channel, LIST, &late).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_is_what_its_jwt_svid_says() {
    let scene = Scene::start().await;
    let channel = scene.nobody().await;
    for role in Role::ALL {
        let token = scene
            .workloads
            .sign(&svid(&format!("spiffe://acme.example/{role}/somebody")));
        expect_roles(&channel, &token, &[role]).await;
    }
    let good = svid("spiffe://acme.example/operator/olga");
    let claims = |name: &str, value: Value| scene.workloads.sign(&with(good.clone(), name, value));
    let header = |name: &str, value: Value| {
        let header = with(scene.workloads.header(), name, value);
        scene.workloads.sign_as(&header, &good)
    };
    let cases = [
        ("expired", claims("exp", json!(now_s() - 31))),
        ("no end", claims("exp", Value::Null)),
        ("wrong audience", claims("aud", json!(["other"]))),
        (
            "other domain",
            claims("sub", json!("spiffe://other.example/operator/olga")),
        ),
        ("no SPIFFE ID", claims("sub", json!("olga"))),
        ("foreign key", Signer::new("workloads").sign(&good)),
        ("none", scene.workloads.unsigned(&good)),
        (
            "public key as secret",
            scene.workloads.sign_with_the_public_key_as_secret(&good),
        ),
        ("another header", header("jku", json!("https://mallory.example"))),
        ("another kind", header("typ", json!("at+jwt"))),
        // It stands in the bundle, but for certificates.
        ("a workload's certificate key", scene.certifier.sign(&good)),
        (
            "a workload's token as a person's",
            claims("iss", json!(scene.issuer.url)),
        ),
    ];
    for (what, token) in cases {
        if what.starts_with("a workload's") {
            let refused = call(&channel, LIST, &token).await.unwrap();
            assert_eq!(refused.code(), Code::Unauthenticated, "{what}");
            continue;
        }
        expect_refused(&channel, what, &token).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_on_a_connection_with_a_certificate_must_be_of_the_same_caller() {
    let scene = Scene::start().await;
    let issuer = &scene.issuer;
    let olga = scene.world.operator().await.unwrap().channel();
    let of = |name: &str, groups: &[&str]| issuer.signer.sign(&issuer.claims(name, groups));
    assert!(call(&olga, LIST, &of("olga", &["ops", "risk"])).await.is_none());
    for (name, groups) in [("mallory", "ops"), ("olga", "risk")] {
        let reason = expect_refused(&olga, name, &of(name, &[groups])).await;
        assert!(reason.contains("somebody else"), "{reason}");
    }
    // The certificate's role is not widened by the token's.
    let vote = "/checkrein.hold.v1.HoldService/Vote";
    let refused = call(&olga, vote, &of("olga", &["ops", "risk"])).await.unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    expect_refused(&olga, "a bad token beside a good certificate", "olga").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_fetched_when_a_token_names_it_and_an_old_one_is_then_refused() {
    let scene = Scene::start().await;
    let (issuer, channel) = (&scene.issuer, scene.nobody().await);
    let claims = issuer.claims("olga", &["ops"]);
    assert!(call(&channel, LIST, &issuer.signer.sign(&claims)).await.is_none());
    let early = call(&channel, LIST, &issuer.second.sign(&claims)).await;
    assert_eq!(early.unwrap().code(), Code::Unauthenticated);
    issuer.rotated.store(true, Ordering::SeqCst);
    assert!(call(&channel, LIST, &issuer.second.sign(&claims)).await.is_none());
    let old = call(&channel, LIST, &issuer.signer.sign(&claims)).await;
    assert_eq!(old.unwrap().code(), Code::Unauthenticated);

    let new = Signer::new("new");
    let keys = json!({"keys": [new.public("jwt-svid")]}).to_string();
    std::fs::write(scene.bundle.path(), keys).unwrap();
    let token = new.sign(&svid("spiffe://acme.example/operator/olga"));
    assert!(call(&channel, LIST, &token).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_was_told_of_no_issuer_takes_no_token() {
    let (world, issuer) = (World::start().await.unwrap(), Issuer::start().await);
    let channel = world.connect(None, 0).await.unwrap();
    let token = issuer.signer.sign(&issuer.claims("olga", &["ops"]));
    let reason = expect_refused(&channel, "no issuer", &token).await;
    assert!(reason.contains("--oidc-issuer"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_in_with_the_token_in_a_file_and_with_the_one_that_replaced_it() {
    let scene = Scene::start().await;
    let (issuer, directory) = (&scene.issuer, scene.world.path());
    let (config, token) = (directory.join("client.toml"), directory.join("token"));
    let text = format!(
        "control_plane = [\"https://{}\"]\nca = \"data/keys/ca.pem\"\nroot_key = \"{}\"\ntoken_file = \"token\"\n",
        scene.world.address(0),
        "0".repeat(64)
    );
    std::fs::write(&config, text).unwrap();
    let signed = |groups: &[&str]| format!("{}\n", issuer.signer.sign(&issuer.claims("olga", groups)));
    std::fs::write(&token, signed(&["ops"])).unwrap();
    let config = ClientConfig::load(&config, None).unwrap();
    let mut holds = HoldServiceClient::new(config.connect().await.unwrap());
    holds.list(ListRequest::default()).await.unwrap();
    std::fs::write(&token, signed(&["staff"])).unwrap();
    let refused = holds.list(ListRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    std::fs::remove_file(&token).unwrap();
    let refused = holds.list(ListRequest::default()).await.unwrap_err();
    assert!(refused.message().contains("no token in"), "{refused:?}");
}
