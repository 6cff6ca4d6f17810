//! Where the server behind us is, and one exchange with it.
//!
//! **Invariant**: it is shown what a file of ours says, and never what a client showed us. Redirects are not followed.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use checkrein_http::{bare_host, trusting};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tracing::debug;

use super::DoorError;
use crate::surface::mcp::wire::LINE_BYTES_MAX;

/// A connection takes no longer than this.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A tool may take long before it answers at all.
const HEAD_MAX: Duration = Duration::from_mins(30);

/// Where the server is, and whom to trust there.
#[derive(Clone)]
pub(super) struct Place {
    uri: Uri,
    tls: TlsConnector,
    /// What we show the server ourselves.
    headers: Arc<HeaderMap>,
}

/// No answer.
#[derive(Debug, Error)]
pub(super) enum NoAnswer {
    #[error("can't connect to the server: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the server does not answer in time")]
    Late,
    #[error("the exchange with the server failed: {0}")]
    Http(#[from] hyper::Error),
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
            Self::Late | Self::Http(_) | Self::TooLong | Self::NotText => false,
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

impl Place {
    /// A URL, with the CA of its certificate and a file of headers.
    pub(super) fn new(url: &str, ca: Option<&Path>, headers: Option<&Path>) -> Result<Self, DoorError> {
        let uri = server(url).ok_or_else(|| DoorError::Upstream(url.to_owned()))?;
        let shown = headers.map(|path| read(path).ok_or_else(|| DoorError::Headers(path.to_owned())));
        Ok(Self {
            uri,
            tls: trusting(ca)?,
            headers: Arc::new(shown.transpose()?.unwrap_or_default()),
        })
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Io>> {
        let host = bare_host(&self.uri).to_owned();
        let is_secure = self.uri.scheme_str() == Some("https");
        let port = self.uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        if !is_secure {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
        Ok(Box::new(self.tls.connect(name, stream).await?))
    }

    /// Sends one request; gives the answer, whose body is still to come.
    pub(super) async fn send(
        &self,
        method: Method,
        told: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, authority)
            .body(Full::new(body))
            .map_err(|_| NoAnswer::Request)?;
        request.headers_mut().extend(self.headers.as_ref().clone());
        request.headers_mut().extend(told);
        let stream = timeout(CONNECT_MAX, self.connect())
            .await
            .map_err(|_| NoAnswer::Late)??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when the answer was read, or is not wanted any more.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection to the server broke off");
            }
        });
        let answer = timeout(HEAD_MAX, sender.send_request(request)).await;
        Ok(answer.map_err(|_| NoAnswer::Late)??)
    }
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
