//! What others are asked over HTTP, within bounds: whom to trust, how to ask, and the keys that issuers of tokens list.
//!
//! For [`exchange`], whoever asks says how long it may take, where to connect, and how much of an answer is read.
//!
//! **Invariant**: redirects are not followed: who is asked is who was configured.

mod fetch;
mod keyring;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

pub use fetch::{FetchError, Fetcher, is_askable};
pub use keyring::{Disbelief, Discovery, Follower, Keyring, Source};

/// No CA to verify a server by.
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
    #[error("TLS to the server can't be set up")]
    Tls(#[from] rustls::Error),
}

/// No answer.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// Not HTTP.
    #[error("the exchange failed: {0}")]
    Http(#[from] hyper::Error),
    /// Too long, or cut off.
    #[error("the answer broke off, or is longer than it may be")]
    Body,
}

/// TLS that trusts the CAs of a file, or else those of this machine.
pub fn trusting(ca: Option<&Path>) -> Result<TlsConnector, InvalidCa> {
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
        // Without any, every server is refused, which says so when one is asked.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The host of a URL as it is looked up: an IPv6 address without its brackets.
pub fn bare_host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_matches(['[', ']'])
}

/// Asks over a connection, and reads at most so many bytes of the answer.
pub async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    answer_bytes_max: usize,
) -> Result<Response<Bytes>, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asked = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, answer_bytes_max);
        let body = body.collect().await.map_err(|_| ExchangeError::Body)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    // The connection is driven for as long as the answer takes, and ends with it.
    let driven = async {
        let _ended = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = asked => answer,
        () = driven => Err(ExchangeError::Body),
    }
}
