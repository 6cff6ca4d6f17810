//! Who answers in place of the control plane: shown no secret if it is not one, and not believed if it gives what was not asked.
//!
//! The servers here are stand-ins: each has a certificate of the world's own CA, and gives one answer to who joins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use checkrein_enforcer::{JoinError, join};
use checkrein_proto::fleet::v1 as wire;
use checkrein_proto::fleet::v1::fleet_service_server::{FleetService, FleetServiceServer};
use checkrein_shared::identity::JoinToken;
use checkrein_tests::{Binaries, World};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use tokio::net::TcpListener;
use tonic::codegen::BoxStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use super::{MINUTE_MS, invite, left, token};

/// One answer, however often it is asked for.
struct StandIn {
    answer: Result<wire::JoinResponse, Status>,
    asked: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl FleetService for StandIn {
    type SessionStream = BoxStream<wire::SessionResponse>;

    async fn join(&self, _: Request<wire::JoinRequest>) -> Result<Response<wire::JoinResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answer.clone().map(Response::new)
    }

    async fn session(
        &self,
        _: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn register(
        &self,
        _: Request<wire::RegisterRequest>,
    ) -> Result<Response<wire::RegisterResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn certify(
        &self,
        _: Request<wire::CertifyRequest>,
    ) -> Result<Response<wire::CertifyResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn sign_in(
        &self,
        _: Request<wire::SignInRequest>,
    ) -> Result<Response<wire::SignInResponse>, Status> {
        Err(Status::unimplemented("nobody signs in here"))
    }

    async fn renew(&self, _: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn list(&self, _: Request<wire::ListRequest>) -> Result<Response<wire::ListResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn show(&self, _: Request<wire::ShowRequest>) -> Result<Response<wire::ShowResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn invite(
        &self,
        _: Request<wire::InviteRequest>,
    ) -> Result<Response<wire::InviteResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn remove(
        &self,
        _: Request<wire::RemoveRequest>,
    ) -> Result<Response<wire::RemoveResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn add_agent(
        &self,
        _: Request<wire::AddAgentRequest>,
    ) -> Result<Response<wire::AddAgentResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn list_agents(
        &self,
        _: Request<wire::ListAgentsRequest>,
    ) -> Result<Response<wire::ListAgentsResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn show_agent(
        &self,
        _: Request<wire::ShowAgentRequest>,
    ) -> Result<Response<wire::ShowAgentResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn list_invitations(
        &self,
        _: Request<wire::ListInvitationsRequest>,
    ) -> Result<Response<wire::ListInvitationsResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }

    async fn withdraw_invitation(
        &self,
        _: Request<wire::WithdrawInvitationRequest>,
    ) -> Result<Response<wire::WithdrawInvitationResponse>, Status> {
        Err(Status::unimplemented("a stand-in"))
    }
}

/// What the CA of a world makes of a SPIFFE ID and a key, for a client and for a server on the loopback.
fn certified(world: &World, id: &str, key: &KeyPair) -> String {
    let keys = world.path().join("data/keys");
    let read = |name: &str| std::fs::read_to_string(keys.join(name)).unwrap();
    let ca_key = KeyPair::from_pem(&read("ca.key")).unwrap();
    let ca = Issuer::from_ca_cert_pem(&read("ca.pem"), ca_key).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![
        SanType::URI(id.try_into().unwrap()),
        SanType::IpAddress([127, 0, 0, 1].into()),
    ];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    params.signed_by(key, &ca).unwrap().pem()
}

/// Serves as this identity until the test ends; says where, and counts who asks.
async fn serve(
    world: &World,
    id: &str,
    answer: Result<wire::JoinResponse, Status>,
) -> (String, Arc<AtomicUsize>) {
    let key = KeyPair::generate().unwrap();
    let identity = Identity::from_pem(certified(world, id, &key), key.serialize_pem());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let stand_in = StandIn {
        answer,
        asked: Arc::clone(&asked),
    };
    let serving = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))
        .unwrap()
        .add_service(FleetServiceServer::new(stand_in))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(serving);
    (url, asked)
}

/// Has both programs join by the token; returns what each says, as it must fail and leave what it is said to leave.
async fn refused(world: &World, token: &JoinToken, leaves: usize) -> Vec<String> {
    let home = world.path().join("refused");
    let by_enforcer = join(token, &home).await.unwrap_err();
    let left_by_enforcer = left(world.path(), "refused");
    assert_eq!(left_by_enforcer.len(), leaves, "{left_by_enforcer:?}");
    let person = JoinToken {
        id: "spiffe://acme.example/approver/bob".parse().unwrap(),
        ..token.clone()
    };
    let mut typed = Binaries::build().await.unwrap().checkrein();
    typed.args(["join", &person.to_string(), "--directory"]);
    let typed = typed.arg(world.path().join("typed")).output().await.unwrap();
    assert!(!typed.status.success());
    let left_by_person = left(world.path(), "typed");
    assert_eq!(left_by_person.len(), leaves, "{left_by_person:?}");
    assert!(!home.exists() && !world.path().join("typed").exists());
    let by_person = String::from_utf8(typed.stderr).unwrap();
    let by_enforcer = format!("{:#}", anyhow::Error::from(by_enforcer));
    vec![by_enforcer, by_person]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_right_ca_that_is_no_control_plane_is_shown_no_secret() {
    let world = World::start().await.unwrap();
    let id = "spiffe://acme.example/enforcer/edge";
    let (url, asked) = serve(&world, id, Err(Status::permission_denied("no"))).await;
    let token = JoinToken {
        control_plane: vec![url],
        ..token(&world, [10; 32])
    };
    for said in refused(&world, &token, 0).await {
        assert!(said.contains("it is no control plane"), "{said}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_key_or_another_name_is_not_written() {
    let world = World::start().await.unwrap();
    let key = KeyPair::generate().unwrap();
    let cases = [
        ("enforcer/edge", "approver/bob", "not for the key"),
        ("operator/olga", "operator/olga", "and the token is for"),
    ];
    for (of_enforcer, of_person, why) in cases {
        let mut said = Vec::new();
        for (at, name) in [of_enforcer, of_person].into_iter().enumerate() {
            let certificate = certified(&world, &format!("spiffe://acme.example/{name}"), &key);
            let answer = wire::JoinResponse {
                certificate,
                ..wire::JoinResponse::default()
            };
            let id = "spiffe://acme.example/control-plane/stand-in";
            let (url, asked) = serve(&world, id, Ok(answer)).await;
            let token = JoinToken {
                control_plane: vec![url],
                ..token(&world, [11; 32])
            };
            said.push(refused(&world, &token, 0).await.swap_remove(at));
            assert_eq!(asked.load(Ordering::SeqCst), 2);
        }
        for said in said {
            assert!(said.contains(why), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_no_answer_keeps_the_key_and_goes_on_with_it() {
    let world = World::start().await.unwrap();
    let mut fleet = world.operator().await.unwrap().fleet();
    fleet.invite(invite("edge", [12; 32], MINUTE_MS)).await.unwrap();
    let id = "spiffe://acme.example/control-plane/stand-in";
    let (url, _) = serve(&world, id, Err(Status::unavailable("a moment"))).await;
    let good = token(&world, [12; 32]);
    let silent = JoinToken {
        control_plane: vec![url],
        ..good.clone()
    };
    for said in refused(&world, &silent, 1).await {
        assert!(said.contains("type the same command again"), "{said}");
    }
    let [draft] = &left(world.path(), "refused")[..] else {
        panic!("one key was kept")
    };
    let key = std::fs::read_to_string(world.path().join(draft).join("key.pem")).unwrap();
    let home = world.path().join("refused");
    join(&good, &home).await.unwrap();
    assert_eq!(std::fs::read_to_string(home.join("key.pem")).unwrap(), key);
    assert_eq!(left(world.path(), "refused"), ["refused"]);
    // Where something is, nobody is asked.
    let occupied = join(&good, &home).await.unwrap_err();
    assert!(matches!(occupied, JoinError::Directory(_)), "{occupied}");
}
