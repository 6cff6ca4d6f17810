//! What stands around every page: what a browser may do with it, how large and how slow a request may be, and from where it
//! may come.
//!
//! **Invariant**: no page runs a script or takes a style that is not one of our own files, none can be framed, and nothing is
//! changed by a request that another site made.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tonic::Status;

use super::Console;
use super::page::Trouble;

/// What is posted has at most this many bytes.
const BODY_BYTES_MAX: usize = 256 << 10;
/// How long a page may take to be made.
const PAGE_MAX: Duration = Duration::from_secs(10);

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Said with every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: under that a browser says `Origin: null` with a form, and no answer would be known to be from here.
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The router, guarded.
pub(super) fn around(router: Router<Console>) -> Router<Console> {
    router
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guard))
}

async fn guard(request: Request, next: Next) -> Response {
    let is_ours = matches!(*request.method(), Method::GET | Method::HEAD) || is_same_site(&request);
    let mut response = if is_ours {
        match timeout(PAGE_MAX, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Trouble::from(Status::unavailable("this took too long; try it again")).into_response(),
        }
    } else {
        Trouble::from(Status::permission_denied("this was sent from another site")).into_response()
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A browser says from where a request comes; whoever says nothing is no browser, and has no session that a browser keeps.
fn is_same_site(request: &Request) -> bool {
    let headers = request.headers();
    let fetched_from = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if !matches!(fetched_from, None | Some(b"same-origin" | b"none")) {
        return false;
    }
    match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
            let authority = origin.as_ref().and_then(Uri::authority);
            authority.is_some_and(|authority| Some(authority.as_str()) == host(headers, request.uri()))
        }
    }
}

/// Whom the request is for: in HTTP/2 the address says it.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(axum::http::uri::Authority::as_str).or(named)
}
