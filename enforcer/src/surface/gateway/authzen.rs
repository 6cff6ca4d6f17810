//! OpenID AuthZEN 1.0: evaluation, evaluations, search and metadata, and access requests for what people have to look at.
//!
//! | file | what it does |
//! |---|---|
//! | `asked` | reads a question, or the parts of several |
//! | `mapped` | says which call of which tool a question is about |
//! | `evaluation` | has questions decided, one or several |
//! | `search` | who may, what, and to which |
//! | `access` | follows what people are asked about |
//! | `requests` | access requests, their tasks and approvals |
//! | `answers` | what an asker is told |
//!
//! **Invariant**: it only translates. An evaluation is taken for the call itself: it is decided, recorded and charged like any other, and
//! how the call ended is recorded as not known. A search decides nothing.

mod access;
mod answers;
mod asked;
mod evaluation;
mod mapped;
mod requests;
mod search;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use checkrein_shared::action::Arguments;
use serde_json::json;

use super::asking::{Asking, Credentials, once};
use crate::config::AuthZen as Configured;
use crate::surface::body;
use access::Desk;
use answers::{Refusal, json_answer};
use mapped::Mapping;

/// A body may have at most this many bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// By which an asker finds its request in its own logs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that is asked by AuthZEN on one listener.
#[derive(Debug)]
pub(super) struct AuthZen {
    asking: Arc<Asking>,
    mapping: Mapping,
    desk: Desk,
    url: Option<String>,
    is_terse: bool,
}

impl AuthZen {
    pub(super) fn new(asking: Arc<Asking>, configured: &Configured) -> Self {
        Self {
            asking,
            mapping: Mapping::of(configured),
            desk: Desk::default(),
            url: configured
                .url
                .as_deref()
                .map(|url| url.trim_end_matches('/').to_owned()),
            is_terse: configured.terse,
        }
    }

    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/access/v1/evaluation", post(evaluation::one))
            .route("/access/v1/evaluations", post(evaluation::several))
            .route("/access/v1/search/subject", post(search::subjects))
            .route("/access/v1/search/resource", post(search::resources))
            .route("/access/v1/search/action", post(search::actions))
            .route("/access/v1/requests", post(requests::submit))
            .route("/access/v1/requests/{task}", get(requests::status))
            .route("/.well-known/authzen-configuration", get(metadata))
            .layer(middleware::from_fn(echo))
            .with_state(Arc::new(self))
    }

    /// The URL of this, as whoever asks with these headers reaches it.
    fn url(&self, request: &Asker) -> String {
        match (&self.url, &request.host) {
            (Some(url), _) => url.clone(),
            (None, Some(host)) => format!("https://{host}"),
            (None, None) => "https://localhost".to_owned(),
        }
    }
}

/// Who asks, with what, and how they reached us.
#[derive(Debug)]
struct Asker {
    pep: super::Pep,
    credentials: Credentials,
    host: Option<String>,
    idempotency_key: Option<String>,
}

impl Asker {
    fn of(request: &Request) -> Result<Self, Refusal> {
        let headers = request.headers();
        let Some(pep) = request.extensions().get::<super::Pep>() else {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "nobody knows who asks"));
        };
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().to_owned());
        let said = one(headers, header::HOST.as_str()).map_err(Refusal::bad)?;
        Ok(Self {
            pep: pep.clone(),
            credentials: Credentials::of(|name| one(headers, name)).map_err(Refusal::bad)?,
            host: host.or_else(|| said.map(str::to_owned)),
            idempotency_key: one(headers, "idempotency-key")
                .map_err(Refusal::bad)?
                .map(str::to_owned),
        })
    }
}

/// What a header says.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, String> {
    once(name, headers.get_all(name).iter().map(HeaderValue::as_bytes))
}

/// Who asks, and the object that they send.
async fn read(request: Request) -> Result<(Asker, Arguments), Refusal> {
    let asker = Asker::of(&request)?;
    check(request.headers()).map_err(Refusal::bad)?;
    let whole = body::whole(request.into_body(), BODY_BYTES_MAX).await;
    let bytes = whole.map_err(|unread| Refusal::new(unread.status(), unread.to_string()))?;
    let read = asked::body(&bytes).map_err(Refusal::bad)?;
    Ok((asker, read))
}

/// Whether the body is one that is read at all.
fn check(headers: &HeaderMap) -> Result<(), String> {
    let kind = one(headers, header::CONTENT_TYPE.as_str())?.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err("`Content-Type` must be application/json".to_owned());
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err("a body is sent without `Content-Encoding`".to_owned());
    }
    Ok(())
}

/// Says back by what name an asker knows its request.
async fn echo(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// What can be asked here, and where.
async fn metadata(State(authzen): State<Arc<AuthZen>>, request: Request) -> Result<Response, Refusal> {
    let asker = Asker::of(&request)?;
    let url = authzen.url(&asker);
    let at = |path: &str| format!("{url}/access/v1/{path}");
    let said = json!({
        "policy_decision_point": url,
        "access_evaluation_endpoint": at("evaluation"),
        "access_evaluations_endpoint": at("evaluations"),
        "search_subject_endpoint": at("search/subject"),
        "search_resource_endpoint": at("search/resource"),
        "search_action_endpoint": at("search/action"),
        "access_request_endpoint": at("requests"),
        "capabilities": ["urn:openid:authzen:capability:access-request"],
    });
    Ok(json_answer(StatusCode::OK, &said))
}

#[cfg(test)]
mod tests;
