//! The identity in a certificate that TLS has already verified: an X.509-SVID (SPIFFE X509-SVID, section 2).

use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{InvalidSpiffeId, SpiffeId};

/// What a leaf certificate says of whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svid {
    /// Who it is.
    pub id: SpiffeId,
    /// It is good from then on.
    pub not_before_ms: u64,
    /// It is good until then.
    pub not_after_ms: u64,
}

/// A certificate that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidSvid {
    /// Not a certificate.
    #[error("the certificate can't be read")]
    Undecodable,
    /// No URI name, or several: an X.509-SVID has exactly one.
    #[error("the certificate has {0} URI names; an X.509-SVID has exactly one")]
    UriNames(usize),
    /// It is a CA's: those sign, and don't speak.
    #[error("the certificate is a CA's, and may not be used to connect")]
    Authority,
    /// Its key may not sign a handshake, or may sign certificates (SPIFFE X509-SVID, section 4.3).
    #[error(
        "the certificate's key usage is not an X.509-SVID's: digitalSignature is needed, and neither keyCertSign nor cRLSign \
         may be"
    )]
    KeyUsage,
    /// Its URI is no SPIFFE ID.
    #[error(transparent)]
    SpiffeId(#[from] InvalidSpiffeId),
}

impl Svid {
    /// Reads a leaf certificate, DER. Nothing is verified here: whoever believes it verifies the chain.
    pub fn read(der: &[u8]) -> Result<Self, InvalidSvid> {
        let id = SpiffeId::from_verified_certificate(der)?;
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| InvalidSvid::Undecodable)?;
        let validity = certificate.validity();
        let ms = |seconds: i64| u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000);
        Ok(Self {
            id,
            not_before_ms: ms(validity.not_before.timestamp()),
            not_after_ms: ms(validity.not_after.timestamp()),
        })
    }
}

impl SpiffeId {
    /// Reads the one SPIFFE ID of a leaf certificate, DER. The chain must have been verified before.
    pub fn from_verified_certificate(der: &[u8]) -> Result<Self, InvalidSvid> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| InvalidSvid::Undecodable)?;
        if certificate.is_ca() {
            return Err(InvalidSvid::Authority);
        }
        let usage = certificate.key_usage().map_err(|_| InvalidSvid::Undecodable)?;
        let may_only_sign_handshakes = usage.is_some_and(|usage| {
            let usage = usage.value;
            usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign()
        });
        if !may_only_sign_handshakes {
            return Err(InvalidSvid::KeyUsage);
        }
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| InvalidSvid::Undecodable)?;
        let names = names
            .map(|extension| extension.value.general_names.as_slice())
            .unwrap_or_default();
        let uris: Vec<&str> = names
            .iter()
            .filter_map(|name| {
                if let GeneralName::URI(uri) = name {
                    Some(*uri)
                } else {
                    None
                }
            })
            .collect();
        match uris.as_slice() {
            [uri] => Ok(uri.parse()?),
            several => Err(InvalidSvid::UriNames(several.len())),
        }
    }
}
