//! `checkrein task inspect`: what a grant gives, and through whose hands it came.

use checkrein_shared::grant::Chain;
use serde_json::json;

use super::hop::{HopView, card};
use super::presented::Place;
use crate::cli::output::{Paint, Style, visible};
use crate::cli::{Error, Invocation};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein task inspect --grant billing.grant
  checkrein task delegate … | checkrein task inspect --grant - --json

No control plane is asked, and its keys are not here: what is verified is that each holder signed the grant below its own,
and that none gives more than the one above it. Whether the control plane signed the first is for enforcers to say.";

/// `checkrein task inspect`
#[derive(Debug, clap::Args)]
pub(in crate::cli::task) struct Args {
    /// A file that holds the grant; `-`: read it from standard input
    #[arg(long, value_name = "FILE")]
    grant: Place,
}

/// Runs it.
pub(super) fn run(args: &Args, invocation: &Invocation) -> Result<(), Error> {
    let grant = args.grant.read()?;
    let grants: Vec<HopView> = grant.chain().grants().map(HopView::of).collect();
    let now_ms = invocation.now_ms();
    invocation.answer(&json!({"grants": grants}), |paint| {
        chain(grant.chain(), now_ms, paint)
    })
}

fn chain(chain: &Chain, now_ms: u64, paint: Paint) -> String {
    let root = chain.root();
    let mut out = format!(
        "{}  for {} in {}\n",
        paint.apply(Style::Strong, &root.task.to_string()),
        visible(&root.user),
        visible(&root.environment),
    );
    if !root.intent.is_empty() {
        out.extend(["asked to: ", &visible(&root.intent), "\n"]);
    }
    for grant in chain.grants() {
        let given = if grant.link.is_none() {
            "given to"
        } else {
            "passed on to"
        };
        out.extend(["\n", given, " ", &card(grant, now_ms, paint)]);
    }
    let note = "verified here: what the holders signed, and that no grant gives more than the one above it; \
                not the signatures of the control plane";
    out.extend(["\n", &paint.apply(Style::Dim, note), "\n"]);
    out
}
