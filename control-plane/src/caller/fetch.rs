//! One small document over HTTPS, within bounds.
//!
//! Plain `http` is for hosts of this machine only. Redirects are not followed: who is asked is who was configured.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long it all may take.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// How long the document may be.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// Who fetches, and whom it trusts.
#[derive(Clone)]
pub(super) struct Fetcher(TlsConnector);

/// No CA to verify an issuer by.
#[derive(Debug, Error)]
pub enum InvalidCa {
    /// The file can't be read.
    #[error("can't read the certificates in `{path}`: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// TLS can't be set up.
    #[error("TLS to the issuer can't be set up")]
    Tls(#[from] rustls::Error),
}

/// No document.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    /// A URL that is not asked.
    #[error("`{0}` is not an https URL (http is for this machine only)")]
    Url(String),
    /// Nobody there.
    #[error("can't connect: {0}")]
    Connect(#[from] io::Error),
    /// Not HTTP.
    #[error("the exchange failed: {0}")]
    Http(#[from] hyper::Error),
    /// Another answer than the document.
    #[error("it answered {0}")]
    Answer(StatusCode),
    /// Too long.
    #[error("the answer broke off, or is longer than {DOCUMENT_BYTES_MAX} bytes")]
    Body,
    /// Too slow.
    #[error("no answer within {} s", FETCH_MAX.as_secs())]
    Late,
}

impl Fetcher {
    /// Trusts the CAs of a file, or else those of this machine.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, InvalidCa> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = ca {
            let failed = |cause: String| InvalidCa::File {
                path: path.to_owned(),
                cause,
            };
            let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&text) {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots.add(certificate)?;
            }
            if roots.is_empty() {
                return Err(failed("there is none, in PEM".to_owned()));
            }
        } else {
            // Without any, every issuer is refused, which says so when one is asked.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// The document at a URL.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let uri = askable(url).ok_or_else(|| FetchError::Url(url.to_owned()))?;
        timeout(FETCH_MAX, self.exchange(&uri))
            .await
            .map_err(|_| FetchError::Late)?
    }

    async fn exchange(&self, uri: &Uri) -> Result<Bytes, FetchError> {
        let host = bare_host(uri).to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        if !secure {
            return ask(stream, uri).await;
        }
        let name = ServerName::try_from(host).map_err(|_| FetchError::Url(uri.to_string()))?;
        ask(self.0.connect(name, stream).await?, uri).await
    }
}

/// Whether a URL is one that may be asked: of TLS, or of this machine; without a user, a query of its own or a fragment.
pub(crate) fn is_askable(url: &str) -> bool {
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

fn bare_host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_matches(['[', ']'])
}

async fn ask<S>(stream: S, uri: &Uri) -> Result<Bytes, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asked = async {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(path)
            .header(HOST, authority)
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchError::Url(uri.to_string()))?;
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Answer(response.status()));
        }
        let body = Limited::new(response.into_body(), DOCUMENT_BYTES_MAX);
        Ok(body.collect().await.map_err(|_| FetchError::Body)?.to_bytes())
    };
    // The connection is driven for as long as the answer takes, and ends with it.
    let driven = async {
        let _ended = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = asked => answer,
        () = driven => Err(FetchError::Body),
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetcher")
    }
}
