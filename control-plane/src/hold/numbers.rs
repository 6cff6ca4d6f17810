//! Holds in numbers: how often people are asked, how soon they answer, and how often nobody does.
//!
//! ```text
//! holds opened in some days, by an index that has all that is asked of them
//! calls that were never held, counted by the record as it comes home
//! goes to: totals, days, agents, groups
//! ```
//!
//! **Invariant**: what expired is counted as expired and as nobody's no; what a standing approval answered asked nobody.

use std::collections::BTreeMap;

use time::Date;

use super::{Holds, store};
use crate::database::DatabaseError;
use crate::decision;

/// So many days at most.
pub(super) const DAYS_MAX: u32 = 92;
/// So many days if nobody says.
pub(super) const DAYS_DEFAULT: u32 = 7;
/// So many agents are told of, and so many groups.
pub(super) const NAMES_MAX: usize = 100;

/// What became of the holds that were opened in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    /// People said yes, whatever came of it.
    pub(super) approved: u64,
    /// A person said no.
    pub(super) denied: u64,
    /// Nobody answered in time.
    pub(super) expired: u64,
    /// Nobody needs to answer any more.
    pub(super) cancelled: u64,
    /// Nobody has answered yet.
    pub(super) waiting: u64,
    /// Answered by a standing approval.
    pub(super) standing: u64,
    /// How long half of the answers took at most.
    pub(super) answer_p50_ms: Option<u64>,
    /// And nine of ten.
    pub(super) answer_p90_ms: Option<u64>,
    /// Calls that were decided, those held among them.
    pub(super) calls: u64,
}

/// The numbers of some days, whole and in parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Report {
    /// The first of the days.
    pub(super) since: Option<Date>,
    /// All of it.
    pub(super) total: Numbers,
    /// Every day, those on which nothing happened too.
    pub(super) days: BTreeMap<Date, Numbers>,
    /// Those with most holds first.
    pub(super) agents: Vec<(String, Numbers)>,
    /// The same.
    pub(super) groups: Vec<(String, Numbers)>,
}

/// Of what some numbers are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// All of it.
    Total,
    /// A day.
    Day(Date),
    /// An agent.
    Agent(String),
}

impl Numbers {
    /// How often people were asked.
    pub(super) const fn asked(&self) -> u64 {
        self.approved + self.denied + self.expired + self.cancelled + self.waiting
    }

    /// How many holds there were.
    const fn holds(&self) -> u64 {
        self.asked() + self.standing
    }
}

impl Holds {
    /// The numbers of so many days up to now, UTC.
    pub(super) async fn numbers(&self, days: u32) -> Result<Report, DatabaseError> {
        let tx = self.database.begin_looking("hold.numbers").await?;
        let today = store::numbers::today(&tx).await?;
        let since = today.saturating_sub(time::Duration::days(i64::from(days.saturating_sub(1))));
        let mut parts: BTreeMap<Part, Numbers> = store::numbers::by_part(&tx, since).await?;
        for held in parts.values_mut() {
            held.calls = held.holds();
        }
        for counted in decision::calls_since(&tx, since).await? {
            let of = [Part::Total, Part::Day(counted.day), Part::Agent(counted.agent)];
            for part in of {
                parts.entry(part).or_default().calls += counted.calls;
            }
        }
        let groups = store::numbers::by_group(&tx, since).await?;
        Ok(report(parts, groups, since, today))
    }
}

/// A day that an enforcer with a clock that is ahead speaks of comes into the total, and is not shown.
fn report(
    parts: BTreeMap<Part, Numbers>,
    groups: Vec<(String, Numbers)>,
    since: Date,
    today: Date,
) -> Report {
    let mut report = Report {
        since: Some(since),
        ..Report::default()
    };
    let mut day = Some(since);
    while let Some(date) = day.filter(|date| *date <= today) {
        report.days.insert(date, Numbers::default());
        day = date.next_day();
    }
    for (part, numbers) in parts {
        match part {
            Part::Total => report.total = numbers,
            Part::Day(date) => {
                if let Some(of_day) = report.days.get_mut(&date) {
                    *of_day = numbers;
                }
            }
            Part::Agent(agent) => report.agents.push((agent, numbers)),
        }
    }
    report.agents = most_asked(report.agents);
    report.groups = most_asked(groups);
    report
}

fn most_asked(mut named: Vec<(String, Numbers)>) -> Vec<(String, Numbers)> {
    named.sort_by(|(one, a), (other, b)| (b.asked(), b.calls, one).cmp(&(a.asked(), a.calls, other)));
    named.truncate(NAMES_MAX);
    named
}

#[cfg(test)]
mod tests;
