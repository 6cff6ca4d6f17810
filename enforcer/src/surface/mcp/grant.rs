//! The grant that calls are presented with: from a file that may change, or as it was given at the start.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncReadExt;

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

impl GrantSource {
    /// What to present now.
    pub(super) async fn now(&self) -> Presented {
        let none = |note: String| Presented {
            grant: String::new(),
            note: Some(note),
        };
        match self {
            Self::Nowhere => {
                none("no grant was given; name a file with `--grant`, or set `CHECKREIN_GRANT`".to_owned())
            }
            Self::Given(grant) => Presented {
                grant: grant.trim().to_owned(),
                note: None,
            },
            Self::File(path) => match read(path).await {
                Ok(grant) => Presented { grant, note: None },
                Err(error) => none(format!("can't read the grant in `{}`: {error}", path.display())),
            },
        }
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
