//! Keys, certificates and the directories they are kept in.
//!
//! **Invariant**: a private key is made on this machine, never sent, and lies in a file only its owner reads. Nothing that
//! exists is overwritten unless that was asked for.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rcgen::{CertificateParams, DnType, KeyPair};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A certificate, in its directory.
pub const CERTIFICATE_FILE: &str = "certificate.pem";
/// Its private key.
pub const KEY_FILE: &str = "key.pem";
/// The CA that certifies the others.
pub const CA_FILE: &str = "ca.pem";
/// The config of a person, an orchestrator or an agent.
pub const CLIENT_FILE: &str = "client.toml";

const MODE_PRIVATE: u32 = 0o600;
/// Of what may be read by anybody.
pub const MODE_PUBLIC: u32 = 0o644;

/// A fresh private key and the request to certify it.
pub struct KeyRequest {
    /// PKCS#8, PEM. Stays on this machine.
    pub key: String,
    /// PKCS#10, PEM. Names nobody for certain: the control plane decides the identity.
    pub request: String,
}

/// What an identity proves itself with, all PEM.
pub struct Credentials {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// The CA that certifies the control plane.
    pub ca: String,
}

/// The root's public key, which enforcers pin: 64 hexadecimal digits in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RootKey(pub [u8; 32]);

/// A text that is no root key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a root key has 64 hexadecimal digits")]
pub struct InvalidRootKey;

/// Keys or files that could not be made.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// No key, or no request for it.
    #[error("can't make a key pair and a certificate request")]
    Generate(#[from] rcgen::Error),
    /// Something is there already.
    #[error("`{0}` exists already; choose another directory with --out, or replace it with --force")]
    Exists(PathBuf),
    /// The disk said no.
    #[error("can't write `{path}`")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key that can't be read.
    #[error("can't read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The control plane's root key isn't the one this config pins.
    #[error(
        "the control plane gave another root key than your client config pins; nothing was written: \
         find out whether the root was replaced before you trust it"
    )]
    OtherRoot,
    /// The name is another's.
    #[error(
        "enforcer `{0}` is registered with other labels or agents: give the same ones to have a new key for it, or choose \
         another name; `checkrein fleet show {0}` lists them"
    )]
    OtherEnforcer(String),
    /// Not a root key at all.
    #[error("the control plane gave a root key of {0} bytes; are both of the same version?")]
    RootLength(usize),
}

impl fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRequest")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for RootKey {
    type Err = InvalidRootKey;

    fn from_str(text: &str) -> Result<Self, InvalidRootKey> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidRootKey);
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| InvalidRootKey)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for RootKey {
    type Error = InvalidRootKey;

    fn try_from(text: String) -> Result<Self, InvalidRootKey> {
        text.parse()
    }
}

impl From<RootKey> for String {
    fn from(key: RootKey) -> Self {
        key.to_string()
    }
}

/// Makes an ECDSA P-256 key and a request to certify it under this name.
pub fn generate_request(name: &str) -> Result<KeyRequest, IdentityError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let request = params.serialize_request(&key)?.pem()?;
    Ok(KeyRequest {
        key: key.serialize_pem(),
        request,
    })
}

/// A request to certify the key in a file once more.
pub fn request_for(key: &Path) -> Result<String, IdentityError> {
    let text = fs::read_to_string(key).map_err(|source| IdentityError::Read {
        path: key.to_owned(),
        source,
    })?;
    Ok(CertificateParams::default()
        .serialize_request(&KeyPair::from_pem(&text)?)?
        .pem()?)
}

/// Writes credentials and the config that names them into a directory, made if need be.
pub fn write_identity(
    directory: &Path,
    credentials: &Credentials,
    (config_file, config): (&str, &str),
    overwrite: bool,
) -> Result<(), IdentityError> {
    refuse_existing(directory, config_file, overwrite)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| IdentityError::Write { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    let files = [
        (KEY_FILE, credentials.key.as_str(), MODE_PRIVATE),
        (CERTIFICATE_FILE, &credentials.certificate, MODE_PUBLIC),
        (CA_FILE, &credentials.ca, MODE_PUBLIC),
        (config_file, config, MODE_PUBLIC),
    ];
    for (name, text, mode) in files {
        let path = directory.join(name);
        write_new(&path, text.as_bytes(), mode, overwrite).map_err(failed(&path))?;
    }
    Ok(())
}

/// Says no, before anything is made or asked for, if an identity would overwrite one.
pub fn refuse_existing(directory: &Path, config_file: &str, overwrite: bool) -> Result<(), IdentityError> {
    let files = [KEY_FILE, CERTIFICATE_FILE, CA_FILE, config_file];
    let existing = files
        .iter()
        .map(|name| directory.join(name))
        .find(|path| path.symlink_metadata().is_ok());
    match existing {
        Some(path) if !overwrite => Err(IdentityError::Exists(path)),
        _ => Ok(()),
    }
}

/// Writes a file that was not there, so that it has this mode from its first byte.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32, overwrite: bool) -> io::Result<()> {
    if overwrite {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
