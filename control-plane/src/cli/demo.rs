//! `checkrein demo`: the main job, shown.

use super::{Error, Invocation, Outcome};
use crate::demo;

/// What the help ends with.
pub(super) const EXAMPLE: &str = "\
Starts a private Postgres, a control plane and two enforcers, plays an agent's work against them, kills the control plane,
and counts what Postgres holds afterwards. Leaves nothing behind.

Examples:
  checkrein demo
  checkrein demo --json";

/// Plays it.
pub(super) async fn run(invocation: &Invocation) -> Result<Outcome, Error> {
    let paint = if invocation.json() {
        invocation.paint_notes()
    } else {
        invocation.paint()
    };
    let tally = demo::run(invocation.json(), paint).await.map_err(Box::new)?;
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
