//! `checkrein task settle`: what became of a call whose end nobody knew.

use checkrein_proto::task::v1::SettleRequest;
use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_shared::ledger::Meter;

use super::{Connection, Error, Invocation, Outcome, TaskView, budgets, card, values};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein task show task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6      # lists what is unknown, with its use
  checkrein task settle task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --use 0193f1c2-a4b8-7d3e-9f00-a1b2c3d4e5f7 \\
    --spent money=12.50 --reason 'the bank shows the transfer'
  checkrein task settle task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --use 0193f1c2-a4b8-7d3e-9f00-a1b2c3d4e5f7 \\
    --returned --reason 'the bank never heard of it'

An enforcer that crashed between letting a call through and hearing its end leaves behind what it held for the call. Nobody knows
whether it was made, so it counts as used until a person has looked and says so here, once.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The task
    id: String,
    /// The release, as `task show` lists it
    #[arg(long = "use", value_name = "USE")]
    use_id: String,
    /// It was made and used up this, such as money=12.50; of what is not named, all that was held; repeat for more
    #[arg(long, value_name = "METER=AMOUNT", required_unless_present = "returned", conflicts_with = "returned", value_parser = values::budget)]
    spent: Vec<(Meter, u64)>,
    /// It was not made: what was held is free again
    #[arg(long)]
    returned: bool,
    /// How that is known, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs it.
pub(super) async fn run(
    mut client: TaskServiceClient<Connection>,
    args: Args,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let request = SettleRequest {
        task_id: args.id,
        use_id: args.use_id,
        spent: budgets(&args.spent),
        returned: args.returned,
        reason: args.reason,
    };
    let task = client.settle(request).await?.into_inner().task;
    let task = task.ok_or(Error::Incomplete("task"))?;
    let now_ms = invocation.now_ms();
    invocation.answer(&TaskView::of(&task), |paint| card(&task, now_ms, paint))?;
    Ok(Outcome::Done)
}
