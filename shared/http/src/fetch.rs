//! One small question over HTTPS, within bounds.
//!
//! Plain `http` is for hosts of this machine only. Redirects are not followed: who is asked is who was configured.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Request, Response, StatusCode, Uri};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{ExchangeError, InvalidCa, bare_host, exchange, trusting};

/// How long it all may take.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// How long the document may be.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// Who fetches, and whom it trusts.
#[derive(Clone)]
pub struct Fetcher(TlsConnector);

/// No document.
#[derive(Debug, Error)]
pub enum FetchError {
    /// A URL that is not asked.
    #[error("`{0}` is not an https URL (http is for this machine only)")]
    Url(String),
    /// Nobody there.
    #[error("can't connect: {0}")]
    Connect(#[from] io::Error),
    /// No answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Another answer than the document.
    #[error("it answered {0}")]
    Answer(StatusCode),
    /// Too slow.
    #[error("no answer within {} s", FETCH_MAX.as_secs())]
    Late,
}

impl Fetcher {
    /// Trusts the CAs of a file, or else those of this machine.
    pub fn new(ca: Option<&Path>) -> Result<Self, InvalidCa> {
        Ok(Self(trusting(ca)?))
    }

    /// The document at a URL.
    pub async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let response = self.ask(url, Request::get("/"), Bytes::new()).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            other => Err(FetchError::Answer(other)),
        }
    }

    /// What is answered to a form, whatever it is.
    pub async fn post(
        &self,
        url: &str,
        form: String,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Bytes>, FetchError> {
        let mut request = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.ask(url, request, form.into()).await
    }

    async fn ask(&self, url: &str, request: Builder, body: Bytes) -> Result<Response<Bytes>, FetchError> {
        let uri = askable(url).ok_or_else(|| FetchError::Url(url.to_owned()))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let request = request
            .uri(path)
            .header(HOST, authority)
            .header(ACCEPT, "application/json")
            .body(Full::new(body))
            .map_err(|_| FetchError::Url(url.to_owned()))?;
        timeout(FETCH_MAX, self.exchange(&uri, request))
            .await
            .map_err(|_| FetchError::Late)?
    }

    async fn exchange(
        &self,
        uri: &Uri,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, FetchError> {
        let host = bare_host(uri).to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        if !secure {
            return Ok(exchange(stream, request, DOCUMENT_BYTES_MAX).await?);
        }
        let name = ServerName::try_from(host).map_err(|_| FetchError::Url(uri.to_string()))?;
        let stream = self.0.connect(name, stream).await?;
        Ok(exchange(stream, request, DOCUMENT_BYTES_MAX).await?)
    }
}

/// Whether a URL is one that may be asked: of TLS, or of this machine; without a user, a query of its own or a fragment.
pub fn is_askable(url: &str) -> bool {
    askable(url).is_some() && !url.contains(['?', '#'])
}

fn askable(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    if uri.authority()?.as_str().contains('@') {
        return None;
    }
    let host = bare_host(&uri);
    let address = host.parse::<IpAddr>();
    let local = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match uri.scheme_str()? {
        "https" => Some(uri),
        "http" if local => Some(uri),
        _ => None,
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetcher")
    }
}
