//! What a stored certificate says: whose key is in it, and until when it is good.

use checkrein_shared::action::Sha256;
use x509_parser::pem::{Pem, parse_x509_pem};

use super::AuthorityError;

/// What is asked of a certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// SHA-256 of its DER.
    pub(super) sha256: Sha256,
    /// The public key it certifies, as in its bit string.
    pub(super) public_key: Vec<u8>,
    /// It ends here.
    pub(super) not_after_ms: u64,
}

impl Certificate {
    /// Reads the first certificate of a PEM text; `path` is for the error.
    pub(super) fn parse(pem: &str, path: &str) -> Result<Self, AuthorityError> {
        let unreadable = || AuthorityError::Unreadable(path.to_owned());
        let (_, pem): (_, Pem) = parse_x509_pem(pem.as_bytes()).map_err(|_| unreadable())?;
        let certificate = pem.parse_x509().map_err(|_| unreadable())?;
        let not_after_s = certificate.validity().not_after.timestamp();
        Ok(Self {
            sha256: Sha256::of(&pem.contents),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
            not_after_ms: u64::try_from(not_after_s)
                .unwrap_or_default()
                .saturating_mul(1_000),
        })
    }
}
