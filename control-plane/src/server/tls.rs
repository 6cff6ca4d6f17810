//! TLS for those who connect, under a certificate that is renewed while the replica serves.
//!
//! A client may come without a certificate, and then says in each request who it is; `caller.rs` decides whether that is
//! enough. A certificate that is offered is verified here or ends the handshake.
//!
//! Our own acceptor and not tonic's, which takes one certificate for the life of the server: a replica that ran longer than
//! its certificate would be unreachable for everyone at once.
//!
//! Beside our own CA others may certify clients, as their file says now: a SPIFFE trust domain's rotates often. And beside our
//! own certificate there may be another for whoever believes others: see `svid.rs`.
//!
//! **Invariant**: a connection is offered a certificate that has at least a third of its life left, unless none could be made;
//! no handshake keeps another waiting, and there is a bound to how many there are and how long each takes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::SharedClock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DistinguishedName, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, info, warn};

use super::RunError;
use super::svid::ServedFeed;
use crate::authority::{Authority, Identity};

/// Handshakes under way; who comes after waits in the listener's own queue.
const HANDSHAKES_MAX: usize = 256;
/// How long one may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections that wait to be served.
const CONNECTIONS_WAITING_MAX: usize = 16;
/// A machine out of descriptors gets a moment before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the file of other CAs is looked at, while somebody connects.
const LOOK_MS: u64 = 5_000;

/// Whom a replica serves.
pub(super) type Connections = ReceiverStream<io::Result<TlsStream<TcpStream>>>;

/// A replica's certificate, made anew when it nears its end.
pub(super) struct Renewing {
    authority: Arc<Authority>,
    clock: SharedClock,
    name: String,
    hosts: Vec<String>,
    others: Others,
    svids: Option<ServedFeed>,
    config: Arc<ServerConfig>,
    renew_at_ms: u64,
}

/// Which certificate a client is shown: our own, unless it says that it believes only those who certified the other.
#[derive(Debug)]
struct Certificates {
    own: Arc<CertifiedKey>,
    authorities: Vec<DistinguishedName>,
    svids: Option<ServedFeed>,
}

/// The CAs that certify clients beside our own, and when to look at them again.
struct Others {
    path: Option<PathBuf>,
    pem: String,
    look_at_ms: u64,
}

impl Renewing {
    /// The first certificate of a replica of this name that answers to these hosts, and believes clients of the CAs in this
    /// file too. Those who believe others than our CA are shown what `svids` brings.
    pub(super) fn new(
        authority: Arc<Authority>,
        clock: SharedClock,
        name: String,
        hosts: Vec<String>,
        client_ca: Option<PathBuf>,
        svids: Option<ServedFeed>,
    ) -> Result<Self, RunError> {
        let pem = client_ca.as_deref().map(read).transpose()?.unwrap_or_default();
        let (config, renew_at_ms) = issue(&authority, &clock, (&name, &hosts), &pem, svids.as_ref())?;
        Ok(Self {
            others: Others {
                path: client_ca,
                pem,
                look_at_ms: clock.boot_ms() + LOOK_MS,
            },
            authority,
            clock,
            name,
            hosts,
            svids,
            config,
            renew_at_ms,
        })
    }

    /// What to offer a connection that comes now.
    fn current(&mut self) -> TlsAcceptor {
        let now_ms = self.clock.wall_ms();
        let changed = self.others.look(self.clock.boot_ms());
        if changed.is_some() || now_ms >= self.renew_at_ms {
            let pem = changed.as_ref().unwrap_or(&self.others.pem);
            let (names, svids) = ((&*self.name, &*self.hosts), self.svids.as_ref());
            match issue(&self.authority, &self.clock, names, pem, svids) {
                Ok((config, renew_at_ms)) => {
                    info!("the replica's certificate, and whom it believes, were renewed");
                    (self.config, self.renew_at_ms) = (config, renew_at_ms);
                    self.others.pem = changed.unwrap_or_else(|| std::mem::take(&mut self.others.pem));
                }
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "the replica's certificate, or whom it believes, could not be renewed"
                ),
            }
        }
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl Others {
    /// What the file says now, if it is something else.
    fn look(&mut self, now_ms: u64) -> Option<String> {
        let path = self.path.as_deref()?;
        if now_ms < self.look_at_ms {
            return None;
        }
        self.look_at_ms = now_ms + LOOK_MS;
        match read(path) {
            Ok(pem) => (pem != self.pem).then_some(pem),
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the CAs of clients stay as they were"
                );
                None
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let believed = hello.certificate_authorities().unwrap_or_default();
        let is_named = |authorities: &[DistinguishedName]| {
            let mut named = believed.iter().map(AsRef::as_ref);
            named.any(|name: &[u8]| authorities.iter().any(|authority| authority.as_ref() == name))
        };
        let svid = self.svids.as_ref().and_then(|svids| svids.borrow().clone());
        match svid {
            Some(svid) if !is_named(&self.authorities) && is_named(&svid.authorities) => {
                Some(Arc::clone(&svid.key))
            }
            _ => Some(Arc::clone(&self.own)),
        }
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
    (name, hosts): (&str, &[String]),
    others: &str,
    svids: Option<&ServedFeed>,
) -> Result<(Arc<ServerConfig>, u64), RunError> {
    let identity = authority.issue_server(&**clock, name, hosts)?;
    let config = server_config(&authority.ca_certificate, others, &identity, svids)?;
    let now_ms = clock.wall_ms();
    let left_ms = identity.not_after_ms()?.saturating_sub(now_ms);
    Ok((Arc::new(config), now_ms + left_ms / 3 * 2))
}

fn server_config(
    ca: &str,
    others: &str,
    identity: &Identity,
    svids: Option<&ServedFeed>,
) -> Result<ServerConfig, RunError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate)?;
    }
    let authorities = roots.subjects();
    for certificate in certificates(others)? {
        roots.add(certificate)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let own = CertifiedKey::from_der(certificates(&identity.certificate)?, key, &provider)?;
    let shown = Certificates {
        own: Arc::new(own),
        authorities,
        svids: svids.cloned(),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

/// A file of CAs: an empty one is a mistake, and no way to believe nobody.
fn read(path: &Path) -> Result<String, RunError> {
    let unusable = |source| RunError::ClientCa {
        path: path.to_owned(),
        source,
    };
    let pem = std::fs::read_to_string(path).map_err(|source| unusable(Some(source)))?;
    match certificates(&pem) {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err(unusable(None)),
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect()
}

#[cfg(test)]
mod tests;
