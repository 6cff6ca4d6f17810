//! `checkrein approval`: what people let happen again, who said so, in which bounds, and what came of it.

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_shared::hold::State;
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::client::ANSWER_BYTES_MAX;
use super::output::{Cell, Fields, Paint, Style, Table, relative, rfc3339, style_of};
use super::pages::Rows;
use super::values::LIMIT_DEFAULT;
use super::{Error, Invocation, Outcome};
use crate::words::bound_words;

/// `checkrein approval`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What may happen again without asking, the latest first
    #[command(after_help = "Example:\n  checkrein approval list\n  checkrein approval list --all")]
    List(ListArgs),
    /// Who let it happen, what for, in which bounds, and what came of it
    #[command(after_help = "Example:\n  checkrein approval show standing_0193f1c2a4b87d3e9f00a1b2c3d4e5f6")]
    Show {
        /// The standing approval, as `approval list` names it
        id: String,
    },
    /// End it at once, with what it approved and is not released; from then on people are asked
    #[command(
        after_help = "Example:\n  checkrein approval revoke standing_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --reason 'wrong supplier'"
    )]
    Revoke {
        /// The standing approval
        id: String,
        /// Why; the record keeps it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only in this task
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    task: String,
    /// Those that let nothing happen any more as well
    #[arg(long)]
    all: bool,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// For scripts. Names are stable.
#[derive(Debug, Serialize)]
struct View<'a> {
    id: &'a str,
    state: &'static str,
    hold: &'a str,
    task: &'a str,
    agent: &'a str,
    delegated_by: &'a [String],
    user: &'a str,
    tool: &'a str,
    bounds: Vec<String>,
    labels: &'a [String],
    approvers: &'a [String],
    requirements: &'a [String],
    given_at: Option<String>,
    until: Option<String>,
    times: u32,
    used: u32,
    ended_at: Option<String>,
    ended_by: &'a str,
    ended_reason: &'a str,
    uses: Vec<UseView<'a>>,
}

#[derive(Debug, Serialize)]
struct UseView<'a> {
    hold: &'a str,
    state: &'static str,
    opened_at: Option<String>,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let mut client =
        HoldServiceClient::new(invocation.connect().await?).max_decoding_message_size(ANSWER_BYTES_MAX);
    let now_ms = invocation.now_ms();
    match args.command {
        Command::List(args) => {
            let found = Rows::collect(args.limit, async |page_size, page_token| {
                let request = wire::ListStandingRequest {
                    task_id: args.task.clone(),
                    all: args.all,
                    page_size,
                    page_token,
                };
                let page = client.clone().list_standing(request).await?.into_inner();
                Ok((page.standing, page.next_page_token))
            })
            .await?;
            let document = json!({
                "approvals": found.rows.iter().map(View::of).collect::<Vec<_>>(),
                "more": found.more,
            });
            invocation.answer(&document, |paint| {
                table(&found.rows, now_ms, paint) + &found.more_line(paint)
            })?;
        }
        Command::Show { id } => {
            let request = wire::ShowStandingRequest { standing_id: id };
            let shown = client.show_standing(request).await?.into_inner().standing;
            let standing = shown.ok_or(Error::Incomplete("standing"))?;
            invocation.answer(&View::of(&standing), |paint| page(&standing, now_ms, paint))?;
        }
        Command::Revoke { id, reason } => {
            let request = wire::RevokeStandingRequest {
                standing_id: id,
                reason,
                idempotency_key: invocation.idempotency_key(),
            };
            let revoked = client.revoke_standing(request).await?.into_inner();
            let standing = revoked.standing.ok_or(Error::Incomplete("standing"))?;
            let document = json!({ "approval": View::of(&standing), "withdrawn": revoked.withdrawn });
            invocation.answer(&document, |paint| {
                let mut fields = Fields::default();
                for hold in &revoked.withdrawn {
                    fields.line("withdrawn", hold);
                }
                page(&standing, now_ms, paint) + &fields.render(paint)
            })?;
        }
    }
    Ok(Outcome::Done)
}

impl<'a> View<'a> {
    fn of(standing: &'a wire::Standing) -> Self {
        let uses = standing.uses.iter().map(|one| UseView {
            hold: &one.hold_id,
            state: hold_word(one),
            opened_at: rfc3339(one.opened_unix_ms),
        });
        Self {
            id: &standing.standing_id,
            state: word(standing),
            hold: &standing.hold_id,
            task: &standing.task_id,
            agent: &standing.agent,
            delegated_by: &standing.delegated_by,
            user: &standing.user,
            tool: &standing.tool,
            bounds: standing.bounds.iter().map(bound_words).collect(),
            labels: &standing.labels,
            approvers: &standing.approvers,
            requirements: &standing.requirements,
            given_at: rfc3339(standing.given_unix_ms),
            until: rfc3339(standing.until_unix_ms),
            times: standing.times,
            used: standing.used,
            ended_at: rfc3339(standing.ended_unix_ms),
            ended_by: &standing.ended_by,
            ended_reason: &standing.ended_reason,
            uses: uses.collect(),
        }
    }
}

/// One at length.
pub(super) fn page(standing: &wire::Standing, now_ms: u64, paint: Paint) -> String {
    let word = word(standing);
    let mut fields = Fields::default();
    fields
        .styled("approval", &standing.standing_id, Style::Strong)
        .styled("state", word, style_of(word))
        .line("lets", &standing.agent)
        .line("passed on by", &standing.delegated_by.join(", then "))
        .line("acting for", &standing.user)
        .line("call", &standing.tool);
    for bound in &standing.bounds {
        fields.line("with", &bound_words(bound));
    }
    let carries = if standing.labels.is_empty() {
        "no labels".to_owned()
    } else {
        format!("no more than {}", standing.labels.join(", "))
    };
    let used = format!(
        "{} of {} times, each good for one release",
        standing.used, standing.times
    );
    fields
        .line("task", &standing.task_id)
        .line("carrying", &carries)
        .line("until", &relative(standing.until_unix_ms, now_ms))
        .line("used", &used)
        .line("given by", &standing.approvers.join(", "))
        .line("given", &relative(standing.given_unix_ms, now_ms))
        .line("with hold", &standing.hold_id);
    for demand in &standing.requirements {
        fields.line("asked by", demand);
    }
    if standing.ended_unix_ms != 0 {
        fields
            .line("ended", &relative(standing.ended_unix_ms, now_ms))
            .line("ended by", &standing.ended_by)
            .line("because", &standing.ended_reason);
    }
    for one in &standing.uses {
        let opened = relative(one.opened_unix_ms, now_ms);
        fields.line(
            "approved",
            &format!("{}  {}  {opened}", one.hold_id, hold_word(one)),
        );
    }
    fields.render(paint)
}

fn table(rows: &[wire::Standing], now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&[
        "APPROVAL", "STATE", "TOOL", "AGENT", "BOUNDS", "BY", "USED", "UNTIL",
    ]);
    for standing in rows {
        let bounds: Vec<String> = standing.bounds.iter().map(bound_words).collect();
        table.push([
            Cell::from(&*standing.standing_id).styled(Style::Strong),
            Cell::word(word(standing)),
            Cell::from(&*standing.tool),
            Cell::from(&*standing.agent),
            Cell::from(bounds.join(", ")),
            Cell::from(standing.approvers.join(", ")),
            Cell::from(format!("{}/{}", standing.used, standing.times)),
            Cell::from(relative(standing.until_unix_ms, now_ms)),
        ]);
    }
    table.render(paint, "nothing may happen again without asking")
}

fn word(standing: &wire::Standing) -> &'static str {
    match standing.state() {
        wire::StandingState::Live => "live",
        wire::StandingState::UsedUp => "used-up",
        wire::StandingState::Expired => "expired",
        wire::StandingState::Ended => "ended",
        wire::StandingState::Unspecified => "unrecognised",
    }
}

fn hold_word(one: &wire::StandingUse) -> &'static str {
    State::try_from(one.state()).map_or("unrecognised", State::as_str)
}
