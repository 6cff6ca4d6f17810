//! Who this enforcer is to others: the newest whole identity that its files have held.
//!
//! Files are looked at every few seconds and before each connection: a certificate that somebody renews is in use without a
//! restart. A connection keeps what it was made with, so that no stream ends for a rotation.
//!
//! **Invariant**: what is in use is a certificate with its own key, and a CA. Files that are not (half of a pair was written, one is
//! missing) change nothing, and the log names them.

mod renewal;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::status::StatusBoard;
use crate::tls::{Pem, Tls, TlsError};
pub(crate) use renewal::Renewer;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where the identity comes from, and the one in use. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    files: Files,
    current: Arc<watch::Sender<Arc<Tls>>>,
    /// What the files held when they were last looked at; held through a look, so that an older look never replaces a newer.
    seen: Arc<Mutex<Seen>>,
}

/// The files of an identity, all PEM.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

/// What was found last, good or not: each is told once.
#[derive(Debug, PartialEq)]
enum Seen {
    Pem(Pem),
    Unreadable(String),
}

impl Source {
    /// Reads the files that a configuration names.
    pub(crate) fn open(config: &Config) -> Result<Self, TlsError> {
        let files = Files {
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            ca: config.ca.clone(),
        };
        let pem = Pem::read(&files)?;
        let tls = Tls::new(&pem, &files)?;
        Ok(Self {
            files,
            current: Arc::new(watch::Sender::new(Arc::new(tls))),
            seen: Arc::new(Mutex::new(Seen::Pem(pem))),
        })
    }

    /// The files.
    pub(crate) const fn files(&self) -> &Files {
        &self.files
    }

    /// The identity in use.
    pub(crate) fn current(&self) -> Arc<Tls> {
        Arc::clone(&self.current.borrow())
    }

    /// Looks at the files, and takes what they hold if it is new and whole.
    pub(crate) async fn look(&self) {
        let source = self.clone();
        drop(tokio::task::spawn_blocking(move || source.look_blocking()).await);
    }

    /// Looks at the files for as long as the enforcer runs, and says until when the identity is good.
    pub(crate) async fn follow(self, status: StatusBoard, stop: CancellationToken) {
        let mut changes = self.current.subscribe();
        changes.mark_changed();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = changes.changed() => {
                    let until_ms = changes.borrow_and_update().svid().not_after_ms;
                    status.update(|status| status.identity_until_ms = until_ms);
                }
                _ = ticks.tick() => self.look().await,
            }
        }
    }

    fn look_blocking(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Pem::read(&self.files);
        let found = match &read {
            Ok(pem) => Seen::Pem(pem.clone()),
            Err(error) => Seen::Unreadable(error.to_string()),
        };
        if *seen == found {
            return;
        }
        *seen = found;
        match read.and_then(|pem| Tls::new(&pem, &self.files)) {
            Ok(tls) => {
                info!(id = %tls.svid().id, until_ms = tls.svid().not_after_ms, "a new certificate is in use");
                self.current.send_replace(Arc::new(tls));
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "the identity in use goes on: what its files hold now can't be used"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
