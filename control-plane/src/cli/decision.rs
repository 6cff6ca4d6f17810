//! `checkrein decision`: the record, read. What was decided, why, and what followed.

mod follow;
mod show;
mod view;
mod whole;

use checkrein_proto::decision::v1::decision_service_client::DecisionServiceClient;
use checkrein_proto::decision::v1::{self as wire, CountRequest, SearchRequest, StoredDecision};
use checkrein_shared::decision::Verdict;
use clap::Subcommand;
use serde_json::json;

use super::client::ANSWER_BYTES_MAX;
use super::output::{Fields, Style};
use super::pages::Rows;
use super::values::{self, LIMIT_DEFAULT, When};
use super::{Error, Invocation, Outcome};
use crate::cli::client::Connection;
use view::DecisionView;

/// `checkrein decision`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The latest decisions, and with -f those that come
    #[command(
        after_help = "Example:\n  checkrein decision tail -f --verdict deny\n  checkrein decision tail -f --json | jq .reason"
    )]
    Tail(TailArgs),
    /// Decisions that match, newest first
    #[command(
        after_help = "Example:\n  checkrein decision search --tool bank/send_money --verdict hold --since 24h"
    )]
    Search(SearchArgs),
    /// One decision: the rules, the reason, the policy, who approved it, under which grant, the outcome
    #[command(after_help = "Example:\n  checkrein decision show dec_0193f1c2a4b87d3e9f00a1b2c3d4e5f6")]
    Show {
        /// The decision
        id: String,
    },
    /// How many decisions the record holds
    #[command(
        after_help = "Example:\n  checkrein decision count --task task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6"
    )]
    Count {
        /// Only of this task
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        task: String,
    },
}

#[derive(Debug, clap::Args)]
struct TailArgs {
    /// Go on with decisions as they come, until interrupted; with --json, one document a line
    #[arg(long, short)]
    follow: bool,
    /// How many of the latest to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    lines: u32,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, clap::Args)]
struct SearchArgs {
    #[command(flatten)]
    filter: Filter,
    /// Only after this: `1h` ago, or `2026-03-01T12:00:00Z`
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    since: Option<When>,
    /// Only before this
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    until: Option<When>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, Clone, clap::Args)]
struct Filter {
    /// Only of this task
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    task: String,
    /// Only of this agent
    #[arg(long, value_name = "SPIFFE-ID", default_value = "", hide_default_value = true)]
    agent: String,
    /// Only of this tool
    #[arg(long, value_name = "TOOL", default_value = "", hide_default_value = true)]
    tool: String,
    /// Only permit, hold or deny
    #[arg(long, value_name = "VERDICT")]
    verdict: Option<Verdict>,
    /// Only where this rule decided
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    rule: String,
    /// Only of this enforcer
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    enforcer: String,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let channel = invocation.connect().await?;
    let client = DecisionServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
    match args.command {
        Command::Tail(args) => follow::tail(client, args, invocation).await,
        Command::Search(args) => search(client, args, invocation).await,
        Command::Show { id } => whole::run(channel, client, id, invocation).await,
        Command::Count { task } => count(client, task, invocation).await,
    }
}

async fn search(
    client: DecisionServiceClient<Connection>,
    args: SearchArgs,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let now_ms = invocation.now_ms();
    let request = SearchRequest {
        since_unix_ms: args.since.map_or(0, |when| when.resolve(now_ms)),
        until_unix_ms: args.until.map_or(0, |when| when.resolve(now_ms)),
        ..args.filter.request()
    };
    let found = newest(&client, &request, args.limit).await?;
    let decisions: Vec<DecisionView> = found.rows.iter().map(DecisionView::of).collect();
    invocation.answer(&json!({"decisions": decisions, "more": found.more}), |paint| {
        show::table(&found.rows, now_ms, paint) + &found.more_line(paint)
    })?;
    Ok(Outcome::Done)
}

async fn newest(
    client: &DecisionServiceClient<Connection>,
    request: &SearchRequest,
    limit: u32,
) -> Result<Rows<StoredDecision>, Error> {
    Rows::collect(limit, async |page_size, page_token| {
        let request = SearchRequest {
            page_size,
            page_token,
            ascending: false,
            ..request.clone()
        };
        let page = client.clone().search(request).await?.into_inner();
        Ok((page.decisions, page.next_page_token))
    })
    .await
}

async fn count(
    mut client: DecisionServiceClient<Connection>,
    task_id: String,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let counted = client.count(CountRequest { task_id }).await?.into_inner();
    let document = json!({
        "decisions": counted.decisions,
        "duplicates": counted.duplicates,
        "outcomes": counted.outcomes,
    });
    invocation.answer(&document, |paint| {
        let style = if counted.duplicates == 0 {
            Style::Plain
        } else {
            Style::Bad
        };
        let mut fields = Fields::default();
        fields
            .line("decisions", &counted.decisions.to_string())
            .styled("duplicates", &counted.duplicates.to_string(), style)
            .line("outcomes", &counted.outcomes.to_string());
        fields.render(paint)
    })?;
    Ok(Outcome::Done)
}

impl Filter {
    fn request(self) -> SearchRequest {
        SearchRequest {
            task_id: self.task,
            agent: self.agent,
            tool: self.tool,
            verdict: self
                .verdict
                .map_or(wire::Verdict::Unspecified, wire::Verdict::from)
                .into(),
            rule: self.rule,
            enforcer: self.enforcer,
            ..SearchRequest::default()
        }
    }
}
