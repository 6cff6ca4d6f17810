//! Who this enforcer is to others: the newest whole identity that its files have held, or that the Workload API gave.
//!
//! Files are looked at every few seconds and before each connection; the Workload API says by itself that there is something new.
//! Either way a certificate that somebody renews is in use without a restart. A connection keeps what it was made with, so that no
//! stream ends for a rotation.
//!
//! **Invariant**: what is in use is a certificate with its own key, and a CA. What is not (half of a pair was written, a file is
//! missing, a foreign certificate was given) changes nothing, and the log names it.

mod renewal;
mod workload_api;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{Config, InvalidConfig};
use crate::status::StatusBoard;
use crate::tls::{Pem, Tls, TlsError};
pub(crate) use renewal::Renewer;
pub use workload_api::NoSvid;
pub(crate) use workload_api::WorkloadApi;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where the identity comes from, and the one in use. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    origin: Origin,
    current: Arc<watch::Sender<Arc<Tls>>>,
    /// What the origin held when it was last looked at; held through a look, so that an older look never replaces a newer.
    seen: Arc<Mutex<Seen>>,
}

/// Where an identity comes from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Files, that a person or the renewal replaces.
    Files(Files),
    /// The machine's SPIFFE agent.
    WorkloadApi(WorkloadApi),
}

/// Where the parts of an identity are: files, all PEM. What comes from elsewhere is named the same way in errors.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

/// No identity to begin with.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// It can't be said where from.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// Its files can't be used.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// The Workload API gave none.
    #[error(transparent)]
    WorkloadApi(#[from] NoSvid),
}

/// What was found last, good or not: each is told once.
#[derive(Debug, PartialEq)]
enum Seen {
    Pem(Pem),
    Unreadable(String),
}

impl Source {
    /// Gets the identity from where a configuration says; waits, within a bound, for a Workload API that has none yet.
    pub(crate) async fn open(config: &Config) -> Result<Self, IdentityError> {
        match config.origin()? {
            Origin::Files(files) => Ok(Self::read(files)?),
            Origin::WorkloadApi(api) => {
                let (pem, tls) = api.first().await?;
                Ok(Self::new(Origin::WorkloadApi(api), pem, tls))
            }
        }
    }

    /// Reads files.
    pub(crate) fn read(files: Files) -> Result<Self, TlsError> {
        let pem = Pem::read(&files)?;
        let tls = Tls::new(&pem, &files)?;
        Ok(Self::new(Origin::Files(files), pem, tls))
    }

    fn new(origin: Origin, pem: Pem, tls: Tls) -> Self {
        Self {
            origin,
            current: Arc::new(watch::Sender::new(Arc::new(tls))),
            seen: Arc::new(Mutex::new(Seen::Pem(pem))),
        }
    }

    /// The files, if it is of files.
    pub(crate) const fn files(&self) -> Option<&Files> {
        match &self.origin {
            Origin::Files(files) => Some(files),
            Origin::WorkloadApi(_) => None,
        }
    }

    /// Whether the control plane's root says which CA this identity may believe. It does so of the CA that the control plane
    /// wrote into a file; a trust bundle is its trust domain's.
    pub(crate) const fn is_certified_by_root(&self) -> bool {
        matches!(self.origin, Origin::Files(_))
    }

    /// The identity in use.
    pub(crate) fn current(&self) -> Arc<Tls> {
        Arc::clone(&self.current.borrow())
    }

    /// Looks at the files, and takes what they hold if it is new and whole. What the Workload API gives comes by itself.
    pub(crate) async fn look(&self) {
        let Some(files) = self.files().cloned() else {
            return;
        };
        let source = self.clone();
        drop(tokio::task::spawn_blocking(move || source.take(&files, || Pem::read(&files))).await);
    }

    /// Follows the origin for as long as the enforcer runs, and says until when the identity is good.
    pub(crate) async fn follow(self, status: StatusBoard, stop: CancellationToken) {
        let mut changes = self.current.subscribe();
        changes.mark_changed();
        let mut following = pin!(self.follow_origin());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = changes.changed() => {
                    let until_ms = changes.borrow_and_update().svid().not_after_ms;
                    status.update(|status| status.identity_until_ms = until_ms);
                }
                () = &mut following => return,
            }
        }
    }

    async fn follow_origin(&self) {
        if let Origin::WorkloadApi(api) = &self.origin {
            return api.follow(self).await;
        }
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Takes what is found at a place if it is new and whole.
    fn take(&self, place: &Files, find: impl FnOnce() -> Result<Pem, TlsError>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let read = find();
        let found = match &read {
            Ok(pem) => Seen::Pem(pem.clone()),
            Err(error) => Seen::Unreadable(error.to_string()),
        };
        if *seen == found {
            return;
        }
        *seen = found;
        match read.and_then(|pem| Tls::new(&pem, place)) {
            Ok(tls) => {
                info!(id = %tls.svid().id, until_ms = tls.svid().not_after_ms, "a new certificate is in use");
                self.current.send_replace(Arc::new(tls));
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "the identity in use goes on: what was found at its origin now can't be used"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
