//! Bytes that are never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A secret's file may have so many bytes.
const FILE_BYTES_MAX: usize = 4 << 10;

/// A key, a password, or a URL that lets whoever knows it post.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(Vec<u8>);

/// A file that holds no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// It can't be read.
    #[error("can't read `{}`: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It is not one line of text.
    #[error("`{}` must be one line of text, of at most {FILE_BYTES_MAX} bytes", .0.display())]
    NotALine(PathBuf),
}

impl Secret {
    /// These bytes.
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// What it is, for whoever uses it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The one line of a file.
pub(super) fn read_line(path: &Path) -> Result<String, SecretError> {
    let text = std::fs::read_to_string(path).map_err(|cause| SecretError::Unreadable {
        path: path.to_owned(),
        cause,
    })?;
    let line = text.trim();
    if line.is_empty() || line.len() > FILE_BYTES_MAX || line.chars().any(char::is_control) {
        return Err(SecretError::NotALine(path.to_owned()));
    }
    Ok(line.to_owned())
}
