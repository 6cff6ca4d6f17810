//! Mutual TLS from three files, for speaking to the control plane and for listening to agents.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::action::Sha256;
use checkrein_shared::identity::{ControlPlaneVerifier, InvalidCa};
use thiserror::Error;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig};

use crate::config::Config;

/// Longest handshake of a caller; until it is done nobody knows who takes the place.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// The enforcer's own certificate and key, and the CA it believes.
#[derive(Clone)]
pub(crate) struct Tls {
    identity: Identity,
    ca: Certificate,
    control_plane: Arc<ControlPlaneVerifier>,
}

/// A TLS file that can't be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// It can't be read.
    #[error("can't read `{}`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("`{}` holds no PEM {what}", path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The CA verifies nobody.
    #[error("can't use `{}`", path.display())]
    Ca {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: InvalidCa,
    },
}

impl Tls {
    /// Reads the files a configuration names.
    pub(crate) fn load(config: &Config) -> Result<Self, TlsError> {
        let certificate = read_pem(&config.certificate, "certificate", "CERTIFICATE")?;
        let key = read_pem(&config.key, "private key", "PRIVATE KEY")?;
        let ca = read_pem(&config.ca, "certificate", "CERTIFICATE")?;
        let control_plane = ControlPlaneVerifier::new(ca.as_bytes()).map_err(|source| TlsError::Ca {
            path: config.ca.clone(),
            source,
        })?;
        Ok(Self {
            identity: Identity::from_pem(certificate, key),
            ca: Certificate::from_pem(ca),
            control_plane: Arc::new(control_plane),
        })
    }

    /// For connecting: the server is verified by the host of its URL, the CA and its role. Whom the CA certified as anything
    /// but a control plane is not believed.
    pub(crate) fn towards_control_plane(
        &self,
        endpoint: Endpoint,
    ) -> Result<Endpoint, tonic::transport::Error> {
        let tls = ClientTlsConfig::new().identity(self.identity.clone());
        endpoint.tls_config_with_verifier(tls, Arc::clone(&self.control_plane) as _)
    }

    /// The digests of the CA's certificates.
    pub(crate) fn authorities(&self) -> Vec<Sha256> {
        self.control_plane.authorities().to_vec()
    }

    /// For listening: whoever shows no certificate of the CA is not spoken to.
    pub(crate) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(self.identity.clone())
            .client_ca_root(self.ca.clone())
            .client_auth_optional(false)
            .timeout(HANDSHAKE_DEADLINE)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(…)")
    }
}

fn read_pem(path: &Path, what: &'static str, label: &str) -> Result<String, TlsError> {
    let text = std::fs::read_to_string(path).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if text
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{label}-----")))
    {
        Ok(text)
    } else {
        Err(TlsError::NotPem {
            path: path.to_owned(),
            what,
        })
    }
}

#[cfg(test)]
mod tests;
