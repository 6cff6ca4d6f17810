//! `checkrein hold numbers`: how often people are asked, how soon they answer, and how often nobody does.

use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::hold::v1::{self as wire, NamedNumbers, NumbersRequest, NumbersResponse};
use serde::Serialize;

use crate::cli::client::Connection;
use crate::cli::output::{Cell, Fields, Paint, Style, Table, relative, rfc3339, span};
use crate::cli::{Error, Invocation, Outcome};
use crate::words::{expired_share, interruption_rate};

pub(super) const HELP: &str = "\
Example:
  checkrein hold numbers --days 30
  checkrein hold numbers --json | jq '.groups[] | select(.expired_share > 0.2)'

Days are UTC and end now. An answer is a yes or a no of people; what expired is nobody's no. The interruption rate says how many of a
hundred calls were put to people; calls that a standing approval answered asked nobody.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many days, up to now
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=92))]
    days: u32,
}

/// The numbers for scripts. Names are stable.
#[derive(Debug, Serialize)]
struct ReportView {
    since: Option<String>,
    total: NumbersView,
    days: Vec<DayView>,
    agents: Vec<NamedView>,
    groups: Vec<NamedView>,
}

#[derive(Debug, Serialize)]
struct DayView {
    day: Option<String>,
    #[serde(flatten)]
    numbers: NumbersView,
}

#[derive(Debug, Serialize)]
struct NamedView {
    name: String,
    #[serde(flatten)]
    numbers: NumbersView,
}

#[derive(Debug, Serialize)]
struct NumbersView {
    asked: u64,
    approved: u64,
    denied: u64,
    expired: u64,
    cancelled: u64,
    waiting: u64,
    standing: u64,
    answer_p50_ms: Option<u64>,
    answer_p90_ms: Option<u64>,
    calls: u64,
    /// Of a hundred calls; none: no calls were counted.
    interruption_rate: Option<f64>,
    /// Of those that people could have answered and no longer can; none: there are none.
    expired_share: Option<f64>,
}

/// Runs it.
pub(super) async fn run(
    mut client: HoldServiceClient<Connection>,
    args: Args,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let report = client
        .numbers(NumbersRequest { days: args.days })
        .await?
        .into_inner();
    let now_ms = invocation.now_ms();
    invocation.answer(&ReportView::of(&report), |paint| page(&report, now_ms, paint))?;
    Ok(Outcome::Done)
}

fn page(report: &NumbersResponse, now_ms: u64, paint: Paint) -> String {
    let total = report.total.unwrap_or_default();
    let mut fields = Fields::default();
    fields
        .line("since", &relative(report.since_unix_ms, now_ms))
        .line("calls decided", &total.calls.to_string())
        .styled("put to people", &asked(&total), Style::Strong)
        .line("standing approvals answered", &total.standing.to_string())
        .line("answered within", &answered_within(&total))
        .styled("nobody answered", &expired(&total), expired_style(&total));
    let mut days = table("DAY");
    for day in &report.days {
        let date = rfc3339(day.day_unix_ms).unwrap_or_default();
        days.push(row(
            date.get(..10).unwrap_or_default(),
            &day.numbers.unwrap_or_default(),
        ));
    }
    let named = |heading, of: &[NamedNumbers]| {
        let mut table = table(heading);
        for one in of {
            table.push(row(&one.name, &one.numbers.unwrap_or_default()));
        }
        table
    };
    format!(
        "{}\n{}\n{}\n{}",
        fields.render(paint),
        days.render(paint, "no days"),
        named("AGENT", &report.agents).render(paint, "no agent called anything"),
        named("GROUP", &report.groups).render(paint, "no group was asked"),
    )
}

fn table(first: &'static str) -> Table {
    Table::new(&[
        first,
        "CALLS",
        "ASKED",
        "YES",
        "NO",
        "EXPIRED",
        "WAITING",
        "STANDING",
        "HALF WITHIN",
        "90% WITHIN",
    ])
}

fn row(name: &str, numbers: &wire::Numbers) -> [Cell; 10] {
    let within = |ms: Option<u64>| Cell::from(ms.map(span).unwrap_or_default());
    [
        Cell::from(name).styled(Style::Strong),
        Cell::from(numbers.calls.to_string()),
        Cell::from(numbers.asked.to_string()),
        Cell::from(numbers.approved.to_string()),
        Cell::from(numbers.denied.to_string()),
        Cell::from(numbers.expired.to_string()).styled(expired_style(numbers)),
        Cell::from(numbers.waiting.to_string()),
        Cell::dim(numbers.standing.to_string()),
        within(numbers.answer_p50_ms),
        within(numbers.answer_p90_ms),
    ]
}

fn asked(numbers: &wire::Numbers) -> String {
    match interruption_rate(numbers) {
        Some(rate) => format!("{}, {rate} of a hundred calls", numbers.asked),
        None => numbers.asked.to_string(),
    }
}

fn answered_within(numbers: &wire::Numbers) -> String {
    match (numbers.answer_p50_ms, numbers.answer_p90_ms) {
        (Some(half), Some(most)) => format!("{} (half), {} (nine of ten)", span(half), span(most)),
        _ => String::new(),
    }
}

fn expired(numbers: &wire::Numbers) -> String {
    match expired_share(numbers) {
        Some(share) => format!("{} ({:.1} %)", numbers.expired, share * 100.0),
        None => String::new(),
    }
}

const fn expired_style(numbers: &wire::Numbers) -> Style {
    if numbers.expired == 0 {
        Style::Plain
    } else {
        Style::Waiting
    }
}

impl ReportView {
    fn of(report: &NumbersResponse) -> Self {
        let numbers = |of: &Option<wire::Numbers>| NumbersView::of(&of.unwrap_or_default());
        let named = |of: &NamedNumbers| NamedView {
            name: of.name.clone(),
            numbers: numbers(&of.numbers),
        };
        let day = |of: &wire::DayNumbers| DayView {
            day: rfc3339(of.day_unix_ms).and_then(|day| day.get(..10).map(ToOwned::to_owned)),
            numbers: numbers(&of.numbers),
        };
        Self {
            since: rfc3339(report.since_unix_ms),
            total: numbers(&report.total),
            days: report.days.iter().map(day).collect(),
            agents: report.agents.iter().map(named).collect(),
            groups: report.groups.iter().map(named).collect(),
        }
    }
}

impl NumbersView {
    fn of(numbers: &wire::Numbers) -> Self {
        Self {
            asked: numbers.asked,
            approved: numbers.approved,
            denied: numbers.denied,
            expired: numbers.expired,
            cancelled: numbers.cancelled,
            waiting: numbers.waiting,
            standing: numbers.standing,
            answer_p50_ms: numbers.answer_p50_ms,
            answer_p90_ms: numbers.answer_p90_ms,
            calls: numbers.calls,
            interruption_rate: interruption_rate(numbers),
            expired_share: expired_share(numbers),
        }
    }
}

#[cfg(test)]
mod tests;
