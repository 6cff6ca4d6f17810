//! Where the server behind us is, and one exchange with it.
//!
//! **Invariant**: it is shown what a file of ours says, and never what a client showed us. Redirects are not followed. A request is sent
//! again only if nothing of it was sent.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use checkrein_http::trusting;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::BoxError;
use tower::timeout::Timeout;
use tower::util::BoxCloneSyncService;

use super::DoorError;
use crate::surface::mcp::wire::LINE_BYTES_MAX;

/// A connection takes no longer than this.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A tool may take long before it answers at all.
const HEAD_MAX: Duration = Duration::from_mins(30);
/// A connection that was idle for longer is not used again: a server may close it while a call is on its way, and nobody would know
/// whether that was made. Servers keep them for two seconds, most for five or more.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// So many connections are kept.
const IDLE_CONNECTIONS_MAX: usize = 32;

type Connects = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;
type Connections = legacy::Client<Connects, Full<Bytes>>;

/// Where the server is, and whom to trust there.
#[derive(Clone)]
pub(super) struct Place {
    uri: Uri,
    connections: Connections,
    /// What we show the server ourselves.
    headers: Arc<HeaderMap>,
}

/// No answer.
#[derive(Debug, Error)]
pub(in crate::surface::mcp) enum NoAnswer {
    #[error("can't connect to the server: {}", innermost(.0))]
    Connect(legacy::Error),
    #[error("the server does not answer in time")]
    Late,
    #[error("the exchange with the server failed: {0}")]
    Http(#[from] hyper::Error),
    #[error("the exchange with the server failed: {}", innermost(.0))]
    Exchange(legacy::Error),
    #[error("the server's answer has more than {LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the server's answer is not UTF-8")]
    NotText,
    #[error("the server answered {0}")]
    Status(StatusCode),
    #[error("the request can't be made")]
    Request,
}

impl NoAnswer {
    /// Whether it is certain that the server did nothing: it was not reached, or refused what it was asked.
    pub(super) fn is_undone(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Request => true,
            Self::Status(status) => status.is_client_error(),
            Self::Late | Self::Http(_) | Self::Exchange(_) | Self::TooLong | Self::NotText => false,
        }
    }
}

impl From<legacy::Error> for NoAnswer {
    fn from(error: legacy::Error) -> Self {
        if error.is_connect() {
            Self::Connect(error)
        } else {
            Self::Exchange(error)
        }
    }
}

impl Place {
    /// A URL, with the CA of its certificate and a file of headers.
    pub(super) fn new(url: &str, ca: Option<&Path>, headers: Option<&Path>) -> Result<Self, DoorError> {
        let uri = server(url).ok_or_else(|| DoorError::Upstream(url.to_owned()))?;
        let shown = headers.map(|path| read(path).ok_or_else(|| DoorError::Headers(path.to_owned())));
        Ok(Self {
            uri,
            connections: connections(ca)?,
            headers: Arc::new(shown.transpose()?.unwrap_or_default()),
        })
    }

    /// Sends one request; gives the answer, whose body is still to come.
    pub(super) async fn send(
        &self,
        method: Method,
        told: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.uri)
            .body(Full::new(body))
            .map_err(|_| NoAnswer::Request)?;
        request.headers_mut().extend(self.headers.as_ref().clone());
        request.headers_mut().extend(told);
        let answer = timeout(HEAD_MAX, self.connections.request(request)).await;
        Ok(answer.map_err(|_| NoAnswer::Late)??)
    }
}

/// Connections to a server, which shows a certificate of these CAs where it is one of `https`.
fn connections(ca: Option<&Path>) -> Result<Connections, DoorError> {
    let mut plain = HttpConnector::new();
    plain.set_nodelay(true);
    plain.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(trusting(ca)?.config().as_ref().clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(plain);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .build(BoxCloneSyncService::new(Timeout::new(connector, CONNECT_MAX))))
}

/// What an error comes of: the words around it say no more than that a request failed.
fn innermost(error: &legacy::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// A URL where a server may be.
fn server(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let is_whole = !url.contains('#') && !uri.authority()?.as_str().contains('@');
    (is_web && is_whole).then_some(uri)
}

/// What a file says to show the server.
fn read(path: &Path) -> Option<HeaderMap> {
    let text = fs::read_to_string(path).ok()?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once(':')?;
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        })
        .collect()
}

impl std::fmt::Debug for Place {
    /// Without what we show the server.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
