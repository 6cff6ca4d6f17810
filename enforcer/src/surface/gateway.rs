//! Where gateways ask: one port for all they speak, and nobody speaks there for agents but who is named for it.
//!
//! A gateway carries calls of agents, and says whose each is. It is trusted as a service is that embeds an enforcer: what it says of an
//! agent is recorded as asserted, and goes no further than what the register says of the enforcer that it asks.
//!
//! **Invariant**: who connects is looked at before anything of a request is, whatever it speaks.

mod asking;
mod authzen;
mod ext_authz;
mod ext_mcp;
#[cfg(test)]
mod fuzz;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use checkrein_shared::identity::SpiffeId;
use tonic::service::Routes;
use tonic::{Extensions, Status};

use super::caller::{certified, check_uid};
use crate::config::Gateway;
use crate::gate::Gate;
use asking::Asking;
use authzen::AuthZen;
use ext_authz::ExtAuthz;
use ext_mcp::Guardrail;

/// How a gateway is known.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// Its process has this user id.
    User(u32),
    /// Its certificate, which TLS verified, has one of these SPIFFE IDs.
    Certified(Vec<SpiffeId>),
}

/// Which gateway asks: what one of them began is no other's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pep {
    /// The one whose process has the user id of this socket.
    OfSocket,
    /// The one with this SPIFFE ID.
    Certified(SpiffeId),
}

/// Everything that is spoken there.
pub(super) fn routes(gate: &Gate, known: Known, gateway: &Gateway) -> Routes {
    let mut routes = Routes::default();
    *routes.axum_router_mut() = Router::new().fallback(nothing);
    let mut routes = spoken(routes, gate, gateway);
    let router = std::mem::take(routes.axum_router_mut());
    *routes.axum_router_mut() = router.layer(middleware::from_fn_with_state(Arc::new(known), heard));
    routes
}

/// Each protocol adds its own.
fn spoken(routes: Routes, gate: &Gate, gateway: &Gateway) -> Routes {
    let asking = Arc::new(Asking::new(gate.clone(), gateway));
    let ext_authz = ExtAuthz::new(Arc::clone(&asking), gateway.route.clone());
    let authzen = AuthZen::new(Arc::clone(&asking), &gateway.authzen).router();
    let mut routes = routes
        .add_service(ext_authz.service())
        .add_service(Guardrail::new(asking).service());
    let router = std::mem::take(routes.axum_router_mut());
    *routes.axum_router_mut() = router.merge(authzen);
    routes
}

/// What is not spoken here.
async fn nothing(headers: HeaderMap) -> Response {
    if is_grpc(&headers) {
        return Status::unimplemented("nothing of this name is spoken here").into_http::<axum::body::Body>();
    }
    StatusCode::NOT_FOUND.into_response()
}

/// Lets a request through if it comes from a gateway, with which one it is.
async fn heard(State(known): State<Arc<Known>>, mut request: Request, next: Next) -> Response {
    match known.check(request.extensions()) {
        Ok(pep) => {
            request.extensions_mut().insert(pep);
            next.run(request).await
        }
        Err(status) if is_grpc(request.headers()) => status.into_http::<axum::body::Body>(),
        Err(status) => (StatusCode::FORBIDDEN, status.message().to_owned()).into_response(),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content = headers.get(header::CONTENT_TYPE);
    content.is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
}

impl Known {
    fn check(&self, connection: &Extensions) -> Result<Pep, Status> {
        match self {
            Self::User(uid) => check_uid(connection, *uid).map(|()| Pep::OfSocket),
            Self::Certified(callers) => {
                let id = certified(connection)?;
                if callers.contains(&id) {
                    return Ok(Pep::Certified(id));
                }
                Err(Status::permission_denied(format!(
                    "`{id}` is none of the gateways that may speak for agents here; name it under `callers`"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests;
