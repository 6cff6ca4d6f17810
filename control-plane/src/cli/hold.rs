//! `checkrein hold`: what waits for people, exactly what it is, and their yes or no.
//!
//! **Invariant**: a vote carries the hash of what was shown, recomputed here; if the two differ, nothing is voted.

mod glass;
mod numbers;
mod people;
mod remark;
mod show;
mod terms;
mod together;
mod view;
mod vote;

use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::hold::v1::{self as wire, ListRequest, ShowRequest};
use checkrein_shared::hold::State;
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::client::ANSWER_BYTES_MAX;
use super::output::{Cell, Paint, Style, Table, relative};
use super::pages::Rows;
use super::values::LIMIT_DEFAULT;
use super::{Error, Invocation, Outcome};
use crate::cli::client::Connection;
use crate::words::hold_word;
pub(super) use remark::RemarkError;
use show::Shown;
use terms::TermsArgs;
use together::Which;
use view::HoldView;
pub(super) use vote::VoteError;

/// `checkrein hold`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What waits, the most urgent first
    #[command(
        after_help = "Example:\n  checkrein hold list\n  checkrein hold list --state denied --state expired\n  checkrein hold list --like hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6\n  checkrein hold list --unreviewed"
    )]
    List(ListArgs),
    /// Exactly what will happen if this is approved
    #[command(after_help = "Example:\n  checkrein hold show hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6")]
    Show {
        /// The hold, as `hold list` names it
        id: String,
    },
    /// Let it happen, once; or also what is like it, for a while and in bounds
    #[command(after_help = APPROVE_EXAMPLES)]
    Approve(ApproveArgs),
    /// Don't let it happen; the agent is told why, and not to try another way
    #[command(
        after_help = "Example:\n  checkrein hold deny hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --reason 'not our supplier'\n  checkrein hold deny --like hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --reason 'not our supplier'"
    )]
    Deny(DenyArgs),
    /// Ask something before it is answered; the agent is told, and everybody who sees it
    #[command(after_help = remark::ASK_EXAMPLE)]
    Ask(remark::AskArgs),
    /// Reply to what somebody asked; neither a yes nor a no
    #[command(after_help = remark::REPLY_EXAMPLE)]
    Reply(remark::ReplyArgs),
    /// Hand it on to somebody else who may answer it
    #[command(after_help = remark::HAND_EXAMPLE)]
    Hand(remark::HandArgs),
    /// Let it happen although those who were asked did not answer: two people, in the open, reviewed afterwards
    #[command(after_help = glass::BREAK_EXAMPLE)]
    BreakGlass(glass::BreakArgs),
    /// Say what you found who looked afterwards at one for which the glass was broken
    #[command(after_help = glass::REVIEW_EXAMPLE)]
    Review(glass::ReviewArgs),
    /// How often people were asked, how soon they answered, and how often nobody did
    #[command(after_help = numbers::HELP)]
    Numbers(numbers::Args),
}

const APPROVE_EXAMPLES: &str = "\
Examples:
  This, once:
    checkrein hold approve hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6
  Several, each once; or all that wait with the same tool and arguments:
    checkrein hold approve hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f7
    checkrein hold approve --like hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6
  This, and for two hours up to 20 payments like it, of at most 500, whatever the memo says:
    checkrein hold approve hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --for 2h --times 20 --at-most amount=500 --any memo

What may happen again is shown before you are asked, and can be taken back: `checkrein approval revoke`.";

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only in this state; several may be given [default: open, approved]
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Vec<State>,
    /// Only of this task
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    task: String,
    /// Only open ones with the tool, definition and arguments of this hold, in any task
    #[arg(long, value_name = "HOLD", default_value = "", hide_default_value = true)]
    like: String,
    /// Only those for which the glass was broken, wherever they stand
    #[arg(long)]
    broken: bool,
    /// Of those, only the ones that nobody has reviewed
    #[arg(long)]
    unreviewed: bool,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, clap::Args)]
struct ApproveArgs {
    /// The hold; several are answered together, at most 100
    #[arg(required_unless_present = "like", value_name = "HOLD")]
    ids: Vec<String>,
    /// All that wait with the tool, definition and arguments of this hold, in any task
    #[arg(long, value_name = "HOLD", conflicts_with = "ids")]
    like: Option<String>,
    #[command(flatten)]
    again: TermsArgs,
    /// Don't ask again
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
struct DenyArgs {
    /// The hold; several are answered together, at most 100
    #[arg(required_unless_present = "like", value_name = "HOLD")]
    ids: Vec<String>,
    /// All that wait with the tool, definition and arguments of this hold, in any task
    #[arg(long, value_name = "HOLD", conflicts_with = "ids")]
    like: Option<String>,
    /// What the agent and its human are told
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Don't ask again
    #[arg(long, short)]
    yes: bool,
}

/// The states by their words, which the help lists.
fn states() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.map(State::as_str)).try_map(|word| word.parse::<State>())
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let client =
        HoldServiceClient::new(invocation.connect().await?).max_decoding_message_size(ANSWER_BYTES_MAX);
    match args.command {
        Command::List(args) => list(client, args, invocation).await,
        Command::Show { id } => {
            let shown = find(client, id).await?;
            let now_ms = invocation.now_ms();
            invocation.answer(&HoldView::of_shown(&shown), |paint| {
                let mut page = show::page(&shown, now_ms, paint);
                if let Some(offer) = &shown.offer {
                    page.push('\n');
                    page.push_str(&terms::offered(offer, paint));
                }
                page
            })?;
            Ok(Outcome::Done)
        }
        Command::Numbers(args) => numbers::run(client, args, invocation).await,
        Command::Approve(args) => {
            answer(
                client,
                (args.ids, args.like),
                vote::Word::Approve,
                (args.again, args.yes),
                invocation,
            )
            .await
        }
        Command::Deny(args) => {
            let word = vote::Word::Deny { reason: args.reason };
            let again = TermsArgs::default();
            answer(client, (args.ids, args.like), word, (again, args.yes), invocation).await
        }
        Command::Ask(args) => remark::say(client, remark::Said::Ask(args), invocation).await,
        Command::Reply(args) => remark::say(client, remark::Said::Reply(args), invocation).await,
        Command::Hand(args) => remark::say(client, remark::Said::Hand(args), invocation).await,
        Command::BreakGlass(args) => glass::break_glass(client, args, invocation).await,
        Command::Review(args) => glass::review(client, args, invocation).await,
    }
}

/// One hold, with terms if there are any; or several together, each for itself.
async fn answer(
    client: HoldServiceClient<Connection>,
    (mut ids, like): (Vec<String>, Option<String>),
    word: vote::Word,
    (again, yes): (TermsArgs, bool),
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let which = match (like, ids.len()) {
        (None, 1) => {
            let id = ids.remove(0);
            return vote::cast(client, id, word, (&again, yes), invocation).await;
        }
        (Some(like), _) => Which::Like(like),
        (None, _) => Which::These(ids),
    };
    if again != TermsArgs::default() {
        return Err(VoteError::AgainTogether.into());
    }
    together::cast(client, which, &word, yes, invocation).await
}

/// The hold, and what stands with it.
async fn find(mut client: HoldServiceClient<Connection>, hold_id: String) -> Result<Shown, Error> {
    let shown = client.show(ShowRequest { hold_id }).await?.into_inner();
    Ok(Shown {
        hold: shown.hold.ok_or(Error::Incomplete("hold"))?,
        labels: shown.labels,
        offer: shown.offer,
        before: shown.before,
    })
}

async fn list(
    client: HoldServiceClient<Connection>,
    args: ListArgs,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let states: Vec<i32> = args
        .state
        .iter()
        .map(|state| wire::State::from(*state).into())
        .collect();
    let found = Rows::collect(args.limit, async |page_size, page_token| {
        let request = ListRequest {
            states: states.clone(),
            task_id: args.task.clone(),
            page_size,
            page_token,
            like_hold_id: args.like.clone(),
            broken: args.broken,
            unreviewed: args.unreviewed,
        };
        let page = client.clone().list(request).await?.into_inner();
        Ok((page.holds, page.next_page_token))
    })
    .await?;
    let document = json!({
        "holds": found.rows.iter().map(HoldView::of).collect::<Vec<_>>(),
        "more": found.more,
    });
    let now_ms = invocation.now_ms();
    invocation.answer(&document, |paint| {
        table(&found.rows, now_ms, paint) + &found.more_line(paint)
    })?;
    Ok(Outcome::Done)
}

fn table(holds: &[wire::Hold], now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&[
        "HOLD",
        "STATE",
        "TOOL",
        "AGENT",
        "FOR",
        "WAITS FOR",
        "UNTIL",
        "MAY ANSWER",
        "SAID",
        "GLASS",
    ]);
    for hold in holds {
        let action = hold.action.clone().unwrap_or_default();
        let groups: Vec<&str> = hold
            .requirements
            .iter()
            .map(|requirement| &*requirement.group)
            .collect();
        let until_ms = if hold.use_by_unix_ms == 0 {
            hold.decide_by_unix_ms
        } else {
            hold.use_by_unix_ms
        };
        table.push([
            Cell::from(&*hold.hold_id).styled(Style::Strong),
            Cell::word(hold_word(hold)),
            Cell::from(action.tool),
            Cell::from(action.agent),
            Cell::from(action.user),
            Cell::from(groups.join(", ")),
            Cell::from(relative(until_ms, now_ms)),
            Cell::from(people::names(hold)),
            Cell::from(remark::word(hold)),
            Cell::from(people::glass_word(hold)).styled(Style::Bad),
        ]);
    }
    table.render(paint, "nothing waits for people")
}

#[cfg(test)]
mod tests;
