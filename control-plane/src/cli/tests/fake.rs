//! A control plane that knows one hold and certifies whoever asks: enough to see what the verbs send over real mTLS.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use checkrein_proto::fleet::v1::fleet_service_server::{FleetService, FleetServiceServer};
use checkrein_proto::fleet::v1::{self as fleet};
use checkrein_proto::hold::v1::hold_service_server::{HoldService, HoldServiceServer};
use checkrein_proto::hold::v1::{self as hold};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_stream::Empty;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::cli::client::ClientConfig;
use crate::cli::identity::{CLIENT_FILE, Credentials, RootKey, generate_request, write_identity};

/// The root key every client here pins.
pub(super) const ROOT: RootKey = RootKey([7; 32]);

/// A running control plane; it stops with the test's runtime.
pub(super) struct Fake {
    pub(super) address: String,
    pub(super) home: TempDir,
    pub(super) state: Arc<State>,
}

pub(super) struct State {
    ca: CertifiedIssuer<'static, KeyPair>,
    pub(super) hold: Mutex<hold::Hold>,
    pub(super) votes: Mutex<Vec<hold::VoteRequest>>,
    pub(super) registered: Mutex<Vec<fleet::RegisterRequest>>,
    pub(super) root: Mutex<Vec<u8>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        Self::serve_as("spiffe://acme.example/control-plane/replica-1").await
    }

    /// One that serves under this name, certified by the same CA.
    pub(super) async fn serve_as(name: &str) -> Self {
        let state = Arc::new(State {
            ca: authority(),
            hold: Mutex::default(),
            votes: Mutex::default(),
            registered: Mutex::default(),
            root: Mutex::new(ROOT.0.to_vec()),
        });
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params
            .subject_alt_names
            .push(SanType::URI(name.try_into().unwrap()));
        let certificate = params.signed_by(&key, &state.ca).unwrap();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(certificate.pem(), key.serialize_pem()))
            .client_ca_root(Certificate::from_pem(state.ca.pem()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let router = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(HoldServiceServer::from_arc(state.clone()))
            .add_service(FleetServiceServer::from_arc(state.clone()));
        tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        Self {
            address,
            home: tempfile::tempdir().unwrap(),
            state,
        }
    }

    /// A client config certified by this control plane.
    pub(super) fn client(&self, name: &str) -> PathBuf {
        self.client_of(name, &self.state.ca, std::slice::from_ref(&self.address))
    }

    /// A client config whose CA is somebody else's.
    pub(super) fn stranger(&self, name: &str) -> PathBuf {
        self.client_of(name, &authority(), std::slice::from_ref(&self.address))
    }

    pub(super) fn client_at(&self, name: &str, addresses: &[String]) -> PathBuf {
        self.client_of(name, &self.state.ca, addresses)
    }

    fn client_of(&self, name: &str, ca: &CertifiedIssuer<'_, KeyPair>, addresses: &[String]) -> PathBuf {
        let made = generate_request(name).unwrap();
        let certificate = sign(&made.request, ca).unwrap();
        let credentials = Credentials {
            certificate,
            key: made.key,
            ca: ca.pem(),
        };
        let text = ClientConfig::beside(addresses.to_vec(), ROOT).encode().unwrap();
        let directory = self.home.path().join(name);
        write_identity(&directory, &credentials, (CLIENT_FILE, &text), false).unwrap();
        assert!(fs::exists(directory.join(CLIENT_FILE)).unwrap());
        directory.join(CLIENT_FILE)
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn sign(request: &str, ca: &CertifiedIssuer<'_, KeyPair>) -> Result<String, Status> {
    let params = CertificateSigningRequestParams::from_pem(request);
    let params = params.map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(params.signed_by(ca).unwrap().pem())
}

#[tonic::async_trait]
impl HoldService for State {
    async fn open(&self, _: Request<hold::OpenRequest>) -> Result<Response<hold::OpenResponse>, Status> {
        Err(Status::permission_denied("enforcers only"))
    }

    async fn consume(
        &self,
        _: Request<hold::ConsumeRequest>,
    ) -> Result<Response<hold::ConsumeResponse>, Status> {
        Err(Status::permission_denied("enforcers only"))
    }

    async fn list(&self, _: Request<hold::ListRequest>) -> Result<Response<hold::ListResponse>, Status> {
        let holds = vec![self.hold.lock().unwrap().clone()];
        Ok(Response::new(hold::ListResponse {
            holds,
            next_page_token: String::new(),
        }))
    }

    async fn show(
        &self,
        request: Request<hold::ShowRequest>,
    ) -> Result<Response<hold::ShowResponse>, Status> {
        let hold = self.hold.lock().unwrap().clone();
        if request.into_inner().hold_id != hold.hold_id {
            return Err(Status::not_found("there is no such hold"));
        }
        Ok(Response::new(hold::ShowResponse {
            hold: Some(hold),
            labels: Vec::new(),
            offer: None,
            before: None,
        }))
    }

    async fn vote(
        &self,
        request: Request<hold::VoteRequest>,
    ) -> Result<Response<hold::VoteResponse>, Status> {
        self.votes.lock().unwrap().push(request.into_inner());
        let hold = self.hold.lock().unwrap().clone();
        Ok(Response::new(hold::VoteResponse {
            hold: Some(hold),
            standing: None,
        }))
    }

    async fn vote_all(
        &self,
        _: Request<hold::VoteAllRequest>,
    ) -> Result<Response<hold::VoteAllResponse>, Status> {
        Err(Status::unimplemented("nothing is answered together here"))
    }

    async fn remark(
        &self,
        _: Request<hold::RemarkRequest>,
    ) -> Result<Response<hold::RemarkResponse>, Status> {
        Err(Status::unimplemented("nothing is said here"))
    }

    async fn list_standing(
        &self,
        _: Request<hold::ListStandingRequest>,
    ) -> Result<Response<hold::ListStandingResponse>, Status> {
        Ok(Response::new(hold::ListStandingResponse::default()))
    }

    async fn show_standing(
        &self,
        _: Request<hold::ShowStandingRequest>,
    ) -> Result<Response<hold::ShowStandingResponse>, Status> {
        Err(Status::not_found("there is no such standing approval"))
    }

    async fn numbers(
        &self,
        _: Request<hold::NumbersRequest>,
    ) -> Result<Response<hold::NumbersResponse>, Status> {
        Ok(Response::new(hold::NumbersResponse::default()))
    }

    async fn revoke_standing(
        &self,
        _: Request<hold::RevokeStandingRequest>,
    ) -> Result<Response<hold::RevokeStandingResponse>, Status> {
        Err(Status::not_found("there is no such standing approval"))
    }

    async fn break_glass(
        &self,
        _: Request<hold::BreakGlassRequest>,
    ) -> Result<Response<hold::BreakGlassResponse>, Status> {
        Err(Status::unimplemented("no glass is broken here"))
    }

    async fn review(
        &self,
        _: Request<hold::ReviewRequest>,
    ) -> Result<Response<hold::ReviewResponse>, Status> {
        Err(Status::unimplemented("nothing is reviewed here"))
    }

    async fn go_away(
        &self,
        _: Request<hold::GoAwayRequest>,
    ) -> Result<Response<hold::GoAwayResponse>, Status> {
        Err(Status::unimplemented("nobody goes away here"))
    }

    async fn come_back(
        &self,
        _: Request<hold::ComeBackRequest>,
    ) -> Result<Response<hold::ComeBackResponse>, Status> {
        Err(Status::unimplemented("nobody comes back here"))
    }

    async fn list_absences(
        &self,
        _: Request<hold::ListAbsencesRequest>,
    ) -> Result<Response<hold::ListAbsencesResponse>, Status> {
        Ok(Response::new(hold::ListAbsencesResponse::default()))
    }
}

#[tonic::async_trait]
impl FleetService for State {
    type SessionStream = Empty<Result<fleet::SessionResponse, Status>>;

    async fn session(
        &self,
        _: Request<Streaming<fleet::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Err(Status::permission_denied("enforcers only"))
    }

    async fn register(
        &self,
        request: Request<fleet::RegisterRequest>,
    ) -> Result<Response<fleet::RegisterResponse>, Status> {
        let request = request.into_inner();
        let certificate = sign(&request.certificate_request, &self.ca)?;
        let mut registered = self.registered.lock().unwrap();
        if registered.iter().any(|known| known.name == request.name) {
            return Err(Status::already_exists("it is in the register already"));
        }
        registered.push(request);
        Ok(Response::new(fleet::RegisterResponse {
            enforcer: Some(fleet::Enforcer::default()),
            certificate,
            ca_certificate: self.ca.pem(),
            root_public_key: self.root.lock().unwrap().clone().into(),
        }))
    }

    async fn certify(
        &self,
        request: Request<fleet::CertifyRequest>,
    ) -> Result<Response<fleet::CertifyResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(fleet::CertifyResponse {
            spiffe_id: format!("spiffe://acme.example/{}/{}", request.role, request.name),
            certificate: sign(&request.certificate_request, &self.ca)?,
            ca_certificate: self.ca.pem(),
        }))
    }

    async fn sign_in(
        &self,
        _: Request<fleet::SignInRequest>,
    ) -> Result<Response<fleet::SignInResponse>, Status> {
        Err(Status::unimplemented("nobody signs in here"))
    }

    async fn renew(&self, _: Request<fleet::RenewRequest>) -> Result<Response<fleet::RenewResponse>, Status> {
        Err(Status::unavailable("nobody is renewed here"))
    }

    async fn invite(
        &self,
        _: Request<fleet::InviteRequest>,
    ) -> Result<Response<fleet::InviteResponse>, Status> {
        Err(Status::unavailable("nobody is invited here"))
    }

    async fn remove(
        &self,
        _: Request<fleet::RemoveRequest>,
    ) -> Result<Response<fleet::RemoveResponse>, Status> {
        Err(Status::unavailable("nobody is removed here"))
    }

    async fn add_agent(
        &self,
        _: Request<fleet::AddAgentRequest>,
    ) -> Result<Response<fleet::AddAgentResponse>, Status> {
        Err(Status::unavailable("no agent is added here"))
    }

    async fn list_agents(
        &self,
        _: Request<fleet::ListAgentsRequest>,
    ) -> Result<Response<fleet::ListAgentsResponse>, Status> {
        Ok(Response::new(fleet::ListAgentsResponse::default()))
    }

    async fn show_agent(
        &self,
        _: Request<fleet::ShowAgentRequest>,
    ) -> Result<Response<fleet::ShowAgentResponse>, Status> {
        Err(Status::not_found("there are no agents here"))
    }

    async fn list_invitations(
        &self,
        _: Request<fleet::ListInvitationsRequest>,
    ) -> Result<Response<fleet::ListInvitationsResponse>, Status> {
        Ok(Response::new(fleet::ListInvitationsResponse::default()))
    }

    async fn withdraw_invitation(
        &self,
        _: Request<fleet::WithdrawInvitationRequest>,
    ) -> Result<Response<fleet::WithdrawInvitationResponse>, Status> {
        Err(Status::not_found("nobody is invited here"))
    }

    async fn join(&self, _: Request<fleet::JoinRequest>) -> Result<Response<fleet::JoinResponse>, Status> {
        Err(Status::unavailable("nobody joins here"))
    }

    async fn list(&self, _: Request<fleet::ListRequest>) -> Result<Response<fleet::ListResponse>, Status> {
        Ok(Response::new(fleet::ListResponse::default()))
    }

    async fn show(
        &self,
        request: Request<fleet::ShowRequest>,
    ) -> Result<Response<fleet::ShowResponse>, Status> {
        let name = request.into_inner().name;
        let registered = self.registered.lock().unwrap();
        let known = registered.iter().find(|known| known.name == name);
        let known = known.ok_or_else(|| Status::not_found("there is no such enforcer"))?;
        let enforcer = fleet::Enforcer {
            name,
            labels: known.labels.clone(),
            agents: known.agents.clone(),
            ..fleet::Enforcer::default()
        };
        Ok(Response::new(fleet::ShowResponse {
            enforcer: Some(enforcer),
            ..fleet::ShowResponse::default()
        }))
    }
}
