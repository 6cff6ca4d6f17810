//! `checkrein policy usage`: which rules decided how often.

use checkrein_proto::policy::v1::{RuleUse, UsageRequest, UsageResponse};
use serde::Serialize;

use super::client;
use crate::cli::output::{Cell, Paint, Style, Table, relative, rfc3339};
use crate::cli::values::{self, When};
use crate::cli::{Error, Invocation, Outcome};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein policy usage --since 7d
  checkrein policy usage payments --since 30d --json | jq '.rules[] | select(.decisions == 0) | .rule'

Counted in whole hours as records come home, by the clocks of the enforcers.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only rules of this pack as it is in force, and those that never decided too
    #[arg(default_value = "", hide_default_value = true)]
    pack: String,
    /// Only after this: `7d` ago, or `2026-03-01T12:00:00Z` [default: 24h]
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    since: Option<When>,
    /// Only before this [default: now]
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    until: Option<When>,
}

/// Rules' use for scripts. Names are stable.
#[derive(Debug, Serialize)]
struct UsageView {
    since: Option<String>,
    until: Option<String>,
    counted_since: Option<String>,
    rules: Vec<RuleView>,
}

#[derive(Debug, Serialize)]
struct RuleView {
    rule: String,
    decisions: u64,
    permits: u64,
    holds: u64,
    denies: u64,
    last_hour: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    file: String,
    #[serde(skip_serializing_if = "is_nowhere")]
    line: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_nowhere(line: &u32) -> bool {
    *line == 0
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let now_ms = invocation.now_ms();
    let request = UsageRequest {
        pack: args.pack,
        since_unix_ms: args.since.map_or(0, |when| when.resolve(now_ms)),
        until_unix_ms: args.until.map_or(0, |when| when.resolve(now_ms)),
    };
    let usage = client(invocation.connect().await?)
        .usage(request)
        .await?
        .into_inner();
    invocation.answer(&UsageView::of(&usage), |paint| page(&usage, now_ms, paint))?;
    Ok(Outcome::Done)
}

fn page(usage: &UsageResponse, now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&["RULE", "DECIDED", "PERMIT", "HOLD", "DENY", "LAST", "AT"]);
    for rule in &usage.rules {
        let decided = decisions(rule);
        let place = if rule.file.is_empty() {
            String::new()
        } else {
            format!("{}:{}", rule.file, rule.line)
        };
        table.push([
            Cell::from(&*rule.rule).styled(Style::Strong),
            Cell::from(decided.to_string()).styled(if decided == 0 { Style::Dim } else { Style::Plain }),
            Cell::from(rule.permits.to_string()),
            Cell::from(rule.holds.to_string()),
            Cell::from(rule.denies.to_string()),
            Cell::dim(relative(rule.last_hour_unix_ms, now_ms)),
            Cell::dim(place),
        ]);
    }
    let counted = match usage.counted_since_unix_ms {
        0 => "nothing was counted yet".to_owned(),
        at_ms if at_ms > usage.since_unix_ms => {
            format!("counted since {} only", rfc3339(at_ms).unwrap_or_default())
        }
        _ => return table.render(paint, "no rule decided"),
    };
    let rows = table.render(paint, "no rule decided");
    format!("{rows}{}\n", paint.apply(Style::Dim, &counted))
}

const fn decisions(rule: &RuleUse) -> u64 {
    rule.permits + rule.holds + rule.denies
}

impl UsageView {
    fn of(usage: &UsageResponse) -> Self {
        let rule = |rule: &RuleUse| RuleView {
            decisions: decisions(rule),
            rule: rule.rule.clone(),
            permits: rule.permits,
            holds: rule.holds,
            denies: rule.denies,
            last_hour: rfc3339(rule.last_hour_unix_ms),
            file: rule.file.clone(),
            line: rule.line,
        };
        Self {
            since: rfc3339(usage.since_unix_ms),
            until: rfc3339(usage.until_unix_ms),
            counted_since: rfc3339(usage.counted_since_unix_ms),
            rules: usage.rules.iter().map(rule).collect(),
        }
    }
}
