//! `checkrein fleet`: who is registered, and what each enforcer runs now.

mod add;
mod agents;
mod enrol;
mod identity;
mod invitations;
mod remove;
mod show;
mod view;

use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::fleet::v1::{Enforcer, ListRequest, ShowRequest};
use clap::Subcommand;
use serde_json::json;

use super::client::ANSWER_BYTES_MAX;
use super::{Error, Invocation, Outcome};
use crate::cli::client::Connection;
pub(super) use identity::certified_text;
use view::{EnforcerView, ShownView};

/// `checkrein fleet`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register an enforcer; writes its key, certificate and config
    #[command(after_help = ADD_EXAMPLE)]
    Add(add::Args),
    /// Let an enforcer, a person or an agent on another machine join, once; prints the command to type there
    #[command(after_help = ENROL_EXAMPLE)]
    Enrol(enrol::Args),
    /// Who was invited by `fleet enrol`, and what became of it; take an invitation back
    Invitations(invitations::Args),
    /// Enforcers, and what each runs
    #[command(after_help = "Example:\n  checkrein fleet list")]
    List,
    /// One enforcer: every directory it runs from, its journals, and the bundles it refused
    #[command(after_help = "Example:\n  checkrein fleet show billing")]
    Show {
        /// The enforcer
        name: String,
    },
    /// Certify a person, an orchestrator or an agent; writes its key, certificate and client config
    #[command(after_help = IDENTITY_EXAMPLE)]
    Identity(identity::Args),
    /// The register of agents: who answers for each, when it was seen, what it may use and never did
    Agents(agents::Args),
    /// Let an agent, an enforcer or a person in nowhere any more; for good
    #[command(after_help = REMOVE_EXAMPLE)]
    Remove(remove::Args),
}

const ADD_EXAMPLE: &str = "\
Example:
  checkrein fleet add billing --label team=payments --agent spiffe://acme.example/agent/billing
  checkrein-enforcer serve --config billing/enforcer.toml
  checkrein fleet add bank-1 --in-process spiffe://acme.example/agent/billing    # for a service that embeds it";

const ENROL_EXAMPLE: &str = "\
Example:
  checkrein fleet enrol edge-1 --agent spiffe://acme.example/agent/billing --expires-in 10m
  checkrein-enforcer join checkrein-join-1.eyJpZCI6…    # on the other machine: makes the key there
  checkrein-enforcer serve --config edge-1/enforcer.toml
  checkrein fleet enrol bob --role approver    # for people and agents: `checkrein join` takes the token";

const IDENTITY_EXAMPLE: &str = "\
Example:
  checkrein fleet identity approver bob
  checkrein --config approver-bob/client.toml hold list";

const REMOVE_EXAMPLE: &str = "\
Example:
  checkrein fleet remove spiffe://acme.example/agent/billing --reason 'replaced by billing-2'

An agent's live tasks are revoked, an enforcer's sessions end, and nothing that was certified for the name is taken anywhere.
That can't be undone, and the name can't be used again.";

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    match args.command {
        Command::Add(args) => add::run(args, invocation).await,
        Command::Enrol(args) => enrol::run(args, invocation).await,
        Command::Invitations(args) => invitations::run(args, invocation).await,
        Command::Identity(args) => identity::run(args, invocation).await,
        Command::Agents(args) => agents::run(args, invocation).await,
        Command::Remove(args) => remove::run(args, invocation).await,
        Command::List => list(invocation).await,
        Command::Show { name } => {
            let mut client = client(invocation.connect().await?);
            let shown = client.show(ShowRequest { name }).await?.into_inner();
            let enforcer = shown.enforcer.ok_or(Error::Incomplete("enforcer"))?;
            let now_ms = invocation.now_ms();
            invocation.answer(&ShownView::of(&enforcer, &shown.journals), |paint| {
                show::card(&enforcer, &shown.journals, now_ms, paint)
            })?;
            Ok(Outcome::Done)
        }
    }
}

async fn list(invocation: &Invocation) -> Result<Outcome, Error> {
    let (listed, generation) = all(&mut client(invocation.connect().await?)).await?;
    let enforcers: Vec<EnforcerView> = listed.iter().map(EnforcerView::of).collect();
    let now_ms = invocation.now_ms();
    let document = json!({"enforcers": enforcers, "generation": generation});
    invocation.answer(&document, |paint| show::table(&listed, generation, now_ms, paint))?;
    Ok(Outcome::Done)
}

/// Every page of the register, and the newest generation.
pub(super) async fn all(client: &mut FleetServiceClient<Connection>) -> Result<(Vec<Enforcer>, u64), Error> {
    let mut enforcers = Vec::new();
    let mut request = ListRequest::default();
    loop {
        let page = client.list(request.clone()).await?.into_inner();
        enforcers.extend(page.enforcers);
        if page.next_page_token.is_empty() {
            return Ok((enforcers, page.generation));
        }
        request.page_token = page.next_page_token;
    }
}

/// The client of the register.
pub(super) fn client(channel: Connection) -> FleetServiceClient<Connection> {
    FleetServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}
