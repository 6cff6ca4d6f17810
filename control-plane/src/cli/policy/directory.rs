//! A policy directory on disk: read within bounds, written without leaving it.
//!
//! **Invariant**: what is pushed lies in the directory that was named; a link could bring in anything, so there are none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use checkrein_shared::policy::{BundleError, ComposeError, ExplainError};
use thiserror::Error;

use crate::cli::identity::write_new;

/// A pack may have at most this many files.
pub(super) const FILES_MAX: usize = 512;
/// A pack's files may have at most this many bytes together.
pub(super) const BYTES_MAX: u64 = 4 << 20;
/// Folders may be nested this deep.
const DEPTH_MAX: usize = 8;
const FILE_MODE: u32 = 0o644;

/// Path to bytes; relative, with forward slashes.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A directory that is no pack, or can't become one.
#[derive(Debug, Error)]
pub enum PackError {
    /// Nothing there, or no directory.
    #[error(
        "`{0}` is not a directory; name the directory of a pack, or make one with `checkrein policy init`"
    )]
    NotADirectory(PathBuf),
    /// No name can be taken from the path.
    #[error("`{0}` gives the pack no name; say --name")]
    NoName(PathBuf),
    /// A symbolic link.
    #[error("`{0}` is a link; a pack has files of its own only, so put the file itself there")]
    Link(PathBuf),
    /// Neither file nor directory.
    #[error("`{0}` is neither a file nor a directory; take it out of the pack")]
    Special(PathBuf),
    /// A name that is not text.
    #[error("`{0}` has a name that is not UTF-8; rename it")]
    Name(PathBuf),
    /// Too many.
    #[error("`{0}` has more than {FILES_MAX} files; is this the directory of one pack? split it if so")]
    TooManyFiles(PathBuf),
    /// Too much.
    #[error(
        "the files in `{0}` have more than {BYTES_MAX} bytes; is this the directory of one pack? split it if so"
    )]
    TooLarge(PathBuf),
    /// Too deep.
    #[error("`{0}` is nested deeper than {DEPTH_MAX} folders; a pack is flat")]
    TooDeep(PathBuf),
    /// The disk said no.
    #[error("can't read `{path}`")]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk said no.
    #[error("can't write `{path}`")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something.
    #[error("`{0}` is not empty; name a directory that is new")]
    NotEmpty(PathBuf),
    /// Good by itself, and not composed: a fault of ours.
    #[error("the pack can't be composed")]
    Compose(#[from] ComposeError),
    /// Composed, and not readable: a fault of ours.
    #[error("the composed pack can't be read back")]
    Bundle(#[from] BundleError),
    /// A call that can't be.
    #[error("the call can't be explained")]
    Explain(#[from] ExplainError),
    /// A pack that would write elsewhere.
    #[error("the pack names the file `{0}`, which would lie outside its directory; nothing was written")]
    Outside(String),
}

struct Reader<'a> {
    root: &'a Path,
    files: Files,
    bytes_left: u64,
}

/// The pack's name: what was said, or else the directory's own.
pub(super) fn name(directory: &Path, said: Option<&str>) -> Result<String, PackError> {
    if let Some(said) = said {
        return Ok(said.to_owned());
    }
    let real = directory
        .canonicalize()
        .map_err(|_| PackError::NotADirectory(directory.to_owned()))?;
    let name = real.file_name().and_then(|name| name.to_str());
    name.map(ToOwned::to_owned)
        .ok_or_else(|| PackError::NoName(directory.to_owned()))
}

/// Reads every file but those whose name begins with a dot.
pub(super) fn read(directory: &Path) -> Result<Files, PackError> {
    if !directory.is_dir() {
        return Err(PackError::NotADirectory(directory.to_owned()));
    }
    let mut reader = Reader {
        root: directory,
        files: Files::new(),
        bytes_left: BYTES_MAX,
    };
    reader.folder(directory, "", 0)?;
    Ok(reader.files)
}

/// Writes files into a directory that is new or empty.
pub(super) fn write<'a>(
    directory: &Path,
    files: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<(), PackError> {
    let files: Vec<(&str, &[u8])> = files.collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| !stays_inside(path)) {
        return Err(PackError::Outside((*path).to_owned()));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PackError::Write { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    if fs::read_dir(directory)
        .map_err(failed(directory))?
        .next()
        .is_some()
    {
        return Err(PackError::NotEmpty(directory.to_owned()));
    }
    for (path, content) in files {
        let path = directory.join(path);
        let folder = path.parent().unwrap_or(directory);
        fs::create_dir_all(folder).map_err(failed(folder))?;
        write_new(&path, content, FILE_MODE, false).map_err(failed(&path))?;
    }
    Ok(())
}

/// Whether a path from elsewhere names a file below the directory it is joined to.
fn stays_inside(path: &str) -> bool {
    let path = Path::new(path);
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

impl Reader<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), PackError> {
        if depth > DEPTH_MAX {
            return Err(PackError::TooDeep(folder.to_owned()));
        }
        let failed = |source| PackError::Read {
            path: folder.to_owned(),
            source,
        };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| PackError::Name(path.clone()))?;
            if name.starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_symlink() {
                return Err(PackError::Link(path));
            } else if kind.is_dir() {
                self.folder(&path, &format!("{prefix}{name}/"), depth + 1)?;
            } else if kind.is_file() {
                self.file(&path, format!("{prefix}{name}"))?;
            } else {
                return Err(PackError::Special(path));
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: String) -> Result<(), PackError> {
        if self.files.len() == FILES_MAX {
            return Err(PackError::TooManyFiles(self.root.to_owned()));
        }
        let mut content = Vec::new();
        let read = File::open(path).and_then(|file| file.take(self.bytes_left + 1).read_to_end(&mut content));
        let length = read.map_err(|source| PackError::Read {
            path: path.to_owned(),
            source,
        })? as u64;
        self.bytes_left = self
            .bytes_left
            .checked_sub(length)
            .ok_or_else(|| PackError::TooLarge(self.root.to_owned()))?;
        self.files.insert(name, content);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
