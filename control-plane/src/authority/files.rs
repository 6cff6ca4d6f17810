//! Key files: made once, readable by their owner only, whole or not there.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::AuthorityError;

/// Writes a file that only its owner may read, and refuses to replace one.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<(), AuthorityError> {
    let failed = |source| failed("write", path, source);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    match fs::read(path) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(AuthorityError::Incomplete(path.display().to_string()))
        }
        result => result.map_err(|source| failed("read", path, source)),
    }
}

pub(super) fn read_text(path: &Path) -> Result<String, AuthorityError> {
    String::from_utf8(read(path)?).map_err(|error| {
        failed(
            "read",
            path,
            std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error()),
        )
    })
}

pub(super) fn create_directory(path: &Path) -> Result<(), AuthorityError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| failed("create", path, source))
}

/// Whether nothing is there: no directory, or an empty one.
pub(super) fn is_empty(path: &Path) -> Result<bool, AuthorityError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(failed("read", path, source)),
    }
}

fn failed(what: &'static str, path: &Path, source: std::io::Error) -> AuthorityError {
    AuthorityError::File {
        what,
        path: path.display().to_string(),
        source,
    }
}
