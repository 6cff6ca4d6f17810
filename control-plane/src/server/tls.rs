//! TLS for those who connect, under a certificate that is renewed while the replica serves.
//!
//! A client may come without a certificate, and then says in each request who it is; `caller.rs` decides whether that is
//! enough. A certificate that is offered is verified here or ends the handshake.
//!
//! Our own acceptor and not tonic's, which takes one certificate for the life of the server: a replica that ran longer than
//! its certificate would be unreachable for everyone at once.
//!
//! **Invariant**: a connection is offered a certificate that has at least a third of its life left, unless none could be made;
//! no handshake keeps another waiting, and there is a bound to how many there are and how long each takes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::SharedClock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, info, warn};

use super::RunError;
use crate::authority::{Authority, Identity};

/// Handshakes under way; who comes after waits in the listener's own queue.
const HANDSHAKES_MAX: usize = 256;
/// How long one may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections that wait to be served.
const CONNECTIONS_WAITING_MAX: usize = 16;
/// A machine out of descriptors gets a moment before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whom a replica serves.
pub(super) type Connections = ReceiverStream<io::Result<TlsStream<TcpStream>>>;

/// A replica's certificate, made anew when it nears its end.
pub(super) struct Renewing {
    authority: Arc<Authority>,
    clock: SharedClock,
    name: String,
    hosts: Vec<String>,
    config: Arc<ServerConfig>,
    renew_at_ms: u64,
}

impl Renewing {
    /// The first certificate of a replica of this name that answers to these hosts.
    pub(super) fn new(
        authority: Arc<Authority>,
        clock: SharedClock,
        name: String,
        hosts: Vec<String>,
    ) -> Result<Self, RunError> {
        let (config, renew_at_ms) = issue(&authority, &clock, &name, &hosts)?;
        Ok(Self {
            authority,
            clock,
            name,
            hosts,
            config,
            renew_at_ms,
        })
    }

    /// What to offer a connection that comes now.
    fn current(&mut self) -> TlsAcceptor {
        if self.clock.wall_ms() >= self.renew_at_ms {
            match issue(&self.authority, &self.clock, &self.name, &self.hosts) {
                Ok((config, renew_at_ms)) => {
                    info!("the replica's certificate was renewed");
                    (self.config, self.renew_at_ms) = (config, renew_at_ms);
                }
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "the replica's certificate could not be renewed"
                ),
            }
        }
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// Accepts connections for as long as somebody serves them.
pub(super) fn accept(listener: TcpListener, mut certificate: Renewing) -> Connections {
    let (sender, receiver) = mpsc::channel(CONNECTIONS_WAITING_MAX);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    tokio::spawn(async move {
        while let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await {
            let accepted = tokio::select! {
                () = sender.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(greet(stream, certificate.current(), sender.clone(), permit));
                }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "can't accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    ReceiverStream::new(receiver)
}

async fn greet(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<io::Result<TlsStream<TcpStream>>>,
    _permit: OwnedSemaphorePermit,
) {
    let shaken = async {
        stream.set_nodelay(true)?;
        acceptor.accept(stream).await
    };
    match timeout(HANDSHAKE_MAX, shaken).await {
        // A server that has stopped serves nobody.
        Ok(Ok(stream)) => drop(sender.send(Ok(stream)).await),
        Ok(Err(error)) => debug!(%error, "handshake failed"),
        Err(_) => debug!("handshake took too long"),
    }
}

fn issue(
    authority: &Authority,
    clock: &SharedClock,
    name: &str,
    hosts: &[String],
) -> Result<(Arc<ServerConfig>, u64), RunError> {
    let identity = authority.issue_server(&**clock, name, hosts)?;
    let config = server_config(&authority.ca_certificate, &identity)?;
    let now_ms = clock.wall_ms();
    let left_ms = identity.not_after_ms()?.saturating_sub(now_ms);
    Ok((Arc::new(config), now_ms + left_ms / 3 * 2))
}

fn server_config(ca: &str, identity: &Identity) -> Result<ServerConfig, RunError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&identity.certificate)?, key)?;
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect()
}

#[cfg(test)]
mod tests;
