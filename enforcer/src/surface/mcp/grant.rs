//! The grant that calls are presented with: from a file that may change, or as it was given at the start.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// The grant itself, where no file is named.
const VARIABLE: &str = "CHECKREIN_GRANT";
/// A file of a grant may have at most this many bytes: as much as the longest chain that is believed.
const GRANT_BYTES_MAX: u64 = 256 << 10;

/// Where the grant comes from.
#[derive(Clone, Default)]
pub enum GrantSource {
    /// Nowhere: every call is denied.
    #[default]
    Nowhere,
    /// It was given.
    Given(String),
    /// From this file, read for each call: what is written there counts from then on.
    File(PathBuf),
}

/// A grant to present; why there is none.
pub(super) struct Presented {
    pub(super) grant: String,
    pub(super) note: Option<String>,
}

/// No grant.
#[derive(Debug, Error)]
pub enum NoGrant {
    /// None was given.
    #[error("no grant was given; name a file with `--grant`, or set `{VARIABLE}`")]
    Nowhere,
    /// It can't be read.
    #[error("can't read the grant in `{}`", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl GrantSource {
    /// The file, if one is named; else what the variable holds.
    pub fn of(file: Option<PathBuf>) -> Self {
        match (file, std::env::var(VARIABLE)) {
            (Some(file), _) => Self::File(file),
            (None, Ok(grant)) => Self::Given(grant),
            (None, Err(_)) => Self::Nowhere,
        }
    }

    /// The grant as it is now.
    pub async fn read(&self) -> Result<String, NoGrant> {
        match self {
            Self::Nowhere => Err(NoGrant::Nowhere),
            Self::Given(grant) => Ok(grant.trim().to_owned()),
            Self::File(path) => read(path).await.map_err(|source| NoGrant::Unreadable {
                path: path.clone(),
                source,
            }),
        }
    }

    /// What to present now. Without a grant a call is presented all the same: that it was denied is in the record.
    pub(super) async fn now(&self) -> Presented {
        let (grant, note) = match self.read().await {
            Ok(grant) => (grant, None),
            Err(NoGrant::Unreadable { path, source }) => {
                let note = format!("can't read the grant in `{}`: {source}", path.display());
                (String::new(), Some(note))
            }
            Err(none) => (String::new(), Some(none.to_string())),
        };
        Presented { grant, note }
    }
}

impl std::fmt::Debug for GrantSource {
    /// Without the grant, which is a bearer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nowhere => f.write_str("Nowhere"),
            Self::Given(_) => f.write_str("Given(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

async fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path).await?;
    let read = file.take(GRANT_BYTES_MAX + 1).read_to_string(&mut text).await?;
    if read as u64 > GRANT_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it is longer than {GRANT_BYTES_MAX} bytes"
        )));
    }
    Ok(text.trim().to_owned())
}
