//! Changing what the fleet runs: `policy push` and `policy rollback`.

use checkrein_proto::policy::v1::{Finding, PackFile, PackRevision, PushRequest, RollbackRequest};
use serde::Serialize;
use serde_json::json;

use super::local::Rehearsal;
use super::view::{FindingView, RevisionView};
use super::wait::{self, Rollout};
use super::{PushArgs, RollbackArgs, client, local, show};
use crate::cli::client::Connection;
use crate::cli::output::{Paint, Style, visible};
use crate::cli::{Error, Invocation, Outcome};

/// Checks and tests here first, so that what is wrong shows at once; the control plane does both again.
pub(super) async fn push(args: PushArgs, invocation: &Invocation) -> Result<Outcome, Error> {
    let source = local::read(&args.pack)?;
    let rehearsal = local::rehearse(&source, &args.pack)?;
    rehearsal.report(invocation)?;
    if !rehearsal.is_good() {
        return Ok(Outcome::Failed);
    }
    let channel = invocation.connect().await?;
    let pack = source.name.clone();
    let file = |(path, content): (String, Vec<u8>)| PackFile {
        path,
        content: content.into(),
    };
    let request = PushRequest {
        pack: source.name,
        files: source.files.into_iter().map(file).collect(),
        note: args.note,
        idempotency_key: invocation.idempotency_key(),
        validate_only: args.dry_run,
    };
    let pushed = client(channel.clone()).push(request).await?.into_inner();
    show_new(&pushed.findings, &rehearsal, invocation);
    if args.dry_run {
        let document = json!({
            "published": false,
            "findings": pushed.findings.iter().map(FindingView::of).collect::<Vec<_>>(),
            "enforcers": pushed.enforcers,
        });
        invocation.answer(&document, |paint| dry_run_text(&pack, pushed.enforcers, paint))?;
        return Ok(Outcome::Done);
    }
    let published = Published {
        revision: pushed.revision.ok_or(Error::Incomplete("revision"))?,
        enforcers: pushed.enforcers,
        verb: "pushed",
    };
    published.announce(channel, args.wait, invocation).await
}

/// Shows what the control plane found and the rehearsal did not: it checks together with every pack in force.
fn show_new(findings: &[Finding], rehearsal: &Rehearsal, invocation: &Invocation) {
    if invocation.json() {
        return;
    }
    for finding in findings.iter().filter(|finding| !rehearsal.knows(finding)) {
        invocation.note(&show::finding(&finding.rendered, invocation.paint_notes()));
    }
}

/// Publishes what a pack was before.
pub(super) async fn rollback(args: RollbackArgs, invocation: &Invocation) -> Result<Outcome, Error> {
    let channel = invocation.connect().await?;
    let request = RollbackRequest {
        pack: args.pack,
        to_revision: args.to,
        note: args.note,
        idempotency_key: invocation.idempotency_key(),
    };
    let done = client(channel.clone()).rollback(request).await?.into_inner();
    let revision = done.revision.ok_or(Error::Incomplete("revision"))?;
    let published = Published {
        revision,
        enforcers: done.enforcers,
        verb: "rolled back",
    };
    published.announce(channel, args.wait, invocation).await
}

/// A revision that is in force now.
struct Published {
    revision: PackRevision,
    enforcers: u32,
    verb: &'static str,
}

#[derive(Serialize)]
struct PublishedView<'a> {
    published: bool,
    revision: RevisionView,
    enforcers: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<&'a Rollout>,
}

impl Published {
    /// Says what is in force, and with `--wait` when every enforcer runs it.
    async fn announce(
        self,
        channel: Connection,
        waits: bool,
        invocation: &Invocation,
    ) -> Result<Outcome, Error> {
        if !invocation.json() {
            invocation.print(&self.text(waits, invocation.paint()))?;
        }
        let rollout = if waits {
            Some(wait::until_enforced(channel, self.revision.generation, invocation).await?)
        } else {
            None
        };
        let document = PublishedView {
            published: true,
            revision: RevisionView::of(&self.revision),
            enforcers: self.enforcers,
            rollout: rollout.as_ref(),
        };
        invocation.answer(&document, |paint| {
            rollout
                .as_ref()
                .map_or(String::new(), |rollout| rollout.text(paint))
        })?;
        match rollout {
            Some(rollout) if !rollout.is_complete() => Ok(Outcome::Failed),
            _ => Ok(Outcome::Done),
        }
    }

    fn text(&self, waits: bool, paint: Paint) -> String {
        let mut text = format!(
            "{} {} as revision {}, generation {}; {}\n",
            paint.apply(Style::Strong, &visible(&self.revision.pack)),
            self.verb,
            self.revision.revision,
            self.revision.generation,
            reach(self.enforcers),
        );
        if self.enforcers == 0 {
            text += &paint.next(&["checkrein fleet add --help"]);
        } else if !waits {
            text += &paint.next(&["checkrein fleet list"]);
        }
        text
    }
}

fn reach(enforcers: u32) -> String {
    match enforcers {
        0 => "no enforcer that it selects is registered yet".to_owned(),
        1 => "it is in the bundle of 1 enforcer".to_owned(),
        enforcers => format!("it is in the bundles of {enforcers} enforcers"),
    }
}

fn dry_run_text(pack: &str, enforcers: u32, paint: Paint) -> String {
    format!(
        "{} passes, and composes with the packs in force; it would be in the bundles of {enforcers} enforcers; nothing was published\n",
        paint.apply(Style::Strong, &visible(pack)),
    )
}

#[cfg(test)]
mod tests;
