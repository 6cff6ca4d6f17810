//! One pack: every version of it, and what its rules do.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use checkrein_proto::policy::v1::{ListRequest, RuleUse, UsageRequest, UsageResponse};
use serde::Deserialize;
use tonic::Status;

use super::super::page::{Frame, Place, Trouble, ok};
use super::super::parts::{Moment, link};
use super::super::visit::Visit;
use super::{Row, next};
use crate::words::{rfc3339, visible};

/// The times that can be asked for, in days.
const PERIODS: [u32; 4] = [1, 7, 30, 90];
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// How wide a bar may be, in its own units.
const BAR_WIDTH: u64 = 100;

#[derive(Template)]
#[template(path = "pack.html")]
struct PackPage {
    frame: Frame,
    pack: String,
    versions: Vec<Row>,
    older: String,
    periods: Vec<(u32, bool)>,
    days: u32,
    rules: Vec<Used>,
    unused: usize,
    counted_since: Option<Moment>,
}

/// How often a rule decided.
struct Used {
    rule: String,
    place: String,
    permits: u64,
    holds: u64,
    denies: u64,
    last: Moment,
    decisions: String,
    /// Where each part of its bar begins, how wide it is, and its class.
    bar: Vec<(u64, u64, &'static str)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Asked {
    days: Option<u32>,
    after: String,
}

/// `GET /policies/{pack}`
pub(in crate::console) async fn page(
    visit: Visit,
    Path(pack): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let request = ListRequest {
        pack: pack.clone(),
        page_token: asked.after,
        ..ListRequest::default()
    };
    let versions = visit.entrance.policies().list(request).await?.into_inner();
    if versions.revisions.is_empty() {
        return Err(Status::not_found(format!("there is no pack `{pack}`")).into());
    }
    let days = asked
        .days
        .filter(|days| PERIODS.contains(days))
        .unwrap_or(PERIODS[1]);
    let request = UsageRequest {
        pack: pack.clone(),
        since_unix_ms: visit.now_ms.saturating_sub(u64::from(days) * DAY_MS),
        until_unix_ms: 0,
    };
    let usage = visit.entrance.policies().usage(request).await?.into_inner();
    let rules = used(&usage, visit.now_ms);
    let path = format!("/policies/{pack}");
    Ok(ok(&PackPage {
        frame: visit.frame(&pack, Place::Policies),
        versions: versions
            .revisions
            .iter()
            .map(|of| Row::of(of, visit.now_ms))
            .collect(),
        older: next(&path, &versions.next_page_token),
        periods: PERIODS.map(|period| (period, period == days)).into(),
        days,
        unused: rules.iter().filter(|rule| rule.bar.is_empty()).count(),
        rules,
        counted_since: Some(usage.counted_since_unix_ms)
            .filter(|since_ms| *since_ms > usage.since_unix_ms)
            .map(|since_ms| Moment::of(since_ms, visit.now_ms)),
        pack: visible(&pack),
    }))
}

fn used(usage: &UsageResponse, now_ms: u64) -> Vec<Used> {
    let most = usage.rules.iter().map(decisions).max().unwrap_or(0).max(1);
    let since = rfc3339(usage.since_unix_ms).unwrap_or_default();
    let rule = |rule: &RuleUse| Used {
        rule: visible(&rule.rule),
        place: visible(&format!("{}:{}", rule.file, rule.line)),
        permits: rule.permits,
        holds: rule.holds,
        denies: rule.denies,
        last: Moment::of(rule.last_hour_unix_ms, now_ms),
        decisions: link("/decisions", &[("rule", &rule.rule), ("since", &since)]),
        bar: bar(rule, most),
    };
    usage.rules.iter().map(rule).collect()
}

/// One part beside the other, of the width of the most used.
fn bar(rule: &RuleUse, most: u64) -> Vec<(u64, u64, &'static str)> {
    let scaled = |count: u64| {
        let width = u128::from(count) * u128::from(BAR_WIDTH) / u128::from(most);
        u64::try_from(width).unwrap_or(BAR_WIDTH).max(1)
    };
    let mut from = 0;
    let mut parts = Vec::new();
    for (count, class) in [(rule.permits, "good"), (rule.holds, "wait"), (rule.denies, "bad")] {
        if count > 0 {
            parts.push((from, scaled(count), class));
            from += scaled(count);
        }
    }
    parts
}

const fn decisions(rule: &RuleUse) -> u64 {
    rule.permits
        .saturating_add(rule.holds)
        .saturating_add(rule.denies)
}
