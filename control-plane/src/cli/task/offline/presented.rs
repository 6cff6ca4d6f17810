//! What an agent was given, from a file or from standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use checkrein_shared::grant::{CHAIN_BYTES_MAX, InvalidGrant, OwnGrant};

use super::GrantError;

/// Stands between the tokens of a grant that was passed on.
const SEPARATOR: char = '~';

/// Where a grant is: a file, or `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Standard input.
    Input,
    /// This file.
    File(String),
}

impl Place {
    /// Reads the grant, without the keys to verify it.
    pub(super) fn read(&self) -> Result<OwnGrant, GrantError> {
        let bytes = match self {
            Self::Input => bounded(io::stdin(), &self.shown(), "grant", CHAIN_BYTES_MAX)?,
            Self::File(path) => read_bounded(Path::new(path), "grant", CHAIN_BYTES_MAX)?,
        };
        let text = String::from_utf8_lossy(&bytes);
        OwnGrant::read(text.trim()).map_err(|source| self.unreadable(text.trim(), source))
    }

    fn shown(&self) -> String {
        match self {
            Self::Input => "standard input".to_owned(),
            Self::File(path) => format!("`{path}`"),
        }
    }

    /// Says which of the tokens it is that can't be read.
    fn unreadable(&self, text: &str, source: InvalidGrant) -> GrantError {
        let ends = text.match_indices(SEPARATOR).map(|(end, _)| end);
        let at = ends
            .take_while(|end| OwnGrant::read(&text[..*end]).is_ok())
            .count()
            + 1;
        GrantError::Unreadable {
            place: self.shown(),
            at,
            count: text.split(SEPARATOR).count(),
            source,
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "" => Err("expected a file, or `-` for standard input".to_owned()),
            "-" => Ok(Self::Input),
            path => Ok(Self::File(path.to_owned())),
        }
    }
}

/// All of a file, if it is not longer than what it should hold can be.
pub(super) fn read_bounded(path: &Path, what: &'static str, bytes_max: usize) -> Result<Vec<u8>, GrantError> {
    let place = format!("`{}`", path.display());
    let file = File::open(path).map_err(|source| GrantError::Read {
        place: place.clone(),
        source,
    })?;
    bounded(file, &place, what, bytes_max)
}

fn bounded(
    from: impl Read,
    place: &str,
    what: &'static str,
    bytes_max: usize,
) -> Result<Vec<u8>, GrantError> {
    let mut bytes = Vec::new();
    // Two bytes for the end of the line, and one to see that there is more.
    let read_max = u64::try_from(bytes_max + 3).unwrap_or(u64::MAX);
    from.take(read_max)
        .read_to_end(&mut bytes)
        .map_err(|source| GrantError::Read {
            place: place.to_owned(),
            source,
        })?;
    if bytes.len() > bytes_max + 2 {
        return Err(GrantError::TooLong {
            place: place.to_owned(),
            what,
            bytes_max,
        });
    }
    Ok(bytes)
}
