//! `checkrein policy diff`: what changed between two revisions of a pack.

use checkrein_proto::policy::v1::{
    DiffLine, DiffRequest, DiffResponse, FileChange, FileDiff, Hunk, LineChange, RevisionPushed,
};
use serde::Serialize;

use super::client;
use crate::cli::output::{Paint, Style, relative, rfc3339, visible};
use crate::cli::{Error, Invocation, Outcome};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein policy diff payments
  checkrein policy diff payments --from 3 --to 5";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pack
    pack: String,
    /// From this revision [default: the one before]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    from: u64,
    /// To this one [default: the current one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    to: u64,
}

/// A change for scripts. Names are stable.
#[derive(Debug, Serialize)]
struct ChangeView {
    /// None: there was nothing before.
    from: Option<PushedView>,
    to: PushedView,
    files: Vec<FileView>,
    /// There is more than is shown.
    cut: bool,
}

#[derive(Debug, Serialize)]
struct PushedView {
    revision: u64,
    generation: u64,
    pushed_by: String,
    pushed_at: Option<String>,
    note: String,
}

#[derive(Debug, Serialize)]
struct FileView {
    path: String,
    change: &'static str,
    added: u32,
    removed: u32,
    hunks: Vec<HunkView>,
}

#[derive(Debug, Serialize)]
struct HunkView {
    from_line: u32,
    to_line: u32,
    /// Each after `+`, `-` or a space.
    lines: Vec<String>,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let request = DiffRequest {
        pack: args.pack,
        from_revision: args.from,
        to_revision: args.to,
    };
    let change = client(invocation.connect().await?)
        .diff(request)
        .await?
        .into_inner();
    let to = change.to.clone().ok_or(Error::Incomplete("to"))?;
    let view = ChangeView {
        from: change.from.as_ref().map(PushedView::of),
        to: PushedView::of(&to),
        files: change.files.iter().map(FileView::of).collect(),
        cut: change.is_cut,
    };
    let now_ms = invocation.now_ms();
    invocation.answer(&view, |paint| page(&change, &to, now_ms, paint))?;
    Ok(Outcome::Done)
}

fn page(change: &DiffResponse, to: &RevisionPushed, now_ms: u64, paint: Paint) -> String {
    let from = change
        .from
        .as_ref()
        .map_or_else(|| "nothing before".to_owned(), |from| pushed(from, now_ms));
    let mut page = format!("from  {from}\nto    {}\n", pushed(to, now_ms));
    if change.files.is_empty() {
        page.push_str("\nnothing differs\n");
    }
    for file in &change.files {
        page.push('\n');
        page.push_str(&file_text(file, paint));
    }
    if change.is_cut {
        let more = "there is more than is shown: write both with `checkrein policy show --files`";
        page.extend(["\n", &*paint.apply(Style::Dim, more), "\n"]);
    }
    page
}

fn pushed(of: &RevisionPushed, now_ms: u64) -> String {
    let note = if of.note.is_empty() {
        String::new()
    } else {
        format!(": {}", of.note)
    };
    visible(&format!(
        "revision {}, pushed {} by {}{note}",
        of.revision,
        relative(of.pushed_unix_ms, now_ms),
        of.pushed_by
    ))
}

fn file_text(file: &FileDiff, paint: Paint) -> String {
    let title = format!(
        "{} {} (+{} -{})",
        change_word(file.change()),
        visible(&file.path),
        file.added,
        file.removed
    );
    let mut text = format!("{}\n", paint.apply(Style::Strong, &title));
    for hunk in &file.hunks {
        let place = format!("@@ -{} +{} @@", hunk.from_line, hunk.to_line);
        text.extend([&*paint.apply(Style::Dim, &place), "\n"]);
        for line in &hunk.lines {
            text.extend([&*line_text(line, paint), "\n"]);
        }
    }
    text
}

fn line_text(line: &DiffLine, paint: Paint) -> String {
    let style = match line.change() {
        LineChange::Added => Style::Good,
        LineChange::Removed => Style::Bad,
        LineChange::Same | LineChange::Unspecified => Style::Plain,
    };
    // A tab is what people indent with, and moves nothing that matters here.
    let text: Vec<String> = line.text.split('\t').map(visible).collect();
    paint.apply(style, &format!("{}{}", sign(line), text.join("\t")))
}

fn sign(line: &DiffLine) -> char {
    match line.change() {
        LineChange::Added => '+',
        LineChange::Removed => '-',
        LineChange::Same | LineChange::Unspecified => ' ',
    }
}

const fn change_word(change: FileChange) -> &'static str {
    match change {
        FileChange::Added => "added",
        FileChange::Removed => "removed",
        FileChange::Changed => "changed",
        FileChange::Unspecified => "unrecognised",
    }
}

impl PushedView {
    fn of(pushed: &RevisionPushed) -> Self {
        Self {
            revision: pushed.revision,
            generation: pushed.generation,
            pushed_by: pushed.pushed_by.clone(),
            pushed_at: rfc3339(pushed.pushed_unix_ms),
            note: pushed.note.clone(),
        }
    }
}

impl FileView {
    fn of(file: &FileDiff) -> Self {
        let hunk = |hunk: &Hunk| HunkView {
            from_line: hunk.from_line,
            to_line: hunk.to_line,
            lines: hunk
                .lines
                .iter()
                .map(|line| format!("{}{}", sign(line), line.text))
                .collect(),
        };
        Self {
            path: file.path.clone(),
            change: change_word(file.change()),
            added: file.added,
            removed: file.removed,
            hunks: file.hunks.iter().map(hunk).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
