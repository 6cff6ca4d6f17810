//! `checkrein task declassify`: a person answers for it that a task carries a label no more.

use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_proto::task::v1::{DeclassifyRequest, TaskLabel};
use serde_json::json;

use super::{Connection, Error, Invocation, Outcome, TaskView, card, values};
use crate::cli::ledger::{LabelView, carried};
use crate::cli::output::{Fields, Style, visible};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein task declassify task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --label pii --reason 'the export held test customers only'
  GRANT=$(checkrein task declassify … --grant-only)

`checkrein task show` says what a task carries and which call brought it. Whoever started the task, or is whom it is for,
can't declassify it: ask somebody else. The task goes on in a new epoch, as after `checkrein task amend`: no grant that was
given before is good for anything irreversible from the answer on, and everywhere else it stops as soon as each enforcer hears
of it. Give the new grant to the agent. A call that brings the label again makes the task carry it again.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The task
    id: String,
    /// A label that it shall carry no more; repeat for more
    #[arg(long = "label", value_name = "LABEL", required = true, value_parser = values::label)]
    labels: Vec<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the grant alone, for scripts
    #[arg(long, conflicts_with = "json")]
    grant_only: bool,
}

/// Runs it.
pub(super) async fn run(
    mut client: TaskServiceClient<Connection>,
    args: Args,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let request = DeclassifyRequest {
        task_id: args.id,
        labels: args.labels,
        reason: args.reason,
        idempotency_key: invocation.idempotency_key(),
    };
    let done = client.declassify(request).await?.into_inner();
    let task = done.task.ok_or(Error::Incomplete("task"))?;
    if args.grant_only {
        invocation.print(&format!("{}\n", done.grant))?;
        return Ok(Outcome::Done);
    }
    let now_ms = invocation.now_ms();
    let lifted: Vec<LabelView> = done.lifted.iter().map(LabelView::of).collect();
    let document = json!({"task": TaskView::of(&task), "grant": done.grant, "lifted": lifted});
    invocation.answer(&document, |paint| {
        let mut fields = Fields::default();
        for label in &done.lifted {
            fields.line("lifted", &said(label, now_ms));
        }
        let heading = "the grant, which the agent presents from now on; it is shown once:";
        let (card, lifted) = (card(&task, now_ms, paint), fields.render(paint));
        let heading = paint.apply(Style::Dim, heading);
        format!("{card}\n{lifted}\n{heading}\n\n{}\n", visible(&done.grant))
    })?;
    Ok(Outcome::Done)
}

fn said(label: &TaskLabel, now_ms: u64) -> String {
    format!("{}, which {}", label.label, carried(label, now_ms))
}
