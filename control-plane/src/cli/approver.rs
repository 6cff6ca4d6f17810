//! `checkrein approver`: who is away, so that their deputies answer in their place.

use std::time::Duration;

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_shared::identity::SpiffeId;
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::output::{Cell, Style, Table, relative, rfc3339};
use super::values::{When, duration, millis, when};
use super::{Error, Invocation, Outcome};

/// `checkrein approver`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say that you are away: you answer nothing, and your deputies do
    #[command(after_help = AWAY_EXAMPLES)]
    Away(AwayArgs),
    /// Say that you are back: you answer again, and your deputies don't
    #[command(
        after_help = "Examples:\n  checkrein approver back\n  checkrein approver back --approver spiffe://acme.example/approver/bob"
    )]
    Back {
        /// Somebody else; only an operator can say so
        #[arg(long, value_name = "SPIFFE-ID")]
        approver: Option<SpiffeId>,
    },
    /// Who is away, and until when
    #[command(after_help = "Example:\n  checkrein approver list")]
    List,
}

const AWAY_EXAMPLES: &str = "\
Examples:
  checkrein approver away --for 8h
  checkrein approver away --until 2026-08-31T07:00:00Z
  checkrein approver away --approver spiffe://acme.example/approver/bob

A group in `checkrein.toml` says who your deputy is: `deputies = { \"spiffe://…/approver/bob\" = \"spiffe://…/approver/dave\" }`.
What you said yes to before still counts. What your deputy said yes to counts while you are away: if you are back before it is
used, people are asked again.";

#[derive(Debug, clap::Args)]
struct AwayArgs {
    /// For so long [default: until you say that you are back]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "until")]
    for_: Option<Duration>,
    /// Until this moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<u64>,
    /// Somebody else; only an operator can say so
    #[arg(long, value_name = "SPIFFE-ID")]
    approver: Option<SpiffeId>,
}

/// For scripts. Names are stable.
#[derive(Debug, Serialize)]
struct View<'a> {
    approver: &'a str,
    since: Option<String>,
    until: Option<String>,
    declared_by: &'a str,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let mut client = HoldServiceClient::new(invocation.connect().await?);
    let idempotency_key = invocation.idempotency_key();
    match args.command {
        Command::Away(args) => {
            let until = args
                .for_
                .map(|for_| invocation.now_ms().saturating_add(millis(for_)));
            let request = wire::GoAwayRequest {
                approver: args.approver.map(String::from).unwrap_or_default(),
                until_unix_ms: until.or(args.until).unwrap_or_default(),
                idempotency_key,
            };
            let gone = client.go_away(request).await?.into_inner().absence;
            let absence = gone.ok_or(Error::Incomplete("absence"))?;
            invocation.answer(&View::of(&absence), |paint| {
                let until = until_words(&absence, invocation.now_ms());
                let who = paint.apply(Style::Strong, &absence.approver);
                format!("{who} is away {until}; deputies answer in their place\n")
            })?;
        }
        Command::Back { approver } => {
            let request = wire::ComeBackRequest {
                approver: approver.map(String::from).unwrap_or_default(),
                idempotency_key,
            };
            let was_away = client.come_back(request).await?.into_inner().was_away;
            invocation.answer(&json!({ "was_away": was_away }), |_| {
                let said = if was_away {
                    "back: deputies no longer answer"
                } else {
                    "was not away; nothing has changed"
                };
                format!("{said}\n")
            })?;
        }
        Command::List => {
            let request = wire::ListAbsencesRequest {};
            let absences = client.list_absences(request).await?.into_inner().absences;
            let views: Vec<View<'_>> = absences.iter().map(View::of).collect();
            invocation.answer(&json!({ "absences": views }), |paint| {
                let mut table = Table::new(&["AWAY", "SINCE", "UNTIL", "SAID BY"]);
                for absence in &absences {
                    table.push([
                        Cell::from(&*absence.approver).styled(Style::Strong),
                        Cell::from(relative(absence.since_unix_ms, invocation.now_ms())),
                        Cell::from(until_words(absence, invocation.now_ms())),
                        Cell::from(&*absence.declared_by),
                    ]);
                }
                table.render(paint, "nobody is away")
            })?;
        }
    }
    Ok(Outcome::Done)
}

impl<'a> View<'a> {
    fn of(absence: &'a wire::Absence) -> Self {
        Self {
            approver: &absence.approver,
            since: rfc3339(absence.since_unix_ms),
            until: rfc3339(absence.until_unix_ms),
            declared_by: &absence.declared_by,
        }
    }
}

fn until_words(absence: &wire::Absence, now_ms: u64) -> String {
    match absence.until_unix_ms {
        0 => "until they say that they are back".to_owned(),
        until_ms => format!("until {}", relative(until_ms, now_ms)),
    }
}

/// `2026-08-31T07:00:00Z`.
fn moment(text: &str) -> Result<u64, String> {
    match when(text) {
        Ok(When::At(at_ms)) => Ok(at_ms),
        _ => Err("expected a time such as `2026-08-31T07:00:00Z`; --for takes a duration".to_owned()),
    }
}
