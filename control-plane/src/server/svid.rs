//! A second certificate of a replica: its X.509-SVID from the machine's SPIFFE agent, for those who believe the trust domain's
//! authorities and not our CA. Comes over the Workload API's stream, which says by itself that one has been rotated; goes to
//! `tls.rs`, which shows it to whoever names those authorities.
//!
//! A replica waits for none: revocations shall not wait for an agent that is away. As long as nothing was given, our own
//! certificate is all there is.
//!
//! **Invariant**: only an SVID of a control plane of our own trust domain that answers to a host of ours is taken; whatever else
//! is given, or that nothing is, leaves the one in use. Keys travel over a Unix socket and are written nowhere.

use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::identity::{Role, SpiffeId};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{DistinguishedName, RootCertStore};
use spiffe::transport::Endpoint;
use spiffe::{Certificate, WorkloadApiClient, WorkloadApiError, X509Context, X509Svid};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Longest wait for an agent to open the stream.
const SUBSCRIBE_MAX: Duration = Duration::from_secs(5);
/// An agent is asked again soon at first, and at least this often: it is on this machine, and SVIDs are short.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Whose SVID, and from where.
#[derive(Debug)]
pub(super) struct Svids {
    /// The Workload API's Unix socket.
    pub(super) socket: Endpoint,
    pub(super) trust_domain: String,
    /// What it must answer to, one of them at least.
    pub(super) hosts: Vec<String>,
}

/// An SVID that can be shown.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) key: Arc<CertifiedKey>,
    /// Who certified it, as clients name them.
    pub(super) authorities: Vec<DistinguishedName>,
}

/// The one in use; none: nothing was given yet.
pub(super) type ServedFeed = watch::Receiver<Option<Arc<Served>>>;

/// Why there is nothing to take.
#[derive(Debug, Error)]
enum Unusable {
    #[error("the Workload API gives nothing")]
    Silent(#[from] WorkloadApiError),
    #[error("the Workload API did not answer in time")]
    Deadline,
    #[error("the Workload API ended its stream")]
    Ended,
    #[error("what was given is for {0:?}; register this process as `spiffe://{1}/control-plane/<name>`")]
    NotOurs(Vec<String>, String),
    #[error(
        "`{id}` answers to none of {hosts:?}; give its entry a DNS name by which clients reach this replica"
    )]
    Nameless { id: String, hosts: Vec<String> },
    #[error("no trust bundle came for the trust domain of `{0}`")]
    NoBundle(String),
    #[error("what was given can't be used")]
    Tls(#[from] rustls::Error),
}

impl Svids {
    /// Follows the stream until `stop`, opening another when it ends.
    pub(super) fn follow(self, stop: CancellationToken) -> ServedFeed {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let mut wait = RETRY_FIRST;
            loop {
                let before = sender.borrow().is_some();
                let ended = self.bring(&sender).await;
                warn!(
                    error = &ended as &dyn std::error::Error,
                    "the SVID of this replica can't be followed now"
                );
                let is_new = !before && sender.borrow().is_some();
                wait = if is_new {
                    RETRY_FIRST
                } else {
                    (wait * 2).min(RETRY_MAX)
                };
                sleep(wait).await;
            }
        }));
        receiver
    }

    /// Until the stream ends.
    async fn bring(&self, sender: &watch::Sender<Option<Arc<Served>>>) -> Unusable {
        let endpoint = self.socket.clone();
        let subscribing = async {
            let client = WorkloadApiClient::connect(endpoint).await?;
            client.stream_x509_contexts().await
        };
        let mut contexts = match timeout(SUBSCRIBE_MAX, subscribing).await {
            Ok(Ok(contexts)) => contexts,
            Ok(Err(error)) => return error.into(),
            Err(_) => return Unusable::Deadline,
        };
        while let Some(context) = contexts.next().await {
            let found = context.map_err(Unusable::from);
            match found.and_then(|context| self.take(&context)) {
                Ok((id, served)) => {
                    info!(
                        id,
                        "the SVID of this replica is shown to whoever believes its authorities"
                    );
                    sender.send_replace(Some(Arc::new(served)));
                }
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "the SVID in use goes on: what the Workload API gives is not taken"
                ),
            }
        }
        Unusable::Ended
    }

    /// The one that is ours of what was given.
    fn take(&self, context: &X509Context) -> Result<(String, Served), Unusable> {
        let ours = context.svids().iter().find(|svid| self.is_ours(svid));
        let svid = ours.ok_or_else(|| {
            let given = context.svids().iter().map(|svid| svid.spiffe_id().to_string());
            Unusable::NotOurs(given.collect(), self.trust_domain.clone())
        })?;
        let id = svid.spiffe_id().to_string();
        let der = |certificate: &Certificate| CertificateDer::from(certificate.as_bytes().to_vec());
        let chain: Vec<_> = svid.cert_chain().iter().map(der).collect();
        if !chain.first().is_some_and(|leaf| self.is_named_by(leaf)) {
            let hosts = self.hosts.clone();
            return Err(Unusable::Nameless { id, hosts });
        }
        let bundle = context.bundle_set().get(svid.spiffe_id().trust_domain());
        let bundle = bundle.ok_or_else(|| Unusable::NoBundle(id.clone()))?;
        let mut roots = RootCertStore::empty();
        for authority in bundle.authorities() {
            roots.add(der(authority))?;
        }
        let key = PrivatePkcs8KeyDer::from(svid.private_key().as_bytes().to_vec());
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, PrivateKeyDer::from(key), &provider)?;
        let served = Served {
            key: Arc::new(key),
            authorities: roots.subjects(),
        };
        Ok((id, served))
    }

    fn is_ours(&self, svid: &X509Svid) -> bool {
        let id = svid.spiffe_id().to_string().parse::<SpiffeId>();
        id.is_ok_and(|id| id.role() == Some(Role::ControlPlane) && id.trust_domain() == self.trust_domain)
    }

    /// Clients verify the host of their URL: one that answers to no name of ours is believed by none of them.
    fn is_named_by(&self, leaf: &CertificateDer<'_>) -> bool {
        let Ok(leaf) = ParsedCertificate::try_from(leaf) else {
            return false;
        };
        let answers = |host: &String| {
            let name = ServerName::try_from(host.as_str());
            name.is_ok_and(|name| rustls::client::verify_server_name(&leaf, &name).is_ok())
        };
        self.hosts.iter().any(answers)
    }
}

#[cfg(test)]
pub(super) mod tests;
