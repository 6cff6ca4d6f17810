//! `checkrein demo`: the main job, shown.

use std::path::PathBuf;

use super::{Error, Invocation, Outcome};
use crate::demo::{self, Options};

/// What the help ends with.
pub(super) const EXAMPLE: &str = "\
Starts a private Postgres, a control plane and two enforcers, plays an agent's work against them, kills the control plane,
and counts what Postgres holds afterwards. Leaves nothing behind.

With --stay it then prints a link into the console, where actions wait for your answer. Ctrl-C, or the end of its input, ends
all of it, and so does an hour.

Examples:
  checkrein demo
  checkrein demo --stay
  checkrein demo --json";

/// What may be said.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Stay after the scenes, with actions that wait for you in the console
    #[arg(long)]
    stay: bool,
    /// Where Node and the SDK of MCP are, as `.ci/setup demo` gets them: then one scene has a real MCP client call a real MCP server
    #[arg(long, value_name = "DIR")]
    tools: Option<PathBuf>,
}

/// Plays it.
pub(super) async fn run(args: &Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let paint = if invocation.json() {
        invocation.paint_notes()
    } else {
        invocation.paint()
    };
    let options = Options {
        aside: invocation.json(),
        paint,
        stays: args.stay,
        tools: args.tools.clone(),
    };
    let tally = demo::run(options).await.map_err(Box::new)?;
    // The scenes have shown it to people.
    if invocation.json() {
        invocation.answer(&tally, |_| String::new())?;
    }
    Ok(if tally.is_whole() {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}
