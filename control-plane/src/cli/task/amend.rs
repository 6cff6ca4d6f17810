//! `checkrein task amend`: what a live task is for, changed.

use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_proto::task::v1::{AmendRequest, Named};

use super::{Connection, Error, Invocation, Outcome, data, give, values};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein task amend task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --environment staging --reason 'moved to staging'
  checkrein task amend task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --named GB29NWBK60161331926819 --intent 'pay the April invoice'
  GRANT=$(checkrein task amend … --grant-only)

What is not named stays as it is, and so do the agent, the tools, the time, and the calls that were used. From the answer on
no grant that was given before is good for anything irreversible; everywhere else it stops as soon as each enforcer hears of
it, which is at once where there is a connection. Give the new grant to the agent. Changing nothing gives the grant that
holds already.";

#[derive(Debug, clap::Args)]
#[group(id = "change", multiple = true, required = true, args = ["intent", "environment", "risk", "named", "data", "no_data"])]
pub(super) struct Args {
    /// The task
    id: String,
    /// What the user wants now, in words
    #[arg(long, value_name = "TEXT")]
    intent: Option<String>,
    /// Where it runs from now on
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// At least so risky is what it does: low, medium, high, critical, or 0 to 100
    #[arg(long, value_name = "RISK", value_parser = values::risk)]
    risk: Option<u8>,
    /// A value the user named, instead of all those before; repeat for more, and give an empty one for none
    #[arg(long, value_name = "VALUE")]
    named: Option<Vec<String>>,
    /// A kind of data it may touch, instead of all those before; repeat for more
    #[arg(long, value_name = "LABEL", value_parser = values::label)]
    data: Vec<String>,
    /// No data from now on: only tools that yield nothing
    #[arg(long, conflicts_with = "data")]
    no_data: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
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
    let named = args.named.map(|values| Named {
        values: values.into_iter().filter(|value| !value.is_empty()).collect(),
    });
    let request = AmendRequest {
        task_id: args.id,
        intent: args.intent,
        environment: args.environment,
        risk: args.risk.map(u32::from),
        named,
        data: data(&args.data, args.no_data),
        reason: args.reason,
        idempotency_key: invocation.idempotency_key(),
    };
    let amended = client.amend(request).await?.into_inner();
    let task = amended.task.ok_or(Error::Incomplete("task"))?;
    let heading = "the grant, which the agent presents from now on; it is shown once:";
    give(&task, &amended.grant, (args.grant_only, heading), invocation)
}
