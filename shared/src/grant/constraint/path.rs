//! An absolute path at or under a root, for a consumer on a POSIX file system.
//!
//! Nothing is resolved: `..`, `.` and `//` are refused, since a file system with links and this file would resolve them
//! differently; so is every character that some consumer expands, decodes or takes for a separator (`%`, `~`, `$`, `\`, globs,
//! look-alikes). What remains has one reading.
//!
//! Where a link leads can't be said of a text. Whoever opens the path must open it beneath the root without following links
//! that leave it (`openat2` with `RESOLVE_BENEATH`), and must not fold case.
//!
//! **Invariant**: an admitted path is the root, or the root, a `/`, and names.

use serde_json::{Value, json};

use super::member::{Members, text, wrong};
use super::{InvalidConstraint, Refused, met};

/// What expands, decodes, quotes or separates somewhere.
const SPECIAL: &str = "\\%$~`*?[]{}|<>;&\"'!#:";

/// A directory, and all that is under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(String);

impl Root {
    pub(super) fn read(members: &mut Members<'_>) -> Result<Self, InvalidConstraint> {
        let root = text("root", members.take("root")?)?;
        check(root).map_err(|Refused(why)| wrong("root", why))?;
        if root.len() > 1 && root.ends_with('/') {
            return Err(wrong("root", "it must not end in `/`"));
        }
        Ok(Self(root.to_owned()))
    }

    pub(super) fn write(&self) -> Value {
        json!({"constraint_type": "path", "root": self.0})
    }

    pub(super) fn admits(&self, path: &str) -> Result<(), Refused> {
        check(path)?;
        met(self.holds(path), "the path is not under the root that is allowed")
    }

    pub(super) fn narrows(&self, parent: &Self) -> bool {
        parent.holds(&self.0)
    }

    /// Whether this is the root or something under it.
    fn holds(&self, path: &str) -> bool {
        let root = self.0.trim_end_matches('/');
        let rest = path.strip_prefix(root);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Whether there is one way to read the path.
pub(super) fn check(path: &str) -> Result<(), Refused> {
    met(path.starts_with('/'), "the path is not absolute")?;
    let is_plain = |c: char| {
        if c.is_ascii() {
            !c.is_ascii_control() && !SPECIAL.contains(c)
        } else {
            // Letters only: every other script's dots, slashes, blanks and joiners are not.
            c.is_alphabetic()
        }
    };
    met(
        path.chars().all(is_plain),
        "the path has a character that not every consumer takes for a part of a name",
    )?;
    let names = path.strip_suffix('/').unwrap_or(path);
    let mut names = names.split('/').skip(1);
    let is_name = |name: &str| {
        !(name.is_empty()
            || name.starts_with("..")
            || name == "."
            || name.starts_with(' ')
            || name.ends_with([' ', '.']))
    };
    met(
        names.all(is_name),
        "the path has a part that is empty, dots, or edged with blanks",
    )
}
