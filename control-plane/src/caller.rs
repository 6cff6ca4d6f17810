//! Who calls, and what they may: one table, default deny.
//!
//! The caller is the SPIFFE ID of the client certificate that TLS verified, or whom a verified bearer token names. With both,
//! they must name the same: a token that travelled on somebody else's connection is a stolen one. A person whom a token gives
//! two roles is, in each RPC, whichever its row names first. What an RPC's comment says ("Caller: …") is what this table says;
//! a test holds the two together.
//!
//! Whoever was removed is refused whatever certificate or token they still have.
//!
//! **Invariant**: an RPC that is neither in the table nor open is refused to everyone; a token goes no further than here.

mod bearer;
mod relying_party;

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use checkrein_shared::identity::{Role, SpiffeId};
use futures_util::future::Either;
use http_body_util::Limited;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{Request, Response};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::warn;

pub use bearer::BearerError;
pub(crate) use bearer::Bearers;
pub(crate) use relying_party::{Attempt, NotSignedIn, Person, RelyingParty};

use Role::{Agent, Approver, Enforcer, Operator, Orchestrator};

/// Which roles may call which RPC.
pub const CALLERS: &[(&str, &[Role])] = &[
    ("/checkrein.policy.v1.PolicyService/Push", &[Operator]),
    ("/checkrein.policy.v1.PolicyService/Rollback", &[Operator]),
    ("/checkrein.policy.v1.PolicyService/List", &[Operator, Approver]),
    ("/checkrein.policy.v1.PolicyService/Show", &[Operator, Approver]),
    ("/checkrein.policy.v1.PolicyService/Diff", &[Operator, Approver]),
    ("/checkrein.policy.v1.PolicyService/Usage", &[Operator, Approver]),
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
    ("/checkrein.hold.v1.HoldService/VoteAll", &[Approver]),
    ("/checkrein.hold.v1.HoldService/Remark", &[Operator, Approver]),
    (
        "/checkrein.hold.v1.HoldService/ListStanding",
        &[Operator, Approver],
    ),
    (
        "/checkrein.hold.v1.HoldService/ShowStanding",
        &[Operator, Approver],
    ),
    (
        "/checkrein.hold.v1.HoldService/RevokeStanding",
        &[Operator, Approver],
    ),
    ("/checkrein.hold.v1.HoldService/BreakGlass", &[Approver]),
    ("/checkrein.hold.v1.HoldService/Review", &[Operator, Approver]),
    ("/checkrein.hold.v1.HoldService/GoAway", &[Operator, Approver]),
    ("/checkrein.hold.v1.HoldService/ComeBack", &[Operator, Approver]),
    (
        "/checkrein.hold.v1.HoldService/ListAbsences",
        &[Operator, Approver],
    ),
    (
        "/checkrein.hold.v1.NotificationService/ListNotifications",
        &[Operator],
    ),
    (
        "/checkrein.hold.v1.NotificationService/RetryNotifications",
        &[Operator],
    ),
    ("/checkrein.hold.v1.NotificationService/TestChannel", &[Operator]),
    ("/checkrein.hold.v1.HoldService/Numbers", &[Operator, Approver]),
    ("/checkrein.task.v1.TaskService/Start", &[Operator, Orchestrator]),
    ("/checkrein.task.v1.TaskService/End", &[Operator, Orchestrator]),
    ("/checkrein.task.v1.TaskService/Revoke", &[Operator, Orchestrator]),
    ("/checkrein.task.v1.TaskService/Amend", &[Operator, Orchestrator]),
    ("/checkrein.task.v1.TaskService/Delegate", &[Agent]),
    (
        "/checkrein.task.v1.TaskService/List",
        &[Operator, Orchestrator, Approver],
    ),
    (
        "/checkrein.task.v1.TaskService/Show",
        &[Operator, Orchestrator, Approver],
    ),
    ("/checkrein.task.v1.TaskService/Confirm", &[Enforcer]),
    ("/checkrein.task.v1.TaskService/Note", &[Enforcer]),
    ("/checkrein.task.v1.TaskService/Declassify", &[Operator, Approver]),
    ("/checkrein.task.v1.TaskService/Settle", &[Operator]),
    ("/checkrein.fleet.v1.FleetService/Session", &[Enforcer]),
    ("/checkrein.fleet.v1.FleetService/Register", &[Operator]),
    ("/checkrein.fleet.v1.FleetService/Certify", &[Operator]),
    (
        "/checkrein.fleet.v1.FleetService/Renew",
        &[Operator, Approver, Orchestrator, Enforcer, Agent],
    ),
    ("/checkrein.fleet.v1.FleetService/SignIn", &[Approver, Operator]),
    ("/checkrein.fleet.v1.FleetService/List", &[Operator, Approver]),
    ("/checkrein.fleet.v1.FleetService/Show", &[Operator, Approver]),
    ("/checkrein.fleet.v1.FleetService/Invite", &[Operator]),
    ("/checkrein.fleet.v1.FleetService/Remove", &[Operator]),
    ("/checkrein.fleet.v1.FleetService/AddAgent", &[Operator]),
    (
        "/checkrein.fleet.v1.FleetService/ListAgents",
        &[Operator, Approver],
    ),
    (
        "/checkrein.fleet.v1.FleetService/ShowAgent",
        &[Operator, Approver],
    ),
    (
        "/checkrein.fleet.v1.FleetService/ListInvitations",
        &[Operator, Approver],
    ),
    ("/checkrein.fleet.v1.FleetService/WithdrawInvitation", &[Operator]),
];

/// What takes a certificate: a token that is good for minutes must not become a certificate that is
/// good for days, or a session that is good for hours.
pub const BY_CERTIFICATE_ONLY: &[&str] = &[
    "/checkrein.fleet.v1.FleetService/Renew",
    "/checkrein.fleet.v1.FleetService/SignIn",
];

/// What anyone may call, with a certificate or without: the request itself proves what it must.
pub const OPEN: &[&str] = &["/checkrein.fleet.v1.FleetService/Join"];

/// A request that anyone may send has at most this many bytes.
const OPEN_BYTES_MAX: usize = 16 << 10;

/// An authenticated caller whose role may call the RPC it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub id: SpiffeId,
    /// As what.
    pub role: Role,
}

/// Who is signed in at the console. It is put into requests inside this process: nothing that came over a wire has it, and
/// who has it may do what a token lets them do.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn(pub(crate) Arc<[SpiffeId]>);

/// Puts a [`Caller`] into every request, or refuses it.
#[derive(Debug, Clone)]
pub struct Authorize(Arc<Gatekeeper>);

/// The service [`Authorize`] makes.
#[derive(Debug, Clone)]
pub struct Authorized<S> {
    inner: S,
    gatekeeper: Arc<Gatekeeper>,
}

#[derive(Debug)]
struct Gatekeeper {
    trust_domain: String,
    bearers: Bearers,
    removed: watch::Receiver<Arc<HashSet<SpiffeId>>>,
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
    /// Accepts identities of this trust domain only, and none that was removed.
    pub(crate) fn new(
        trust_domain: String,
        bearers: Bearers,
        removed: watch::Receiver<Arc<HashSet<SpiffeId>>>,
    ) -> Self {
        Self(Arc::new(Gatekeeper {
            trust_domain,
            bearers,
            removed,
        }))
    }
}

impl<S> Authorized<S> {
    /// Whether whoever is signed in may call this.
    pub(crate) fn lets_in(&self, signed_in: &SignedIn, path: &str) -> Result<(), Status> {
        let ids = signed_in.0.to_vec();
        self.gatekeeper.authorize(ids, false, path).map(drop)
    }
}

impl<S> Layer<S> for Authorize {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Authorized<S> {
        Authorized {
            inner,
            gatekeeper: Arc::clone(&self.0),
        }
    }
}

impl<S> Service<Request<Body>> for Authorized<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        if OPEN.contains(&path.as_str()) {
            request.headers_mut().remove(AUTHORIZATION);
            let bounded = request.map(|body| Body::new(Limited::new(body, OPEN_BYTES_MAX)));
            return Either::Left(self.inner.call(bounded));
        }
        let signed_in = request.extensions_mut().remove::<SignedIn>();
        let credentials = peer(&request).and_then(|peer| Ok((peer, take_bearer(&mut request)?)));
        let decided = match credentials {
            Ok((None, None)) if let Some(SignedIn(ids)) = signed_in => {
                self.gatekeeper.authorize(ids.to_vec(), false, &path)
            }
            Ok((peer, Some(token))) => {
                let gatekeeper = Arc::clone(&self.gatekeeper);
                // The one that said it is ready is the one that is called.
                let fresh = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, fresh);
                let has_certificate = peer.is_some();
                return Either::Right(Box::pin(async move {
                    let ids = gatekeeper.identify(peer, &token).await;
                    match ids.and_then(|ids| gatekeeper.authorize(ids, has_certificate, &path)) {
                        Ok(caller) => {
                            request.extensions_mut().insert(caller);
                            inner.call(request).await
                        }
                        Err(status) => Ok(refuse(&path, &status)),
                    }
                }));
            }
            Ok((Some(id), None)) => self.gatekeeper.authorize(vec![id], true, &path),
            Ok((None, None)) => Err(Status::unauthenticated(
                "a client certificate or a bearer token is needed",
            )),
            Err(status) => Err(status),
        };
        match decided {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            Err(status) => {
                let refused = refuse(&path, &status);
                Either::Right(Box::pin(async move { Ok(refused) }))
            }
        }
    }
}

impl Gatekeeper {
    /// Whom a token names, on a connection that may have named somebody.
    async fn identify(&self, peer: Option<SpiffeId>, token: &str) -> Result<Vec<SpiffeId>, Status> {
        let named = self.bearers.identify(token, &self.trust_domain).await;
        let named = named.map_err(|error| Status::unauthenticated(error.to_string()))?;
        match peer {
            None => Ok(named),
            Some(peer) if named.contains(&peer) => Ok(vec![peer]),
            Some(peer) => Err(Status::unauthenticated(format!(
                "the certificate is of `{peer}` and the bearer token of somebody else: send one of them"
            ))),
        }
    }

    /// The first of these whom the RPC's row names.
    fn authorize(&self, ids: Vec<SpiffeId>, has_certificate: bool, path: &str) -> Result<Caller, Status> {
        if !has_certificate && BY_CERTIFICATE_ONLY.contains(&path) {
            return Err(Status::unauthenticated(
                "this takes a certificate, and not a token",
            ));
        }
        let trust_domain = &self.trust_domain;
        let mut known: Vec<Caller> = Vec::with_capacity(ids.len());
        for id in ids {
            if id.trust_domain() != trust_domain {
                return Err(Status::unauthenticated(format!(
                    "`{id}` is not of trust domain `{trust_domain}`"
                )));
            }
            if self.removed.borrow().contains(&id) {
                return Err(Status::permission_denied(format!("`{id}` was removed")));
            }
            let role = id
                .role()
                .ok_or_else(|| Status::permission_denied(format!("`{id}` has no role")))?;
            known.push(Caller { id, role });
        }
        let Some((_, roles)) = CALLERS.iter().find(|(rpc, _)| *rpc == path) else {
            return Err(Status::new(
                Code::Unimplemented,
                format!("`{path}` is not served here"),
            ));
        };
        let allowed = roles
            .iter()
            .find_map(|role| known.iter().find(|caller| caller.role == *role));
        allowed.cloned().ok_or_else(|| {
            let wanted: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
            let wanted = wanted.join(" or ");
            let found: Vec<String> = known
                .iter()
                .map(|caller| format!("`{}` is {}", caller.id, caller.role))
                .collect();
            let found = found.join(" and ");
            Status::permission_denied(format!("{found}; this takes the role {wanted}"))
        })
    }
}

fn refuse(path: &str, status: &Status) -> Response<Body> {
    warn!(path, code = ?status.code(), reason = status.message(), "refused");
    status.clone().into_http()
}

/// Whom TLS knows; none: who came without a certificate.
fn peer(request: &Request<Body>) -> Result<Option<SpiffeId>, Status> {
    let connection = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    let certificates = connection.and_then(TlsConnectInfo::peer_certs);
    let leaf = certificates.as_deref().and_then(|chain| chain.first());
    leaf.map(|leaf| SpiffeId::from_verified_certificate(leaf))
        .transpose()
        .map_err(|error| Status::unauthenticated(error.to_string()))
}

/// The bearer token of a request, taken out of it; two, or something else in its place, are refused.
fn take_bearer(request: &mut Request<Body>) -> Result<Option<String>, Status> {
    let values: Vec<_> = request.headers().get_all(AUTHORIZATION).iter().cloned().collect();
    request.headers_mut().remove(AUTHORIZATION);
    let [value] = &values[..] else {
        return if values.is_empty() {
            Ok(None)
        } else {
            Err(Status::unauthenticated("there is more than one `authorization`"))
        };
    };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim().to_owned())),
        _ => Err(Status::unauthenticated(
            "`authorization` must be `Bearer <token>`",
        )),
    }
}
