//! Numbers on the wire.

use checkrein_proto::hold::v1 as wire;
use time::Date;
use tonic::Status;

use super::super::Holds;
use super::super::numbers::{DAYS_DEFAULT, DAYS_MAX, Numbers, Report};
use crate::api::{bad_field, too_much};
use crate::database::to_ms;

/// The numbers of so many days.
pub(super) async fn of(holds: &Holds, days: u32) -> Result<wire::NumbersResponse, Status> {
    if days > DAYS_MAX {
        return Err(bad_field("days", format!("at most {DAYS_MAX}")));
    }
    let days = if days == 0 { DAYS_DEFAULT } else { days };
    let report = holds
        .numbers(days)
        .await
        .map_err(|error| too_much(&error, "ask for fewer days"))?;
    Ok(encode(&report))
}

fn encode(report: &Report) -> wire::NumbersResponse {
    let named = |of: &[(String, Numbers)]| {
        let one = |(name, numbers): &(String, Numbers)| wire::NamedNumbers {
            name: name.clone(),
            numbers: Some(numbers.into()),
        };
        of.iter().map(one).collect()
    };
    let day = |(date, numbers): (&Date, &Numbers)| wire::DayNumbers {
        day_unix_ms: begin_ms(*date),
        numbers: Some(numbers.into()),
    };
    wire::NumbersResponse {
        since_unix_ms: report.since.map(begin_ms).unwrap_or_default(),
        total: Some((&report.total).into()),
        days: report.days.iter().map(day).collect(),
        agents: named(&report.agents),
        groups: named(&report.groups),
    }
}

/// Where a day begins, UTC.
fn begin_ms(date: Date) -> u64 {
    to_ms(date.midnight().assume_utc())
}

impl From<&Numbers> for wire::Numbers {
    fn from(numbers: &Numbers) -> Self {
        Self {
            asked: numbers.asked(),
            approved: numbers.approved,
            denied: numbers.denied,
            expired: numbers.expired,
            cancelled: numbers.cancelled,
            waiting: numbers.waiting,
            standing: numbers.standing,
            answer_p50_ms: numbers.answer_p50_ms,
            answer_p90_ms: numbers.answer_p90_ms,
            calls: numbers.calls,
        }
    }
}
