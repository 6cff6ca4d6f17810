//! Who calls, and what they may: one table, default deny.
//!
//! The caller is the SPIFFE ID of the client certificate that TLS verified. What an RPC's comment says ("Caller: …") is what
//! this table says; a test holds the two together.
//!
//! **Invariant**: an RPC that is not in the table is refused to everyone.

use std::task::{Context, Poll};

use checkrein_shared::identity::{Role, SpiffeId};
use futures_util::future::Either;
use std::future::{Ready, ready};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::warn;

use Role::{Agent, Approver, Enforcer, Operator, Orchestrator};

/// Which roles may call which RPC.
pub const CALLERS: &[(&str, &[Role])] = &[
    ("/checkrein.policy.v1.PolicyService/Push", &[Operator]),
    ("/checkrein.policy.v1.PolicyService/Rollback", &[Operator]),
    ("/checkrein.policy.v1.PolicyService/List", &[Operator, Approver]),
    ("/checkrein.policy.v1.PolicyService/Show", &[Operator, Approver]),
    ("/checkrein.policy.v1.BundleService/Fetch", &[Enforcer]),
    ("/checkrein.decision.v1.JournalService/Append", &[Enforcer]),
    (
        "/checkrein.decision.v1.DecisionService/Search",
        &[Operator, Approver],
    ),
    (
        "/checkrein.decision.v1.DecisionService/Show",
        &[Operator, Approver],
    ),
    (
        "/checkrein.decision.v1.DecisionService/Count",
        &[Operator, Approver],
    ),
    ("/checkrein.hold.v1.HoldService/Open", &[Enforcer]),
    ("/checkrein.hold.v1.HoldService/Consume", &[Enforcer]),
    ("/checkrein.hold.v1.HoldService/List", &[Operator, Approver]),
    ("/checkrein.hold.v1.HoldService/Show", &[Operator, Approver]),
    ("/checkrein.hold.v1.HoldService/Vote", &[Approver]),
    ("/checkrein.task.v1.TaskService/Start", &[Operator, Orchestrator]),
    ("/checkrein.task.v1.TaskService/End", &[Operator, Orchestrator]),
    ("/checkrein.task.v1.TaskService/Revoke", &[Operator, Orchestrator]),
    (
        "/checkrein.task.v1.TaskService/List",
        &[Operator, Orchestrator, Approver],
    ),
    (
        "/checkrein.task.v1.TaskService/Show",
        &[Operator, Orchestrator, Approver],
    ),
    ("/checkrein.task.v1.TaskService/Confirm", &[Enforcer]),
    ("/checkrein.fleet.v1.FleetService/Session", &[Enforcer]),
    ("/checkrein.fleet.v1.FleetService/Register", &[Operator]),
    ("/checkrein.fleet.v1.FleetService/Certify", &[Operator]),
    (
        "/checkrein.fleet.v1.FleetService/Renew",
        &[Operator, Approver, Orchestrator, Enforcer, Agent],
    ),
    ("/checkrein.fleet.v1.FleetService/List", &[Operator, Approver]),
    ("/checkrein.fleet.v1.FleetService/Show", &[Operator, Approver]),
];

/// An authenticated caller whose role may call the RPC it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub id: SpiffeId,
    /// As what.
    pub role: Role,
}

/// Puts a [`Caller`] into every request, or refuses it.
#[derive(Debug, Clone)]
pub struct Authorize {
    trust_domain: String,
}

/// The service [`Authorize`] makes.
#[derive(Debug, Clone)]
pub struct Authorized<S> {
    inner: S,
    trust_domain: String,
}

impl Caller {
    /// The caller of a request that came through [`Authorize`].
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self, Status> {
        request
            .extensions()
            .get()
            .cloned()
            .ok_or_else(|| Status::unauthenticated("the caller is not known"))
    }
}

impl Authorize {
    /// Accepts identities of this trust domain only.
    pub const fn new(trust_domain: String) -> Self {
        Self { trust_domain }
    }
}

impl<S> Layer<S> for Authorize {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Authorized<S> {
        Authorized {
            inner,
            trust_domain: self.trust_domain.clone(),
        }
    }
}

impl<S: Service<Request<Body>, Response = Response<Body>>> Service<Request<Body>> for Authorized<S> {
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Self::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match authorize(&request, &self.trust_domain) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            Err(status) => {
                warn!(path = request.uri().path(), code = ?status.code(), reason = status.message(), "refused");
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}

fn authorize(request: &Request<Body>, trust_domain: &str) -> Result<Caller, Status> {
    let id = peer(request)?;
    if id.trust_domain() != trust_domain {
        return Err(Status::unauthenticated(format!(
            "`{id}` is not of trust domain `{trust_domain}`"
        )));
    }
    let role = id
        .role()
        .ok_or_else(|| Status::permission_denied(format!("`{id}` has no role")))?;
    let path = request.uri().path();
    let allowed = CALLERS
        .iter()
        .find(|(rpc, _)| *rpc == path)
        .map(|(_, roles)| *roles);
    match allowed {
        Some(roles) if roles.contains(&role) => Ok(Caller { id, role }),
        Some(roles) => {
            let wanted: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
            let wanted = wanted.join(" or ");
            Err(Status::permission_denied(format!(
                "`{id}` is {role}; this takes the role {wanted}"
            )))
        }
        None => Err(Status::new(
            Code::Unimplemented,
            format!("`{path}` is not served here"),
        )),
    }
}

fn peer(request: &Request<Body>) -> Result<SpiffeId, Status> {
    let connection = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    let certificates = connection.and_then(TlsConnectInfo::peer_certs);
    let leaf = certificates.as_deref().and_then(|chain| chain.first());
    let leaf = leaf.ok_or_else(|| Status::unauthenticated("a client certificate or a bearer token is needed"))?;
    SpiffeId::from_verified_certificate(leaf).map_err(|error| Status::unauthenticated(error.to_string()))
}
