//! `checkrein task`: an agent's authority, started, shown, and taken back.

mod amend;
mod declassify;
mod offline;
mod revoke;
mod settle;
mod show;
mod story;
mod view;

use std::time::Duration;

use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_proto::task::v1::{
    Amount, DataScope, EndRequest, Limits, ListRequest, StartRequest, State, Task,
};
use checkrein_shared::grant::{CALLS_MAX, DEPTH_MAX};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::key::VerifyingKey;
use checkrein_shared::ledger::Meter;
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::client::ANSWER_BYTES_MAX;
use super::output::{Style, visible};
use super::pages::Rows;
use super::values::{self, LIMIT_DEFAULT};
use super::{Error, Invocation, Outcome};
use crate::cli::client::Connection;
use show::{card, table};
use view::TaskView;

pub(super) use offline::GrantError;
pub(crate) use story::{ToldAgent, ToldEvent, told};

/// `checkrein task`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Way,
}

/// Whether the control plane is asked.
#[derive(Debug, Subcommand)]
enum Way {
    #[command(flatten)]
    Online(Command),
    #[command(flatten)]
    Offline(offline::Command),
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give an agent authority to act for a user; prints the grant it presents
    #[command(after_help = START_EXAMPLE)]
    Start(Box<StartArgs>),
    /// Tasks, newest first
    #[command(after_help = "Example:\n  checkrein task list --state live")]
    List(ListArgs),
    /// One task: who may do what, for whom, until when; its agents, and what happened in it
    #[command(after_help = story::EXAMPLE)]
    Show(story::Args),
    /// Change what a live task is for: prints the grant that takes the place of those before, which stop everywhere
    #[command(after_help = amend::EXAMPLE)]
    Amend(amend::Args),
    /// Take labels from what a task carries: prints the grant that takes the place of those before, which stop everywhere
    #[command(after_help = declassify::EXAMPLE)]
    Declassify(declassify::Args),
    /// Finish a task: its grant stops, what it holds is cancelled
    #[command(after_help = "Example:\n  checkrein task end task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6")]
    End {
        /// The task
        id: String,
    },
    /// Stop a task that should not go on, one grant that was passed on in it, or whatever a key holds
    #[command(after_help = revoke::EXAMPLE)]
    Revoke(revoke::Args),
    /// Say what became of a call whose end nobody knew: what was held for it is settled, or free again
    #[command(after_help = settle::EXAMPLE)]
    Settle(settle::Args),
}

const START_EXAMPLE: &str = "\
Example:
  checkrein task start --user alice --agent spiffe://acme.example/agent/billing \\
    --tool bank/send_money --named GB29NWBK60161331926819 \\
    --intent 'pay the March invoice' --environment production --expires 1h
  GRANT=$(checkrein task start … --grant-only)

With --calls, or --single-use, each call is charged online before it is let through, so that the whole fleet together never
makes one too many; while no control plane can be asked, calls of such a task are denied. Rules read the risk as
context.task.risk: low 25, medium 50, high 75, critical 100, 0 if nobody said.

With --budget, what a call may use up, as the catalog says, is held before it is let through and settled when it has ended;
whatever happens at once or crashes, no more is used than the budget. `task show` says what is left.

With --data, a tool that yields anything else, as the catalog says, is out of the task's scope. Rules read the
labels as context.task.data, which is there only if the task is limited so, and what a tool yields as context.tool.yields.

A scope file says what arguments must be; one that it does not name is refused:
  {\"bank/send_money\": {
    \"recipient\": {\"constraint_type\": \"one_of\", \"values\": [\"GB29NWBK60161331926819\"]},
    \"amount\": {\"constraint_type\": \"range\", \"max\": 500},
    \"subject\": {\"constraint_type\": \"wildcard\", \"optional\": true}}}
Types: exact, one_of, not_one_of, range, contains, subset, each, all, any, wildcard, pattern, path, url, shell, cidr,
email_domain, sql";

#[derive(Debug, clap::Args)]
struct StartArgs {
    /// The human the agent acts for
    #[arg(long, value_name = "NAME")]
    user: String,
    /// The agent's identity
    #[arg(long, value_name = "SPIFFE-ID")]
    agent: SpiffeId,
    /// A tool it may use with any arguments, `<catalog>/<tool>` or `<catalog>/*`; repeat for more
    #[arg(long = "tool", value_name = "TOOL", required_unless_present = "scope", value_parser = values::tool)]
    tools: Vec<String>,
    /// A JSON file of tools and what their arguments must be
    #[arg(long, value_name = "FILE", value_parser = values::scope)]
    scope: Option<String>,
    /// A value the user named, such as an account; repeat for more
    #[arg(long, value_name = "VALUE")]
    named: Vec<String>,
    /// What the user wants, in words
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    intent: String,
    /// Where it runs
    #[arg(long, value_name = "NAME", default_value = "production")]
    environment: String,
    /// How long it may last
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = values::duration)]
    expires: Duration,
    /// How many calls it may make, counted across the fleet; without this they are not counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CALLS_MAX))]
    calls: Option<u64>,
    /// One call and no more
    #[arg(long, conflicts_with = "calls")]
    single_use: bool,
    /// How much it may use up of money, rows, bytes, tokens or `model_calls`, counted across the fleet; a call costs what the
    /// catalog says; repeat for more
    #[arg(long = "budget", value_name = "METER=AMOUNT", value_parser = values::budget)]
    budgets: Vec<(Meter, u64)>,
    /// At least so risky is what it does: low, medium, high, critical, or 0 to 100
    #[arg(long, value_name = "RISK", default_value = "0", hide_default_value = true, value_parser = values::risk)]
    risk: u8,
    /// How many times in a row its grant may be passed on, at most 8
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u8).range(..=i64::from(DEPTH_MAX)))]
    depth: u8,
    /// A kind of data it may touch, such as pii; repeat for more; without this, any
    #[arg(long, value_name = "LABEL", value_parser = values::label)]
    data: Vec<String>,
    /// No data: only tools that yield nothing
    #[arg(long, conflicts_with = "data")]
    no_data: bool,
    /// The agent's public key, as `checkrein task key` prints it: with the private half the agent passes the grant on offline
    /// and proves with each full-tier call that the grant is its own
    #[arg(long, value_name = "PUBLIC-KEY", allow_hyphen_values = true, value_parser = VerifyingKey::from_base64)]
    holder: Option<VerifyingKey>,
    /// Print the grant alone, for scripts
    #[arg(long, conflicts_with = "json")]
    grant_only: bool,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only in this state; several may be given
    #[arg(long, value_name = "STATE")]
    state: Vec<StateWord>,
    /// Only of this agent
    #[arg(long, value_name = "SPIFFE-ID")]
    agent: Option<SpiffeId>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StateWord {
    Live,
    Ended,
    Revoked,
    Expired,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let command = match args.command {
        Way::Online(command) => command,
        Way::Offline(command) => return offline::run(command, invocation).await,
    };
    let mut client =
        TaskServiceClient::new(invocation.connect().await?).max_decoding_message_size(ANSWER_BYTES_MAX);
    let idempotency_key = invocation.idempotency_key();
    let task = match command {
        Command::Start(args) => return start(client, *args, invocation).await,
        Command::Amend(args) => return amend::run(client, args, invocation).await,
        Command::Declassify(args) => return declassify::run(client, args, invocation).await,
        Command::List(args) => return list(client, args, invocation).await,
        Command::Show(args) => return story::run(args, invocation).await,
        Command::End { id } => {
            client
                .end(EndRequest {
                    task_id: id,
                    idempotency_key,
                })
                .await?
                .into_inner()
                .task
        }
        Command::Revoke(args) => return revoke::run(client, args, invocation).await,
        Command::Settle(args) => return settle::run(client, args, invocation).await,
    };
    let task = task.ok_or(Error::Incomplete("task"))?;
    let now_ms = invocation.now_ms();
    invocation.answer(&TaskView::of(&task), |paint| card(&task, now_ms, paint))?;
    Ok(Outcome::Done)
}

async fn start(
    mut client: TaskServiceClient<Connection>,
    args: StartArgs,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let limits = Limits {
        calls: args.calls.or(args.single_use.then_some(1)),
        risk: args.risk.into(),
        depth: args.depth.into(),
    };
    let request = StartRequest {
        budgets: budgets(&args.budgets),
        holder_key: args
            .holder
            .as_ref()
            .map(VerifyingKey::to_base64)
            .unwrap_or_default(),
        data: data(&args.data, args.no_data),
        limits: Some(limits),
        user: args.user,
        agent: args.agent.into(),
        tools: args.tools,
        scope: args.scope.unwrap_or_default(),
        named: args.named,
        intent: args.intent,
        environment: args.environment,
        expires_in_ms: values::millis(args.expires),
        idempotency_key: invocation.idempotency_key(),
    };
    let started = client.start(request).await?.into_inner();
    let task = started.task.ok_or(Error::Incomplete("task"))?;
    let heading = "the grant, which the agent presents with each action; it is shown once:";
    give(&task, &started.grant, (args.grant_only, heading), invocation)
}

/// Prints a task and its grant, or the grant alone.
fn give(
    task: &Task,
    grant: &str,
    (grant_only, heading): (bool, &str),
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    if grant_only {
        invocation.print(&format!("{grant}\n"))?;
        return Ok(Outcome::Done);
    }
    let now_ms = invocation.now_ms();
    let document = json!({"task": TaskView::of(task), "grant": grant});
    invocation.answer(&document, |paint| {
        let heading = paint.apply(Style::Dim, heading);
        format!("{}\n{heading}\n\n{}\n", card(task, now_ms, paint), visible(grant))
    })?;
    Ok(Outcome::Done)
}

async fn list(
    client: TaskServiceClient<Connection>,
    args: ListArgs,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let states: Vec<i32> = args
        .state
        .into_iter()
        .map(|word| State::from(word).into())
        .collect();
    let agent = args.agent.map(String::from).unwrap_or_default();
    let found = Rows::collect(args.limit, async |page_size, page_token| {
        let request = ListRequest {
            states: states.clone(),
            agent: agent.clone(),
            page_size,
            page_token,
        };
        let page = client.clone().list(request).await?.into_inner();
        Ok((page.tasks, page.next_page_token))
    })
    .await?;
    let tasks: Vec<TaskView> = found.rows.iter().map(TaskView::of).collect();
    let now_ms = invocation.now_ms();
    invocation.answer(&json!({"tasks": tasks, "more": found.more}), |paint| {
        table(&found.rows, now_ms, paint) + &found.more_line(paint)
    })?;
    Ok(Outcome::Done)
}

/// Budgets as they were named; the control plane refuses a meter that stands twice.
fn budgets(named: &[(Meter, u64)]) -> Vec<Amount> {
    let amount = |(meter, amount): &(Meter, u64)| Amount {
        meter: meter.as_str().to_owned(),
        amount: meter.text(*amount),
    };
    named.iter().map(amount).collect()
}

/// Which data was named: labels, or none at all; nothing, if neither was.
fn data(labels: &[String], is_none: bool) -> Option<DataScope> {
    let is_limited = is_none || !labels.is_empty();
    is_limited.then(|| DataScope {
        labels: labels.to_vec(),
    })
}

impl From<StateWord> for State {
    fn from(word: StateWord) -> Self {
        match word {
            StateWord::Live => Self::Live,
            StateWord::Ended => Self::Ended,
            StateWord::Revoked => Self::Revoked,
            StateWord::Expired => Self::Expired,
        }
    }
}

#[cfg(test)]
mod tests;
