//! What changed from one version of a pack to another.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use checkrein_proto::policy::v1::{
    DiffLine, DiffRequest, FileChange, FileDiff, Hunk, LineChange, RevisionPushed,
};
use serde::Deserialize;

use super::super::page::{Frame, Place, Trouble, ok};
use super::super::parts::Moment;
use super::super::visit::Visit;
use crate::words::visible;

#[derive(Template)]
#[template(path = "diff.html")]
struct DiffPage {
    frame: Frame,
    pack: String,
    from: Option<Pushed>,
    to: Pushed,
    files: Vec<File>,
    is_cut: bool,
}

/// Who pushed a version, when and why.
struct Pushed {
    revision: u64,
    by: String,
    at: Moment,
    note: String,
}

struct File {
    path: String,
    word: &'static str,
    added: u32,
    removed: u32,
    hunks: Vec<Run>,
}

struct Run {
    from_line: u32,
    to_line: u32,
    lines: Vec<Line>,
}

/// A line, with what became of it in a class, in a sign, and in a word for whoever hears the page.
struct Line {
    class: &'static str,
    sign: &'static str,
    word: &'static str,
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Asked {
    from: u64,
    to: u64,
}

/// `GET /policies/{pack}/diff`
pub(in crate::console) async fn page(
    visit: Visit,
    Path(pack): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let request = DiffRequest {
        pack: pack.clone(),
        from_revision: asked.from,
        to_revision: asked.to,
    };
    let change = visit.entrance.policies().diff(request).await?.into_inner();
    let now_ms = visit.now_ms;
    let title = format!("What changed in {pack}");
    Ok(ok(&DiffPage {
        frame: visit.frame(&title, Place::Policies),
        pack: visible(&pack),
        from: change.from.as_ref().map(|from| Pushed::of(from, now_ms)),
        to: Pushed::of(&change.to.unwrap_or_default(), now_ms),
        files: change.files.iter().map(File::of).collect(),
        is_cut: change.is_cut,
    }))
}

impl Pushed {
    fn of(pushed: &RevisionPushed, now_ms: u64) -> Self {
        Self {
            revision: pushed.revision,
            by: visible(&pushed.pushed_by),
            at: Moment::of(pushed.pushed_unix_ms, now_ms),
            note: visible(&pushed.note),
        }
    }
}

impl File {
    fn of(file: &FileDiff) -> Self {
        let run = |hunk: &Hunk| Run {
            from_line: hunk.from_line,
            to_line: hunk.to_line,
            lines: hunk.lines.iter().map(Line::of).collect(),
        };
        Self {
            path: visible(&file.path),
            word: match file.change() {
                FileChange::Added => "added",
                FileChange::Removed => "removed",
                FileChange::Changed => "changed",
                FileChange::Unspecified => "unrecognised",
            },
            added: file.added,
            removed: file.removed,
            hunks: file.hunks.iter().map(run).collect(),
        }
    }
}

impl Line {
    fn of(line: &DiffLine) -> Self {
        let (class, sign, word) = match line.change() {
            LineChange::Added => ("came", "+", "added"),
            LineChange::Removed => ("went", "-", "removed"),
            LineChange::Same | LineChange::Unspecified => ("same", " ", ""),
        };
        Self {
            class,
            sign,
            word,
            // A tab is what people indent with.
            text: visible(&line.text.replace('\t', "    ")),
        }
    }
}
