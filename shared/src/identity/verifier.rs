//! Which server is believed to be the control plane: one whose certificate chains to the CA, answers to the host that was
//! asked for, and carries the role of a control plane.
//!
//! One CA certifies everybody, and an enforcer's certificate serves the agents beside it: by CA and host alone, any enforcer
//! could pose as the control plane, and much of what a control plane says is believed for no other reason than who says it.
//!
//! The handshake names the CAs that are believed, so that a control plane with several certificates shows the right one.
//!
//! **Invariant**: nothing is accepted here that the usual verification refuses. No socket is touched: TLS asks, and this answers.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme};
use thiserror::Error;

use super::{InvalidSvid, Role, SpiffeId};
use crate::action::Sha256;

/// Believes control planes that one CA certified, and nobody else.
#[derive(Debug)]
pub struct ControlPlaneVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    authorities: Vec<Sha256>,
    subjects: Vec<DistinguishedName>,
}

/// A CA file that verifies nobody.
#[derive(Debug, Error)]
#[error("the CA can't be used: expected one certificate or several, PEM")]
pub struct InvalidCa;

/// A server that is not the control plane.
#[derive(Debug, Error)]
enum NotControlPlane {
    #[error("`{0}` serves there, and it is no control plane")]
    Role(SpiffeId),
    #[error("what serves there has no name of its own: {0}")]
    Nameless(#[from] InvalidSvid),
}

impl ControlPlaneVerifier {
    /// Believes whom this CA certified as a control plane; `pem` may hold several, for the time of a change.
    pub fn new(pem: &[u8]) -> Result<Self, InvalidCa> {
        let mut roots = RootCertStore::empty();
        let mut authorities = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| InvalidCa)?;
            authorities.push(Sha256::of(&certificate));
            roots.add(certificate).map_err(|_| InvalidCa)?;
        }
        let subjects = roots.subjects();
        let provider = Arc::new(ring::default_provider());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| InvalidCa)?;
        Ok(Self {
            webpki,
            authorities,
            subjects,
        })
    }

    /// SHA-256 of each CA certificate, DER: what a key set names.
    pub fn authorities(&self) -> &[Sha256] {
        &self.authorities
    }
}

impl ServerCertVerifier for ControlPlaneVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.webpki
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        check_role(end_entity)
            .map(|()| verified)
            // Not a `CertificateError`: that one shows no sentence.
            .map_err(|error| OtherError(Arc::new(error)).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.subjects)
    }
}

fn check_role(verified: &CertificateDer<'_>) -> Result<(), NotControlPlane> {
    let id = SpiffeId::from_verified_certificate(verified)?;
    if id.role() == Some(Role::ControlPlane) {
        Ok(())
    } else {
        Err(NotControlPlane::Role(id))
    }
}
