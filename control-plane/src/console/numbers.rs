//! Holds in numbers: how often people are asked, how soon they answer, and how often nobody does.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use checkrein_proto::hold::v1::{NamedNumbers, Numbers, NumbersRequest, NumbersResponse};
use serde::Deserialize;

use super::chart::Chart;
use super::page::{Frame, Place, Trouble, ok};
use super::parts::short;
use super::visit::Visit;
use crate::words::{expired_share, interruption_rate, rfc3339, span, visible};

/// The times that can be asked for, in days.
const PERIODS: [u32; 4] = [7, 14, 30, 92];
const PARTS: &[(&str, &str)] = &[
    ("good", "answered yes"),
    ("bad", "answered no"),
    ("wait", "nobody answered"),
    ("soft", "still open, or called off"),
];

#[derive(Template)]
#[template(path = "numbers.html")]
struct NumbersPage {
    frame: Frame,
    /// Days, and whether they are shown.
    periods: Vec<(u32, bool)>,
    days: u32,
    total: Row,
    chart: Chart,
    by_day: Vec<Row>,
    by_agent: Vec<Row>,
    by_group: Vec<Row>,
}

/// The numbers of one thing.
#[derive(Debug)]
struct Row {
    name: String,
    whole_name: String,
    calls: u64,
    asked: u64,
    approved: u64,
    denied: u64,
    expired: u64,
    other: u64,
    standing: u64,
    half: String,
    most: String,
    rate: String,
    share: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    days: Option<u32>,
}

/// `GET /numbers`
pub(super) async fn page(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Trouble> {
    let days = asked.days.unwrap_or(PERIODS[0]);
    let report = visit.entrance.holds().numbers(NumbersRequest { days }).await?;
    Ok(ok(&NumbersPage::of(&visit, &report.into_inner(), days)))
}

impl NumbersPage {
    fn of(visit: &Visit, report: &NumbersResponse, days: u32) -> Self {
        let total = Row::of("", &report.total.unwrap_or_default());
        let by_day: Vec<Row> = report
            .days
            .iter()
            .map(|day| Row::of(&date(day.day_unix_ms), &day.numbers.unwrap_or_default()))
            .collect();
        let bars: Vec<_> = by_day.iter().map(Row::bar).collect();
        let says = format!(
            "In {days} days people were asked {} times: {} yes, {} no, {} without an answer.",
            total.asked, total.approved, total.denied, total.expired
        );
        let named = |of: &[NamedNumbers]| {
            let row = |of: &NamedNumbers| Row::of(&of.name, &of.numbers.unwrap_or_default());
            of.iter().map(row).collect()
        };
        Self {
            frame: visit.frame("Numbers", Place::Numbers),
            periods: PERIODS.map(|period| (period, period == days)).into(),
            days,
            chart: Chart::of(("Holds by the day they were opened", says), PARTS, &bars),
            total,
            by_agent: named(&report.agents),
            by_group: named(&report.groups),
            by_day,
        }
    }
}

impl Row {
    fn of(name: &str, numbers: &Numbers) -> Self {
        let within = |ms: Option<u64>| ms.map(span).unwrap_or_default();
        Self {
            name: short(name),
            whole_name: visible(name),
            calls: numbers.calls,
            asked: numbers.asked,
            approved: numbers.approved,
            denied: numbers.denied,
            expired: numbers.expired,
            other: numbers.cancelled + numbers.waiting,
            standing: numbers.standing,
            half: within(numbers.answer_p50_ms),
            most: within(numbers.answer_p90_ms),
            rate: interruption_rate(numbers).map_or(String::new(), |rate| format!("{rate:.2}")),
            share: expired_share(numbers).map_or(String::new(), |share| format!("{:.1} %", share * 100.0)),
        }
    }

    /// By the day of the month, or of the year where days are many.
    fn bar(&self) -> (String, Vec<u64>) {
        let day = self.name.get(5..).unwrap_or(&self.name).to_owned();
        (day, vec![self.approved, self.denied, self.expired, self.other])
    }
}

fn date(day_ms: u64) -> String {
    let moment = rfc3339(day_ms).unwrap_or_default();
    moment.get(..10).unwrap_or_default().to_owned()
}
