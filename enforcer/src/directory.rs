//! The directory an enforcer runs from: locked, named once, and counted at every opening.
//!
//! **Invariant**: two processes never share a directory, and an incarnation number is on stable storage before the first
//! record that carries it. So (instance, incarnation, sequence) names one record for ever. Which of its openings this machine has
//! been up for since is known, or taken for none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use checkrein_shared::Clock;
use checkrein_shared::id::InstanceId;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use thiserror::Error;

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
/// Another after each start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// An open directory; dropping it unlocks it.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    instance: InstanceId,
    incarnation: u64,
    up_since: u64,
    _lock: File,
}

/// What the identity file says of the openings so far.
struct Openings {
    instance: InstanceId,
    last: u64,
    /// The start of the machine that the last of them saw, and the first that saw it. None: nobody wrote it down.
    boot: Option<(String, u64)>,
}

/// A directory that can't be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// Another process has it.
    #[error("`{}` is in use by another enforcer; stop it, or give this one a directory of its own", .0.display())]
    Locked(PathBuf),
    /// Its identity is damaged.
    #[error("`{}` can't be read; move the directory aside to start as a new instance", .0.display())]
    Identity(PathBuf),
    /// The file system says no.
    #[error("can't use `{}`", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Directory {
    /// Locks the directory, made if it is not there, and begins a new incarnation.
    pub(crate) fn open(path: &Path, clock: &dyn Clock) -> Result<Self, DirectoryError> {
        let failed = |source| DirectoryError::Io {
            path: path.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        let lock = lock(path)?;
        let before = match fs::read_to_string(path.join(IDENTITY)) {
            Ok(text) => parse_identity(&text).ok_or_else(|| DirectoryError::Identity(path.join(IDENTITY)))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Openings {
                instance: InstanceId::new(clock),
                last: 0,
                boot: None,
            },
            Err(error) => return Err(failed(error)),
        };
        let (instance, incarnation) = (before.instance, before.last + 1);
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let boot = boot.trim();
        let up_since = match before.boot {
            Some((seen, since)) if !boot.is_empty() && seen == boot => since,
            _ => incarnation,
        };
        let identity = format!("{instance} {incarnation} {boot} {up_since}\n");
        write_durably(path, IDENTITY, identity.as_bytes()).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            instance,
            incarnation,
            up_since,
            _lock: lock,
        })
    }

    /// Since this opening the machine has not gone down: whatever that opening and later ones wrote is there, synced or not.
    pub(crate) const fn up_since(&self) -> u64 {
        self.up_since
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Which directory this is, for ever.
    pub(crate) const fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Which opening this is; the first is 1.
    pub(crate) const fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

/// Replaces a file so that a reader, also after power loss, sees the old bytes or the new ones, and nothing between.
pub(crate) fn write_durably(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = directory.join(format!(".{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, directory.join(name))?;
    sync_directory(directory)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn lock(path: &Path) -> Result<File, DirectoryError> {
    let failed = |source| DirectoryError::Io {
        path: path.join(LOCK),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join(LOCK));
    let file = file.map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(DirectoryError::Locked(path.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

fn parse_identity(text: &str) -> Option<Openings> {
    let mut words = text.trim_end().split(' ');
    let (instance, last) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let boot = match (words.next(), words.next(), words.next()) {
        // A machine without such an id.
        (None, ..) | (Some(""), Some(_), None) => None,
        (Some(boot), Some(since), None) => Some((boot.to_owned(), since.parse().ok()?)),
        _ => return None,
    };
    Some(Openings { instance, last, boot })
}

#[cfg(test)]
mod tests;
