//! Mutual TLS with one identity, for speaking to the control plane and for listening to agents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use checkrein_shared::action::Sha256;
use checkrein_shared::identity::{ControlPlaneVerifier, InvalidCa, InvalidSvid, Svid};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tonic::transport::{ClientTlsConfig, Endpoint, Identity};

use crate::identity::Files;

/// The enforcer's own certificate and key, and the CA it believes: of each other, and ready for use.
#[derive(Clone)]
pub(crate) struct Tls {
    identity: Identity,
    control_plane: Arc<ControlPlaneVerifier>,
    server: Arc<ServerConfig>,
    server_of_strangers: Arc<ServerConfig>,
    svid: Svid,
}

/// What an identity is made of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pem {
    certificate: String,
    key: String,
    ca: String,
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
    /// The certificate names nobody.
    #[error("`{}` is no certificate of an enforcer", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: InvalidSvid,
    },
    /// The certificate and the key are not of each other.
    #[error("`{}` and `{}` can't be used together; is the one the key of the other?", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl Pem {
    /// Reads three files.
    pub(crate) fn read(files: &Files) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read_pem(&files.certificate, "certificate", "CERTIFICATE")?,
            key: read_pem(&files.key, "private key", "PRIVATE KEY")?,
            ca: read_pem(&files.ca, "certificate", "CERTIFICATE")?,
        })
    }

    /// What comes as DER: a chain that begins with the leaf, its PKCS#8 key, and the CAs.
    pub(crate) fn of_der<'a>(
        chain: impl Iterator<Item = &'a [u8]>,
        key: &[u8],
        ca: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let certificates = |ders: &mut dyn Iterator<Item = &'a [u8]>| -> String {
            ders.map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der)))
                .collect()
        };
        let (mut chain, mut ca) = (chain, ca);
        Self {
            certificate: certificates(&mut chain),
            key: pem::encode(&pem::Pem::new("PRIVATE KEY", key)),
            ca: certificates(&mut ca),
        }
    }

    /// The same with the CAs of a file beside its own.
    pub(crate) fn believing(mut self, path: &Path) -> Result<Self, TlsError> {
        self.ca.push_str(&read_pem(path, "certificate", "CERTIFICATE")?);
        Ok(self)
    }

    /// The same key and CA under another certificate.
    pub(crate) fn with_certificate(self, certificate: String) -> Self {
        Self { certificate, ..self }
    }

    /// The private key, to ask for another certificate of it.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl Tls {
    /// What these hold, if they belong together; errors name where each part is from.
    pub(crate) fn new(pem: &Pem, files: &Files) -> Result<Self, TlsError> {
        let control_plane = ControlPlaneVerifier::new(pem.ca.as_bytes()).map_err(|source| TlsError::Ca {
            path: files.ca.clone(),
            source,
        })?;
        let chain = certificates(&pem.certificate, "certificate", &files.certificate)?;
        let leaf = chain.first().map(|leaf| Svid::read(leaf));
        let svid = leaf
            .unwrap_or(Err(InvalidSvid::Undecodable))
            .map_err(|source| TlsError::Certificate {
                path: files.certificate.clone(),
                source,
            })?;
        let (server, server_of_strangers) = server_configs(chain, pem, files)?;
        Ok(Self {
            identity: Identity::from_pem(&pem.certificate, &pem.key),
            control_plane: Arc::new(control_plane),
            server: Arc::new(server),
            server_of_strangers: Arc::new(server_of_strangers),
            svid,
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
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// For listening where a certificate is not how callers are known.
    pub(crate) fn server_of_strangers(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server_of_strangers)
    }

    /// Who the certificate says we are, and until when.
    pub(crate) const fn svid(&self) -> &Svid {
        &self.svid
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(…)")
    }
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pem(…)")
    }
}

/// One for callers who show certificates, and one for those who do not.
fn server_configs(
    chain: Vec<CertificateDer<'static>>,
    pem: &Pem,
    files: &Files,
) -> Result<(ServerConfig, ServerConfig), TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable_ca = || TlsError::Ca {
        path: files.ca.clone(),
        source: InvalidCa,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&pem.ca, "certificate", &files.ca)? {
        roots.add(certificate).map_err(|_| unusable_ca())?;
    }
    let callers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|_| unusable_ca())?;
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).map_err(|_| TlsError::NotPem {
        path: files.key.clone(),
        what: "private key",
    })?;
    let unpaired = |source| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unpaired)?;
    let mut known = builder
        .clone()
        .with_client_cert_verifier(callers)
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(unpaired)?;
    let mut strangers = builder
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unpaired)?;
    known.alpn_protocols.push(b"h2".to_vec());
    strangers.alpn_protocols.push(b"h2".to_vec());
    Ok((known, strangers))
}

fn certificates(
    pem: &str,
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<_, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.map_err(|_| TlsError::NotPem {
        path: path.to_owned(),
        what,
    })
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
