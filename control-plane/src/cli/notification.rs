//! `checkrein notification`: which messages did not reach people, why, and another try.

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::notification_service_client::NotificationServiceClient;
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::client::Connection;
use super::output::{Cell, Paint, Style, Table, relative, rfc3339};
use super::pages::Rows;
use super::values::LIMIT_DEFAULT;
use super::{Error, Invocation, Outcome};

/// `checkrein notification`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Messages that wait or were given up, the latest first
    #[command(after_help = "Example:\n  checkrein notification list\n  checkrein notification list --dead")]
    List(ListArgs),
    /// Try messages that were given up anew
    #[command(
        after_help = "Example:\n  checkrein notification retry notification_0193f1c2a4b87d3e9f00a1b2c3d4e5f6\n  checkrein notification retry --all-dead"
    )]
    Retry {
        /// The message, as `notification list` names it
        #[arg(required_unless_present = "all_dead", conflicts_with = "all_dead")]
        id: Option<String>,
        /// All that were given up
        #[arg(long)]
        all_dead: bool,
    },
    /// Send a message that says it is a test; a channel that its receiver turned off is on again if it gets there
    #[command(after_help = "Example:\n  checkrein notification test pager")]
    Test {
        /// The channel, as the file of `serve --notifications` names it
        channel: String,
    },
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those that were given up
    #[arg(long)]
    dead: bool,
    /// Those that were sent as well
    #[arg(long, conflicts_with = "dead")]
    sent: bool,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// For scripts. Names are stable.
#[derive(Debug, Serialize)]
struct View<'a> {
    id: &'a str,
    channel: &'a str,
    recipient: &'a str,
    event: &'a str,
    hold: &'a str,
    state: &'static str,
    attempts: u32,
    last_error: &'a str,
    happened_at: Option<String>,
    next_at: Option<String>,
    ended_at: Option<String>,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let mut client = NotificationServiceClient::new(invocation.connect().await?);
    match args.command {
        Command::List(args) => list(&args, &client, invocation).await,
        Command::Retry { id, all_dead } => {
            let request = wire::RetryNotificationsRequest {
                notification_id: id.unwrap_or_default(),
                all_dead,
                idempotency_key: invocation.idempotency_key(),
            };
            let retried = client.retry_notifications(request).await?.into_inner().retried;
            invocation.answer(&json!({ "retried": retried }), |_| {
                format!("{retried} tried anew; `checkrein notification list` shows what comes of it\n")
            })?;
            Ok(Outcome::Done)
        }
        Command::Test { channel } => {
            let request = wire::TestChannelRequest {
                channel: channel.clone(),
                idempotency_key: invocation.idempotency_key(),
            };
            let tested = client.test_channel(request).await?.into_inner();
            let document = json!({
                "channel": channel,
                "delivered": tested.delivered,
                "error": tested.error,
                "id": tested.notification_id,
            });
            invocation.answer(&document, |_| {
                if tested.delivered {
                    format!("{channel} took {}\n", tested.notification_id)
                } else {
                    format!("{channel} did not take it: {}\n", tested.error)
                }
            })?;
            Ok(if tested.delivered {
                Outcome::Done
            } else {
                Outcome::Failed
            })
        }
    }
}

async fn list(
    args: &ListArgs,
    client: &NotificationServiceClient<Connection>,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let found = Rows::collect(args.limit, async |page_size, page_token| {
        let request = wire::ListNotificationsRequest {
            dead: args.dead,
            sent: args.sent,
            page_size,
            page_token,
        };
        let page = client.clone().list_notifications(request).await?.into_inner();
        Ok((page.notifications, page.next_page_token))
    })
    .await?;
    let views: Vec<View<'_>> = found.rows.iter().map(View::of).collect();
    let document = json!({ "notifications": views, "more": found.more });
    let now_ms = invocation.now_ms();
    invocation.answer(&document, |paint| {
        table(&found.rows, now_ms, paint) + &found.more_line(paint)
    })?;
    Ok(Outcome::Done)
}

impl<'a> View<'a> {
    fn of(row: &'a wire::Notification) -> Self {
        Self {
            id: &row.notification_id,
            channel: &row.channel,
            recipient: &row.recipient,
            event: &row.event,
            hold: &row.hold_id,
            state: word(row),
            attempts: row.attempts,
            last_error: &row.last_error,
            happened_at: rfc3339(row.happened_unix_ms),
            next_at: rfc3339(row.next_unix_ms),
            ended_at: rfc3339(row.ended_unix_ms),
        }
    }
}

fn table(rows: &[wire::Notification], now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&[
        "NOTIFICATION",
        "STATE",
        "CHANNEL",
        "EVENT",
        "HOLD",
        "TRIES",
        "NEXT",
        "LAST ERROR",
    ]);
    for row in rows {
        let next = if row.next_unix_ms == 0 {
            String::new()
        } else {
            relative(row.next_unix_ms, now_ms)
        };
        table.push([
            Cell::from(&*row.notification_id).styled(Style::Strong),
            Cell::word(word(row)),
            Cell::from(whither(row)),
            Cell::from(&*row.event),
            Cell::from(&*row.hold_id),
            Cell::from(row.attempts.to_string()),
            Cell::from(next),
            Cell::from(&*row.last_error),
        ]);
    }
    table.render(paint, "everybody was told of everything")
}

/// The channel, and whom of it a message is for.
fn whither(row: &wire::Notification) -> String {
    if row.recipient.is_empty() {
        row.channel.clone()
    } else {
        format!("{} to {}", row.channel, row.recipient)
    }
}

fn word(row: &wire::Notification) -> &'static str {
    match row.state() {
        wire::NotificationState::Waiting => "waiting",
        wire::NotificationState::Sent => "sent",
        wire::NotificationState::Dead => "dead",
        wire::NotificationState::Unspecified => "unrecognised",
    }
}
