//! TLS for browsers: a certificate that they believe, or one by our own CA.
//!
//! Not the services' own configuration: a browser that is asked for a certificate bothers whoever sits before it.
//!
//! **Invariant**: a certificate of our own is made anew when a third of its life is left, and a connection waits for nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use checkrein_shared::SharedClock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use super::serve::Offer;
use crate::authority::{Authority, AuthorityError};

/// Why browsers can't be served over TLS.
#[derive(Debug, Error)]
pub enum ConsoleTlsError {
    /// A file can't be read.
    #[error("can't read `{path}`, of the console's certificate")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not what it should be.
    #[error("the console's certificate and key can't be read: both are PEM")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// Not what TLS takes.
    #[error("the console's certificate and key can't be used together")]
    Tls(#[from] rustls::Error),
    /// Our own was not made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// A certificate of our own.
struct Own {
    authority: Arc<Authority>,
    clock: SharedClock,
    name: String,
    hosts: Vec<String>,
    acceptor: TlsAcceptor,
    renew_at_ms: u64,
}

/// To offer what is in these files.
pub(crate) fn of_files((certificate, key): &(PathBuf, PathBuf)) -> Result<Offer, ConsoleTlsError> {
    let acceptor = acceptor(&read(certificate)?, &read(key)?)?;
    Ok(Box::new(move || acceptor.clone()))
}

/// To offer a certificate by our own CA, to a name and hosts.
pub(crate) fn of_own(
    authority: Arc<Authority>,
    clock: SharedClock,
    name: String,
    hosts: Vec<String>,
) -> Result<Offer, ConsoleTlsError> {
    let (acceptor, renew_at_ms) = issue(&authority, &clock, &name, &hosts)?;
    let mut own = Own {
        authority,
        clock,
        name,
        hosts,
        acceptor,
        renew_at_ms,
    };
    Ok(Box::new(move || own.current()))
}

impl Own {
    fn current(&mut self) -> TlsAcceptor {
        if self.clock.wall_ms() >= self.renew_at_ms {
            match issue(&self.authority, &self.clock, &self.name, &self.hosts) {
                Ok(issued) => (self.acceptor, self.renew_at_ms) = issued,
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "the console's certificate could not be renewed"
                ),
            }
        }
        self.acceptor.clone()
    }
}

fn issue(
    authority: &Authority,
    clock: &SharedClock,
    name: &str,
    hosts: &[String],
) -> Result<(TlsAcceptor, u64), ConsoleTlsError> {
    let identity = authority.issue_server(&**clock, name, hosts)?;
    let now_ms = clock.wall_ms();
    let left_ms = identity.not_after_ms()?.saturating_sub(now_ms);
    let acceptor = acceptor(identity.certificate.as_bytes(), identity.key.as_bytes())?;
    Ok((acceptor, now_ms + left_ms / 3 * 2))
}

fn acceptor(chain: &[u8], key: &[u8]) -> Result<TlsAcceptor, ConsoleTlsError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, ConsoleTlsError> {
    std::fs::read(path).map_err(|source| ConsoleTlsError::Unreadable {
        path: path.display().to_string(),
        source,
    })
}
