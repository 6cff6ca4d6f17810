//! `fleet agents`: who answers for each agent, when it was seen, and what it may use and never did.

mod show;
mod view;

use checkrein_proto::fleet::v1::{AddAgentRequest, Agent, ListAgentsRequest, ShowAgentRequest};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::TeamName;
use clap::Subcommand;
use serde_json::json;

use super::{client, remove};
use crate::cli::pages::Rows;
use crate::cli::values::LIMIT_DEFAULT;
use crate::cli::{Error, Invocation, Outcome};
use view::AgentView;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Name the person or team that answers for an agent, and its teams; again, to name others
    #[command(after_help = ADD_EXAMPLE)]
    Add {
        /// The agent
        #[arg(value_name = "SPIFFE-ID")]
        id: SpiffeId,
        /// A person or a team
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// A team it is in from now on, as rules call it; repeat for more. Left out: it is taken out of that team
        #[arg(long = "team", value_name = "TEAM")]
        teams: Vec<TeamName>,
    },
    /// Every agent that was added, certified, spoken for by an enforcer, given a task, or removed; also without a verb
    #[command(after_help = LIST_EXAMPLE)]
    List {
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// One agent: its owner, its enforcers, and its tools
    #[command(after_help = SHOW_EXAMPLE)]
    Show {
        /// The agent
        #[arg(value_name = "SPIFFE-ID")]
        id: SpiffeId,
    },
    /// Let an agent in nowhere any more, and revoke its live tasks; for good
    #[command(after_help = REMOVE_EXAMPLE)]
    Remove(remove::Args),
}

const ADD_EXAMPLE: &str = "\
Example:
  checkrein fleet agents add spiffe://acme.example/agent/billing --owner team-payments
  checkrein fleet agents add spiffe://acme.example/agent/billing-2 --owner olga --team billing --team contractors

Rules see an agent in these teams (`principal in Team::\"billing\"`) beside those that packs put it in, at every enforcer that may
speak for it, without a push. Each time all teams are named: without --team it is in none of the register's.";

const LIST_EXAMPLE: &str = "\
Example:
  checkrein fleet agents list
  checkrein fleet agents list --json | jq '.agents[] | select(.tools_never_used != [])'

SEEN is the last decision on a call of the agent. UNUSED counts what the scopes of its newest 100 tasks allow and no decision
that is kept was about; a call that was refused counts as use.";

const SHOW_EXAMPLE: &str = "\
Example:
  checkrein fleet agents show spiffe://acme.example/agent/billing

Allowed is what the scopes of its newest 100 tasks name; the rules may refuse it still. Never used is what no decision that is
kept was about, whatever its verdict; `<catalog>/*` is used if any tool of the catalog was.";

const REMOVE_EXAMPLE: &str = "\
Example:
  checkrein fleet agents remove spiffe://acme.example/agent/billing --reason 'replaced by billing-2'

The same as `checkrein fleet remove`.";

pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let agent = match args.command {
        None => return list(LIMIT_DEFAULT, invocation).await,
        Some(Command::List { limit }) => return list(limit, invocation).await,
        Some(Command::Remove(args)) => return remove::run(args, invocation).await,
        Some(Command::Add { id, owner, teams }) => {
            let request = AddAgentRequest {
                spiffe_id: id.into(),
                owner,
                teams: teams.iter().map(ToString::to_string).collect(),
                idempotency_key: invocation.idempotency_key(),
            };
            let added = client(invocation.connect().await?).add_agent(request).await?;
            added.into_inner().agent
        }
        Some(Command::Show { id }) => {
            let request = ShowAgentRequest { spiffe_id: id.into() };
            let shown = client(invocation.connect().await?).show_agent(request).await?;
            shown.into_inner().agent
        }
    };
    let agent = agent.ok_or(Error::Incomplete("agent"))?;
    let now_ms = invocation.now_ms();
    invocation.answer(&AgentView::of(&agent), |paint| show::card(&agent, now_ms, paint))?;
    Ok(Outcome::Done)
}

async fn list(limit: u32, invocation: &Invocation) -> Result<Outcome, Error> {
    let client = client(invocation.connect().await?);
    let found = Rows::collect(limit, async |page_size, page_token| {
        let request = ListAgentsRequest {
            page_size,
            page_token,
        };
        let page = client.clone().list_agents(request).await?.into_inner();
        Ok((page.agents, page.next_page_token))
    })
    .await?;
    let agents: Vec<AgentView> = found.rows.iter().map(AgentView::of).collect();
    let now_ms = invocation.now_ms();
    invocation.answer(&json!({"agents": agents, "more": found.more}), |paint| {
        show::table(&found.rows, now_ms, paint) + &found.more_line(paint)
    })?;
    Ok(Outcome::Done)
}

/// What it may use and never did.
fn never_used(agent: &Agent) -> impl Iterator<Item = &str> {
    let unused = agent.tools.iter().filter(|allowed| !allowed.used);
    unused.map(|allowed| &*allowed.tool)
}
