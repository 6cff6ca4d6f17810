//! What a catalog calls a server.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Between the name of a server and what is its own, where clients see several servers as one.
pub(super) const BETWEEN: &str = "__";
/// It may have at most this many bytes.
const NAME_BYTES_MAX: usize = 64;

/// The name of a catalog: the tool `read` of the server `files` is `files/read` there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(String);

/// No catalog has such a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected at most {NAME_BYTES_MAX} letters, digits, `_` and `-`")]
pub struct InvalidServerName;

impl ServerName {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can be told from what follows it behind two underscores.
    pub(crate) fn is_apart(&self) -> bool {
        !self.0.contains(BETWEEN) && !self.0.ends_with('_')
    }
}

impl FromStr for ServerName {
    type Err = InvalidServerName;

    fn from_str(name: &str) -> Result<Self, InvalidServerName> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_part);
        is_name.then(|| Self(name.to_owned())).ok_or(InvalidServerName)
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
