//! What changed between two revisions of a pack, as people read it: by file, in lines, with the lines around.
//!
//! **Invariant**: an answer is bounded, whatever the files are; what is left out of it is said.

use std::collections::BTreeSet;
use std::time::Duration;

use checkrein_shared::policy::PackSource;
use similar::{Algorithm, ChangeTag, TextDiff};
use tokio::task::spawn_blocking;

use super::{PackRevision, Policies, PolicyError, store};

/// Lines shown around what changed.
const CONTEXT_LINES: usize = 3;
/// An answer has at most this many lines, and bytes of them.
const LINES_MAX: usize = 10_000;
const BYTES_MAX: usize = 2 << 20;
/// A line is cut at this many characters.
const LINE_CHARS_MAX: usize = 2_000;
/// For one file the shortest way is looked for so long; after that, any way.
const FILE_TIME_MAX: Duration = Duration::from_millis(200);

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// None: there was nothing before.
    pub(super) from: Option<PackRevision>,
    pub(super) to: PackRevision,
    pub(super) files: Vec<FileDiff>,
    /// There is more than is shown.
    pub(super) is_cut: bool,
}

/// How a file differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileDiff {
    pub(super) path: String,
    pub(super) fate: Fate,
    pub(super) added: u32,
    pub(super) removed: u32,
    pub(super) hunks: Vec<Hunk>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Added,
    Removed,
    Changed,
}

/// A run of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    /// From 1, as it was.
    pub(super) from_line: u32,
    /// From 1, as it is.
    pub(super) to_line: u32,
    /// What became of each.
    pub(super) lines: Vec<(ChangeTag, String)>,
}

/// What an answer still has room for.
struct Room {
    lines: usize,
    bytes: usize,
    is_cut: bool,
}

impl Policies {
    /// What changed from one revision to another; 0 stands for the one before, and for the current one.
    pub(super) async fn diff(&self, pack: &str, from: u64, to: u64) -> Result<Change, PolicyError> {
        let tx = self.database.begin("policy.diff").await?;
        let (to, after) = store::find(&tx, pack, to)
            .await?
            .ok_or_else(|| PolicyError::missing(pack, to))?;
        let earlier = if from == 0 { to.revision - 1 } else { from };
        let before = match earlier {
            0 => None,
            earlier => Some(
                store::find(&tx, pack, earlier)
                    .await?
                    .ok_or_else(|| PolicyError::missing(pack, earlier))?,
            ),
        };
        tx.commit().await?;
        let (from, before) = before.unzip();
        let (files, is_cut) = spawn_blocking(move || compare(before.as_ref(), &after)).await?;
        Ok(Change {
            from,
            to,
            files,
            is_cut,
        })
    }
}

impl PolicyError {
    fn missing(pack: &str, revision: u64) -> Self {
        match revision {
            0 => Self::NoPack(pack.to_owned()),
            revision => Self::NoRevision {
                pack: pack.to_owned(),
                revision,
            },
        }
    }
}

/// The files that differ, by path, and whether there is more than is shown.
fn compare(before: Option<&PackSource>, after: &PackSource) -> (Vec<FileDiff>, bool) {
    let content = |source: Option<&PackSource>, path: &str| source.and_then(|of| of.files.get(path).cloned());
    let paths: BTreeSet<&String> = before
        .into_iter()
        .chain([after])
        .flat_map(|source| source.files.keys())
        .collect();
    let mut room = Room {
        lines: LINES_MAX,
        bytes: BYTES_MAX,
        is_cut: false,
    };
    let mut files = Vec::new();
    for path in paths {
        let (was, is) = (content(before, path), content(Some(after), path));
        let fate = match (&was, &is) {
            (None, _) => Fate::Added,
            (_, None) => Fate::Removed,
            (was, is) if was == is => continue,
            _ => Fate::Changed,
        };
        let texts = (
            String::from_utf8(was.unwrap_or_default()),
            String::from_utf8(is.unwrap_or_default()),
        );
        let mut file = FileDiff {
            path: path.clone(),
            fate,
            added: 0,
            removed: 0,
            hunks: Vec::new(),
        };
        if let (Ok(was), Ok(is)) = texts {
            file.read(&was, &is, &mut room);
        }
        files.push(file);
    }
    (files, room.is_cut)
}

impl FileDiff {
    fn read(&mut self, was: &str, is: &str, room: &mut Room) {
        let diff = TextDiff::configure()
            .algorithm(Algorithm::Patience)
            .timeout(FILE_TIME_MAX)
            .diff_lines(was, is);
        for change in diff.iter_all_changes() {
            match change.tag() {
                ChangeTag::Insert => self.added += 1,
                ChangeTag::Delete => self.removed += 1,
                ChangeTag::Equal => {}
            }
        }
        for run in diff.grouped_ops(CONTEXT_LINES) {
            let (Some(first), changes) = (run.first(), run.iter().flat_map(|op| diff.iter_changes(op)))
            else {
                continue;
            };
            let mut hunk = Hunk {
                from_line: from_one(first.old_range().start),
                to_line: from_one(first.new_range().start),
                lines: Vec::new(),
            };
            for change in changes {
                let Some(line) = room.take(change.value()) else {
                    break;
                };
                hunk.lines.push((change.tag(), line));
            }
            if hunk.lines.is_empty() {
                break;
            }
            self.hunks.push(hunk);
        }
    }
}

impl Room {
    /// The line as it is shown; none: there is no room left.
    fn take(&mut self, line: &str) -> Option<String> {
        let line = line.trim_end_matches(['\n', '\r']);
        let end = line
            .char_indices()
            .nth(LINE_CHARS_MAX)
            .map_or(line.len(), |(at, _)| at);
        self.is_cut |= end < line.len();
        if self.lines == 0 || self.bytes < end {
            self.is_cut = true;
            return None;
        }
        self.lines -= 1;
        self.bytes -= end;
        Some(line[..end].to_owned())
    }
}

fn from_one(line: usize) -> u32 {
    u32::try_from(line + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
