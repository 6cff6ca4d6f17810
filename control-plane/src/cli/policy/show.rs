//! Packs and their revisions, for people.

use checkrein_proto::policy::v1::{PackFile, PackRevision, ShowRequest};
use checkrein_shared::action::Sha256;
use serde_json::json;

use super::view::{FileView, RevisionView};
use super::{ShowArgs, client, directory};
use crate::cli::output::{Cell, Fields, Paint, Style, Table, relative, visible, visible_lines};
use crate::cli::{Error, Invocation, Outcome};

/// One revision, and its files if asked for.
pub(super) async fn run(args: ShowArgs, invocation: &Invocation) -> Result<Outcome, Error> {
    let request = ShowRequest {
        pack: args.pack,
        revision: args.revision,
    };
    let shown = client(invocation.connect().await?)
        .show(request)
        .await?
        .into_inner();
    let revision = shown.revision.ok_or(Error::Incomplete("revision"))?;
    if let Some(out) = &args.files {
        directory::write(out, shown.files.iter().map(|file| (&*file.path, &*file.content)))?;
    }
    let files: Vec<FileView> = shown.files.iter().map(FileView::of).collect();
    let document = json!({"revision": RevisionView::of(&revision), "files": files});
    let now_ms = invocation.now_ms();
    invocation.answer(&document, |paint| {
        let written = args
            .files
            .map_or(String::new(), |out| format!("\nwritten to {}\n", out.display()));
        card(&revision, &shown.files, now_ms, paint) + &written
    })?;
    Ok(Outcome::Done)
}

/// Rows.
pub(super) fn table(revisions: &[PackRevision], generation: u64, now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&[
        "PACK",
        "REVISION",
        "GENERATION",
        "RULES",
        "TOOLS",
        "PUSHED",
        "BY",
        "NOTE",
    ]);
    for revision in revisions {
        table.push([
            Cell::from(&*revision.pack).styled(Style::Strong),
            Cell::from(revision.revision.to_string()),
            Cell::from(revision.generation.to_string()),
            Cell::from(revision.rules.to_string()),
            Cell::from(revision.tools.to_string()),
            Cell::from(relative(revision.pushed_unix_ms, now_ms)),
            Cell::from(&*revision.pushed_by),
            Cell::dim(&revision.note),
        ]);
    }
    let rows = table.render(
        paint,
        "no policy is in force: everything is denied; begin with `checkrein policy init DIR`",
    );
    let newest = format!("the newest generation is {generation}");
    format!("{rows}{}\n", paint.apply(Style::Dim, &newest))
}

/// A finding as it was drawn, its mark in the colour of its severity.
pub(super) fn finding(rendered: &str, paint: Paint) -> String {
    let shown = visible_lines(rendered.trim_end_matches('\n'));
    let marked = shown.replacen('×', &paint.apply(Style::Bad, "×"), 1);
    marked.replacen('⚠', &paint.apply(Style::Waiting, "⚠"), 1)
}

fn card(revision: &PackRevision, files: &[PackFile], now_ms: u64, paint: Paint) -> String {
    let mut fields = Fields::default();
    let pushed = format!(
        "{} by {}",
        relative(revision.pushed_unix_ms, now_ms),
        revision.pushed_by
    );
    fields
        .line("revision", &revision.revision.to_string())
        .line("generation", &revision.generation.to_string())
        .line("rules", &revision.rules.to_string())
        .line("tools", &revision.tools.to_string())
        .line("pushed", &pushed)
        .line("note", &revision.note)
        .line(
            "sha256",
            &Sha256::try_from(&*revision.source_sha256)
                .map(|sha| sha.to_string())
                .unwrap_or_default(),
        );
    let mut table = Table::new(&["FILE", "BYTES"]);
    for file in files {
        table.push([
            Cell::from(&*file.path),
            Cell::from(file.content.len().to_string()),
        ]);
    }
    let name = paint.apply(Style::Strong, &visible(&revision.pack));
    format!(
        "{name}\n\n{}\n{}",
        fields.render(paint),
        table.render(paint, "no files")
    )
}
