//! A directory in the making: the files of an identity, written beside where they will lie and put there in one step.
//!
//! The key comes first and outlives a crash, because the answer to a request may be lost and only the key that asked is
//! answered again. The draft is found again by what it is for, so the same command goes on where the last one stopped.
//!
//! **Invariant**: at the destination there is nothing or everything, also after power loss; nothing that exists is overwritten;
//! a key is whole or not there; two processes never write one draft.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::action::Sha256;

/// The private key, in the directory.
const KEY_FILE: &str = "key.pem";
const MODE_DIRECTORY: u32 = 0o700;
const MODE_PRIVATE: u32 = 0o600;
const MODE_PUBLIC: u32 = 0o644;
/// So many bytes of what it is for are in its name: nobody else can guess where to lay something ready.
const NAME_BYTES: usize = 8;

/// A directory that is being written; dropping it leaves it for the next try.
#[derive(Debug)]
pub struct Draft {
    destination: PathBuf,
    parent: PathBuf,
    path: PathBuf,
    _lock: File,
}

/// A directory that could not be written.
#[derive(Debug, Error)]
pub enum DraftError {
    /// Something is there already.
    #[error("`{}` exists already and is not empty; choose another directory with --directory", .0.display())]
    Exists(PathBuf),
    /// It can't be put anywhere.
    #[error("`{}` has no name of its own; name a directory that is to be made with --directory", .0.display())]
    Nameless(PathBuf),
    /// Another process is at it.
    #[error("another process is writing `{}`; wait for its end", .0.display())]
    Busy(PathBuf),
    /// The disk said no.
    #[error("can't use `{}`", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Draft {
    /// Says no, before anything is made or asked for, if something is at the destination. An empty directory is nothing.
    pub fn check_vacant(destination: &Path) -> Result<(), DraftError> {
        match destination.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(failed(destination)(source)),
            Ok(found) if found.is_dir() && is_empty(destination)? => Ok(()),
            Ok(_) => Err(DraftError::Exists(destination.to_owned())),
        }
    }

    /// Begins one, or goes on with the one that was begun for the same purpose.
    pub fn open(destination: &Path, purpose: &Sha256) -> Result<Self, DraftError> {
        Self::check_vacant(destination)?;
        let nameless = || DraftError::Nameless(destination.to_owned());
        let name = destination.file_name().ok_or_else(nameless)?;
        let parent = match destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut draft = OsString::from(".");
        draft.push(name);
        draft.push(".joining-");
        for byte in &purpose.0[..NAME_BYTES] {
            draft.push(format!("{byte:02x}"));
        }
        let path = parent.join(draft);
        fs::create_dir_all(&parent).map_err(failed(&parent))?;
        match DirBuilder::new().mode(MODE_DIRECTORY).create(&path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(&path)(source));
            }
            _ => {}
        }
        sync(&parent)?;
        let lock = lock(&path)?;
        Ok(Self {
            destination: destination.to_owned(),
            parent,
            path,
            _lock: lock,
        })
    }

    /// The private key of the draft, PEM: the one of an earlier try, or else this one, which is then on stable storage.
    pub fn keep_key(&self, fresh: &str) -> Result<String, DraftError> {
        let path = self.path.join(KEY_FILE);
        match fs::read_to_string(&path) {
            Ok(kept) => return Ok(kept),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed(&path)(source)),
        }
        let beside = self.path.join(format!(".{KEY_FILE}.new"));
        write(&beside, fresh, MODE_PRIVATE)?;
        fs::rename(&beside, &path).map_err(failed(&path))?;
        sync(&self.path)?;
        Ok(fresh.to_owned())
    }

    /// Adds these files to the key, and puts the whole where it belongs.
    pub fn publish(self, files: &[(&str, &str)]) -> Result<(), DraftError> {
        for (name, text) in files {
            write(&self.path.join(name), text, MODE_PUBLIC)?;
        }
        sync(&self.path)?;
        fs::rename(&self.path, &self.destination).map_err(|source| match source.kind() {
            // Somebody was faster.
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                DraftError::Exists(self.destination.clone())
            }
            _ => failed(&self.destination)(source),
        })?;
        sync(&self.parent)
    }

    /// Leaves nothing: what it was for will not come.
    pub fn discard(self) -> Result<(), DraftError> {
        fs::remove_dir_all(&self.path).map_err(failed(&self.path))?;
        sync(&self.parent)
    }
}

fn is_empty(directory: &Path) -> Result<bool, DraftError> {
    let mut entries = fs::read_dir(directory).map_err(failed(directory))?;
    Ok(entries.next().is_none())
}

/// The directory itself is locked: a file would travel with it.
fn lock(path: &Path) -> Result<File, DraftError> {
    let directory = File::open(path).map_err(failed(path))?;
    match directory.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(DraftError::Busy(path.to_owned())),
        Err(TryLockError::Error(source)) => return Err(failed(path)(source)),
    }
    // Whoever had the lock may have put the directory in its place, and what is here now be another.
    let (locked, here) = (
        directory.metadata().map_err(failed(path))?,
        path.symlink_metadata().map_err(failed(path))?,
    );
    if !here.is_dir() || (locked.dev(), locked.ino()) != (here.dev(), here.ino()) {
        return Err(DraftError::Busy(path.to_owned()));
    }
    Ok(directory)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), DraftError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(path).map_err(failed(path))?;
    file.write_all(text.as_bytes()).map_err(failed(path))?;
    file.sync_all().map_err(failed(path))
}

/// Makes the names in a directory durable.
fn sync(directory: &Path) -> Result<(), DraftError> {
    let opened = File::open(directory).map_err(failed(directory))?;
    opened.sync_all().map_err(failed(directory))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> DraftError + use<> {
    let path = path.to_owned();
    move |source| DraftError::Io { path, source }
}

#[cfg(test)]
mod tests;
