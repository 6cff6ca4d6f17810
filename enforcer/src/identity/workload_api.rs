//! An identity from the machine's SPIFFE agent: an X.509-SVID, its key and its trust domain's bundle, over the Workload API's
//! stream, which says by itself that one has been rotated.
//!
//! **Invariant**: only an SVID of an enforcer is taken, and after the first only one of the same SPIFFE ID; whatever else is
//! given, or that nothing is, leaves the one in use as it is. Keys travel over a Unix socket and are written nowhere.

use std::path::PathBuf;
use std::time::Duration;

use checkrein_shared::identity::{Role, SpiffeId};
use futures_util::{Stream, StreamExt};
use spiffe::transport::Endpoint;
use spiffe::{Certificate, WorkloadApiClient, WorkloadApiError, X509Context, X509Svid};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::{Files, Source};
use crate::control_plane::Backoff;
use crate::tls::{Pem, Tls, TlsError};

/// How long a start waits for an identity: an agent that starts beside us, or an entry that is on its way to it.
const FIRST_MAX: Duration = Duration::from_mins(1);
/// Longest wait for an agent to open the stream.
const SUBSCRIBE_MAX: Duration = Duration::from_secs(5);
/// An agent is asked again at least this often: it is on this machine, and certificates are short.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The Workload API of this machine.
#[derive(Debug, Clone)]
pub(crate) struct WorkloadApi {
    socket: String,
    endpoint: Endpoint,
    /// A file of CAs to believe beside the trust bundle.
    ca: Option<PathBuf>,
}

/// No identity came from the Workload API in time.
#[derive(Debug, Error)]
#[error(
    "the Workload API at `{socket}` gave no X.509-SVID of an enforcer within {waited:?}; does the agent run, may this process \
     use the socket, and is there an entry for it with a SPIFFE ID `spiffe://<domain>/enforcer/<name>`?"
)]
pub struct NoSvid {
    socket: String,
    waited: Duration,
    source: Option<Box<Unusable>>,
}

/// Why there is nothing to use now.
#[derive(Debug, Error)]
enum Unusable {
    #[error("the Workload API gives nothing")]
    Silent(#[from] WorkloadApiError),
    #[error("the Workload API did not answer in time")]
    Deadline,
    #[error("the Workload API ended its stream")]
    Ended,
    #[error("what was given is for {given:?}, and what is needed is for {wanted}")]
    NotOurs { given: Vec<String>, wanted: String },
    #[error("no trust bundle came for the trust domain of `{0}`")]
    NoBundle(String),
    #[error("what was given can't be used")]
    Tls(#[from] TlsError),
}

impl WorkloadApi {
    /// The one at this address, if it is that of a Unix socket.
    pub(crate) fn at(socket: &str, ca: Option<PathBuf>) -> Option<Self> {
        let endpoint = Endpoint::parse(socket).ok()?;
        matches!(endpoint, Endpoint::Unix(_)).then(|| Self {
            socket: socket.to_owned(),
            endpoint,
            ca,
        })
    }

    /// The first identity that can be used.
    pub(super) async fn first(&self) -> Result<(Pem, Tls), NoSvid> {
        let mut last = None;
        let waiting = async {
            let mut backoff = Backoff::default();
            loop {
                match self.next().await {
                    Ok(found) => return found,
                    Err(error) => {
                        let cause = &error as &dyn std::error::Error;
                        info!(
                            socket = self.socket,
                            cause, "waiting for an identity from the Workload API"
                        );
                        last = Some(error);
                    }
                }
                sleep(backoff.next().min(RETRY_MAX)).await;
            }
        };
        timeout(FIRST_MAX, waiting).await.map_err(|_| NoSvid {
            socket: self.socket.clone(),
            waited: FIRST_MAX,
            source: last.map(Box::new),
        })
    }

    /// Brings a source what the stream gives, and opens another when it ends.
    pub(super) async fn follow(&self, source: &Source) {
        let mut backoff = Backoff::default();
        loop {
            let started = Instant::now();
            let ended = match self.subscribe().await {
                Ok(contexts) => self.bring(contexts, source).await,
                Err(error) => error,
            };
            backoff.ended_after(started.elapsed());
            warn!(
                socket = self.socket,
                error = &ended as &dyn std::error::Error,
                "the identity in use goes on until it expires: it can't be followed now"
            );
            sleep(backoff.next().min(RETRY_MAX)).await;
        }
    }

    /// Until the stream ends.
    async fn bring(
        &self,
        mut contexts: impl Stream<Item = Result<X509Context, WorkloadApiError>> + Unpin,
        source: &Source,
    ) -> Unusable {
        while let Some(context) = contexts.next().await {
            let held = source.current().svid().id.clone();
            let found = context
                .map_err(Unusable::from)
                .and_then(|context| self.pem(&context, Some(&held)));
            match found {
                Ok(pem) => source.take(&self.place(), || Ok(pem)),
                Err(error) => warn!(
                    socket = self.socket,
                    error = &error as &dyn std::error::Error,
                    "the identity in use goes on: what the Workload API gives is not taken"
                ),
            }
        }
        Unusable::Ended
    }

    async fn next(&self) -> Result<(Pem, Tls), Unusable> {
        let mut contexts = self.subscribe().await?;
        let first = timeout(SUBSCRIBE_MAX, contexts.next()).await;
        let context = first.map_err(|_| Unusable::Deadline)?.ok_or(Unusable::Ended)??;
        let pem = self.pem(&context, None)?;
        let tls = Tls::new(&pem, &self.place())?;
        Ok((pem, tls))
    }

    async fn subscribe(
        &self,
    ) -> Result<impl Stream<Item = Result<X509Context, WorkloadApiError>> + Unpin + use<>, Unusable> {
        let endpoint = self.endpoint.clone();
        let subscribing = async {
            let client = WorkloadApiClient::connect(endpoint).await?;
            client.stream_x509_contexts().await
        };
        let subscribed = timeout(SUBSCRIBE_MAX, subscribing).await;
        Ok(subscribed.map_err(|_| Unusable::Deadline)??)
    }

    /// What was given, and whom else to believe.
    fn pem(&self, context: &X509Context, held: Option<&SpiffeId>) -> Result<Pem, Unusable> {
        let pem = pem(context, held)?;
        match &self.ca {
            Some(path) => Ok(pem.believing(path)?),
            None => Ok(pem),
        }
    }

    /// What errors name.
    fn place(&self) -> Files {
        let place = PathBuf::from(&self.socket);
        Files {
            certificate: place.clone(),
            key: place.clone(),
            ca: place,
        }
    }
}

/// The one that is ours of what was given: of the name that is held, or of any enforcer at first.
fn pem(context: &X509Context, held: Option<&SpiffeId>) -> Result<Pem, Unusable> {
    let is_ours = |svid: &X509Svid| {
        let id = svid.spiffe_id().to_string().parse::<SpiffeId>();
        id.is_ok_and(|id| held.map_or(id.role() == Some(Role::Enforcer), |held| id == *held))
    };
    let ours = context.svids().iter().find(|svid| is_ours(svid));
    let svid = ours.ok_or_else(|| Unusable::NotOurs {
        given: context
            .svids()
            .iter()
            .map(|svid| svid.spiffe_id().to_string())
            .collect(),
        wanted: held.map_or_else(|| "an enforcer".to_owned(), |held| format!("`{held}`")),
    })?;
    let bundle = context
        .bundle_set()
        .get(svid.spiffe_id().trust_domain())
        .ok_or_else(|| Unusable::NoBundle(svid.spiffe_id().to_string()))?;
    Ok(Pem::of_der(
        svid.cert_chain().iter().map(Certificate::as_bytes),
        svid.private_key().as_bytes(),
        bundle.authorities().iter().map(Certificate::as_bytes),
    ))
}

#[cfg(test)]
mod tests;
