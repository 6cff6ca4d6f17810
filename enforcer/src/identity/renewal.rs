//! A certificate that is followed by another before it ends, without a person.
//!
//! At half of its life the control plane is asked, over the connection that is there, for another certificate of the same key.
//! The key stays: one file is replaced, by one rename, and whatever moment a crash chooses, certificate and key belong together.
//! A new key is made where a person asks for one, by `checkrein fleet add --force`.
//!
//! **Invariant**: what replaces the certificate is of the same key, the same name and a later end; whatever fails, the one in
//! use goes on.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use checkrein_proto::fleet::v1::RenewRequest;
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_shared::SharedClock;
use checkrein_shared::id::random_bytes;
use rcgen::{CertificateParams, KeyPair};
use thiserror::Error;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Files, Source};
use crate::control_plane::{Backoff, Connection};
use crate::directory::sync_directory;
use crate::tls::{Pem, Tls, TlsError};

/// How often the certificate's age is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// After a renewal the next is this far off, whatever the clocks say: two that differ must not keep the CA busy.
const PAUSE: Duration = Duration::from_mins(1);
/// How long the control plane may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A fleet that was certified together does not renew together: each enforcer has its own moment about the half, in hundredths
/// of the life.
const DUE_FIRST: u64 = 45;
const DUE_SPREAD: u64 = 10;

/// Renews one enforcer's certificate for as long as it runs.
#[derive(Debug)]
pub(crate) struct Renewer {
    source: Source,
    files: Files,
    connection: Connection,
    clock: SharedClock,
    /// In hundredths of the certificate's life.
    due_at: u64,
}

/// Why the certificate stays what it is.
#[derive(Debug, Error)]
enum RenewalError {
    #[error("no control plane is connected")]
    NotConnected,
    #[error("the control plane did not answer in time")]
    Deadline,
    #[error("the control plane did not renew it")]
    Refused(#[from] tonic::Status),
    #[error("a request for it can't be made with the key in use")]
    Request(#[from] rcgen::Error),
    #[error("what the control plane gave can't be used")]
    Answer(#[from] TlsError),
    #[error("the control plane gave a certificate of another name, or one that ends no later")]
    NotOurs,
    #[error("`{}` can't be replaced", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the enforcer stops")]
    Stopped,
}

impl Renewer {
    /// For an identity of files; any other is renewed by whoever gives it.
    pub(crate) fn new(source: &Source, connection: Connection, clock: SharedClock) -> Option<Self> {
        Some(Self {
            source: source.clone(),
            files: source.files()?.clone(),
            connection,
            clock,
            due_at: DUE_FIRST + u64::from(random_bytes::<1>()[0]) % DUE_SPREAD,
        })
    }

    /// Renews until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut wait = Duration::ZERO;
        while stop.run_until_cancelled(sleep(wait)).await.is_some() {
            if !self.is_due() {
                wait = LOOK;
                continue;
            }
            let Some(renewed) = stop.run_until_cancelled(self.renew()).await else {
                return;
            };
            wait = match renewed {
                Ok(()) => {
                    backoff = Backoff::default();
                    PAUSE
                }
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "the certificate was not renewed; the one in use goes on"
                    );
                    LOOK + backoff.next()
                }
            };
        }
    }

    fn is_due(&self) -> bool {
        let tls = self.source.current();
        let life_ms = tls.svid().not_after_ms.saturating_sub(tls.svid().not_before_ms);
        let due_ms = tls.svid().not_before_ms + life_ms / 100 * self.due_at;
        self.clock.wall_ms() >= due_ms
    }

    async fn renew(&self) -> Result<(), RenewalError> {
        let pem = Pem::read(&self.files)?;
        let request = CertificateParams::default().serialize_request(&KeyPair::from_pem(pem.key())?)?;
        let request = RenewRequest {
            certificate_request: request.pem()?,
        };
        let connected = timeout(ANSWER_MAX, self.connection.wait()).await;
        let channel = connected.ok().flatten().ok_or(RenewalError::NotConnected)?;
        let mut client = FleetServiceClient::new(channel);
        let answered = timeout(ANSWER_MAX, client.renew(request)).await;
        let certificate = answered
            .map_err(|_| RenewalError::Deadline)??
            .into_inner()
            .certificate;
        let (source, files) = (self.source.clone(), self.files.clone());
        let written = tokio::task::spawn_blocking(move || replace(&source, &files, &pem, &certificate)).await;
        written.map_err(|_| RenewalError::Stopped)??;
        self.source.look().await;
        info!(
            until_ms = self.source.current().svid().not_after_ms,
            "the certificate was renewed"
        );
        Ok(())
    }
}

/// Puts the certificate in the place of the one in use, if it is another of the same.
fn replace(source: &Source, files: &Files, pem: &Pem, certificate: &str) -> Result<(), RenewalError> {
    let next = Tls::new(&pem.clone().with_certificate(certificate.to_owned()), files)?;
    let current = source.current();
    let (next, current) = (next.svid(), current.svid());
    if next.id != current.id || next.not_after_ms <= current.not_after_ms {
        return Err(RenewalError::NotOurs);
    }
    // Somebody else may have put a new pair there meanwhile: that one stays.
    if Pem::read(files)? != *pem {
        return Ok(());
    }
    write(&files.certificate, certificate.as_bytes()).map_err(|source| RenewalError::File {
        path: files.certificate.clone(),
        source,
    })
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("next");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_directory(directory.unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests;
