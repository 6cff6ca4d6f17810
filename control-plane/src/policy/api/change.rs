//! Changes of packs, and their rules' use, on the wire.

use checkrein_proto::policy::v1 as wire;
use similar::ChangeTag;
use tonic::Status;

use super::super::diff::{Change, Fate, FileDiff, Hunk};
use super::super::usage::Usage;
use super::super::{PackRevision, PolicyError};
use crate::api::too_much;

/// Counting may take only so long.
pub(super) fn usage_refused(error: PolicyError) -> Status {
    match error {
        PolicyError::Database(error) => too_much(&error, "ask for a shorter time"),
        error => error.into(),
    }
}

impl From<&Change> for wire::DiffResponse {
    fn from(change: &Change) -> Self {
        Self {
            from: change.from.as_ref().map(pushed),
            to: Some(pushed(&change.to)),
            files: change.files.iter().map(file).collect(),
            is_cut: change.is_cut,
        }
    }
}

fn pushed(revision: &PackRevision) -> wire::RevisionPushed {
    wire::RevisionPushed {
        revision: revision.revision,
        generation: revision.generation.0,
        pushed_by: revision.pushed_by.to_string(),
        pushed_unix_ms: revision.pushed_ms,
        note: revision.note.clone(),
    }
}

fn file(file: &FileDiff) -> wire::FileDiff {
    let change = match file.fate {
        Fate::Added => wire::FileChange::Added,
        Fate::Removed => wire::FileChange::Removed,
        Fate::Changed => wire::FileChange::Changed,
    };
    wire::FileDiff {
        path: file.path.clone(),
        change: change.into(),
        added: file.added,
        removed: file.removed,
        hunks: file.hunks.iter().map(hunk).collect(),
    }
}

fn hunk(hunk: &Hunk) -> wire::Hunk {
    let line = |(tag, text): &(ChangeTag, String)| {
        let change = match tag {
            ChangeTag::Equal => wire::LineChange::Same,
            ChangeTag::Insert => wire::LineChange::Added,
            ChangeTag::Delete => wire::LineChange::Removed,
        };
        wire::DiffLine {
            change: change.into(),
            text: text.clone(),
        }
    };
    wire::Hunk {
        from_line: hunk.from_line,
        to_line: hunk.to_line,
        lines: hunk.lines.iter().map(line).collect(),
    }
}

impl From<&Usage> for wire::UsageResponse {
    fn from(usage: &Usage) -> Self {
        let rules = usage.rules.iter().map(|(used, origin)| wire::RuleUse {
            rule: used.rule.clone(),
            permits: used.permits,
            holds: used.holds,
            denies: used.denies,
            last_hour_unix_ms: used.last_hour_ms,
            file: origin
                .as_ref()
                .map(|origin| origin.file.clone())
                .unwrap_or_default(),
            line: origin.as_ref().map(|origin| origin.line).unwrap_or_default(),
        });
        Self {
            rules: rules.collect(),
            since_unix_ms: usage.since_ms,
            until_unix_ms: usage.until_ms,
            counted_since_unix_ms: usage.counted_since_ms.unwrap_or_default(),
        }
    }
}
