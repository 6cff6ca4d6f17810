//! The token that brings a new identity in: what it needs to trust the control plane, and the secret that makes it welcome.
//!
//! Typed once on a machine that has nothing yet, so it is one word. Its first letters name the version; a digest at the end
//! tells a word that was cut or mistyped from one that is unknown. The digest is no signature: whoever can change a token
//! could also hand over another.
//!
//! **Invariant**: a [`JoinToken`] that was read is whole; its secret is shown by nothing but its text, and no error repeats it.

use std::convert::Infallible;
use std::fmt;
use std::io::Read;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{InvalidSvid, SpiffeId, Svid};
use crate::action::Sha256;

/// What every token of this version begins with.
const PREFIX: &str = "checkrein-join-1.";
/// What tokens of every version begin with.
const FAMILY: &str = "checkrein-join-";
/// A token has at most this many bytes: a CA of several certificates and many addresses, with room to spare.
const TOKEN_BYTES_MAX: usize = 32 << 10;
/// How much of the digest is kept.
const DIGEST_BYTES: usize = 8;
/// At most this many addresses are named.
const ADDRESSES_MAX: usize = 16;

/// What a newcomer is handed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinToken {
    /// Who the newcomer will be.
    pub id: SpiffeId,
    /// `https://host:port` of each replica.
    pub control_plane: Vec<String>,
    /// The CA that certifies the control plane, PEM.
    pub ca: String,
    /// The root public key to pin.
    pub root_key: [u8; 32],
    /// What makes the newcomer welcome, once.
    pub secret: [u8; 32],
}

/// What was typed where a token belongs: the token, or `-` for standard input, where neither the list of processes nor the
/// history of a shell shows it. It is read later than other words, so that nobody repeats it in an error.
#[derive(Clone)]
pub struct JoinWord(String);

/// A text that is no join token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidJoinToken {
    /// Another kind of text.
    #[error(
        "this is not a join token: expected what `checkrein fleet enrol` printed, beginning with `{PREFIX}`"
    )]
    Foreign,
    /// From another version.
    #[error("the join token is of another version: use a program of the version that printed it")]
    Version,
    /// Cut or changed on the way.
    #[error("the join token is damaged: copy it whole, or ask for a new one")]
    Damaged,
    /// It does not come.
    #[error("can't read the join token from standard input")]
    Unreadable,
}

/// A certificate that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WrongCertificate {
    /// It can't be read, or names nobody.
    #[error(transparent)]
    Svid(#[from] InvalidSvid),
    /// It is somebody else's.
    #[error("the certificate is of `{found}`, and the token is for `{wanted}`")]
    Name {
        /// Whose it is.
        found: SpiffeId,
        /// Whose it should be.
        wanted: SpiffeId,
    },
    /// It is for another key.
    #[error("the certificate is not for the key that was made here")]
    Key,
}

impl JoinToken {
    /// Whether a certificate, PEM, is for this identity and this public key, as in its bit string.
    pub fn check_certificate(&self, pem: &str, public_key: &[u8]) -> Result<(), WrongCertificate> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| InvalidSvid::Undecodable)?;
        let found = Svid::read(&der)?.id;
        if found != self.id {
            let wanted = self.id.clone();
            return Err(WrongCertificate::Name { found, wanted });
        }
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| InvalidSvid::Undecodable)?;
        if certificate.public_key().subject_public_key.data != public_key {
            return Err(WrongCertificate::Key);
        }
        Ok(())
    }
}

impl JoinWord {
    /// The token, from `input` if the word says so.
    pub fn read(&self, input: impl Read) -> Result<JoinToken, InvalidJoinToken> {
        if self.0 != "-" {
            return self.0.parse();
        }
        let mut text = String::new();
        // One line end more than a token may have, so that a longer one is seen to be.
        let bytes_max = u64::try_from(TOKEN_BYTES_MAX + 2).unwrap_or(u64::MAX);
        input
            .take(bytes_max)
            .read_to_string(&mut text)
            .map_err(|_| InvalidJoinToken::Unreadable)?;
        text.trim().parse()
    }
}

impl FromStr for JoinWord {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(Self(word.to_owned()))
    }
}

impl fmt::Debug for JoinWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinWord")
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        let digest = Sha256::of(&bytes);
        bytes.extend_from_slice(&digest.0[..DIGEST_BYTES]);
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({})", self.id)
    }
}

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, InvalidJoinToken> {
        let encoded = text.strip_prefix(PREFIX).ok_or_else(|| {
            if text.starts_with(FAMILY) {
                InvalidJoinToken::Version
            } else {
                InvalidJoinToken::Foreign
            }
        })?;
        let damaged = || InvalidJoinToken::Damaged;
        if text.len() > TOKEN_BYTES_MAX {
            return Err(damaged());
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| damaged())?;
        let (body, digest) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or_else(damaged)?;
        if Sha256::of(body).0[..DIGEST_BYTES] != digest[..] {
            return Err(damaged());
        }
        let token: Self = serde_json::from_slice(body).map_err(|_| damaged())?;
        let is_https = |url: &String| url.starts_with("https://");
        let addresses = &token.control_plane;
        if !(1..=ADDRESSES_MAX).contains(&addresses.len()) || !addresses.iter().all(is_https) {
            return Err(damaged());
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests;
