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
use std::time::Duration;

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
/// Answers are counted on a scale of so many steps for each factor of e: what is said of their times is exact to 5 %.
pub(super) const SPREAD: u32 = 20;

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

/// Numbers while they are counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Counted {
    /// All but how long answers took.
    pub(super) numbers: Numbers,
    /// How many answers came on each step of the scale.
    pub(super) answers: BTreeMap<i32, u64>,
}

/// Of what some numbers are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
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

impl Counted {
    /// With those of another part.
    fn add(&mut self, other: &Self) {
        let (all, more) = (&mut self.numbers, &other.numbers);
        all.approved += more.approved;
        all.denied += more.denied;
        all.expired += more.expired;
        all.cancelled += more.cancelled;
        all.waiting += more.waiting;
        all.standing += more.standing;
        all.calls += more.calls;
        for (step, holds) in &other.answers {
            *self.answers.entry(*step).or_default() += holds;
        }
    }

    /// The numbers, with how long answers took.
    fn whole(self) -> Numbers {
        Numbers {
            answer_p50_ms: self.answered_within(50),
            answer_p90_ms: self.answered_within(90),
            ..self.numbers
        }
    }

    /// How long so many of a hundred took at most.
    fn answered_within(&self, of_a_hundred: u64) -> Option<u64> {
        let all: u64 = self.answers.values().sum();
        let wanted = (all * of_a_hundred).div_ceil(100);
        let mut answered = 0;
        let step = self.answers.iter().find(|(_, holds)| {
            answered += **holds;
            answered >= wanted
        });
        step.map(|(step, _)| longest_ms(*step))
    }
}

/// The longest time that is on a step of the scale.
fn longest_ms(step: i32) -> u64 {
    let seconds = (f64::from(step) / f64::from(SPREAD)).exp() / 1_000.0;
    let longest = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)
}

impl Holds {
    /// The numbers of so many days up to now, UTC.
    pub(super) async fn numbers(&self, days: u32) -> Result<Report, DatabaseError> {
        let tx = self.database.begin_looking("hold.numbers").await?;
        let today = store::numbers::today(&tx).await?;
        let since = today.saturating_sub(time::Duration::days(i64::from(days.saturating_sub(1))));
        let mut parts = store::numbers::by_part(&tx, since).await?;
        for counted in parts.values_mut() {
            counted.numbers.calls = counted.numbers.holds();
        }
        for counted in decision::calls_since(&tx, since).await? {
            for part in [Part::Day(counted.day), Part::Agent(counted.agent)] {
                parts.entry(part).or_default().numbers.calls += counted.calls;
            }
        }
        let groups = store::numbers::by_group(&tx, since).await?;
        Ok(report(parts, groups, since, today))
    }
}

/// A day that an enforcer with a clock that is ahead speaks of comes into the total, and is not shown.
fn report(
    parts: BTreeMap<Part, Counted>,
    groups: BTreeMap<String, Counted>,
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
    let mut total = Counted::default();
    let mut agents = Vec::new();
    for (part, counted) in parts {
        match part {
            Part::Day(date) => {
                total.add(&counted);
                if let Some(of_day) = report.days.get_mut(&date) {
                    *of_day = counted.whole();
                }
            }
            Part::Agent(agent) => agents.push((agent, counted.whole())),
        }
    }
    report.total = total.whole();
    report.agents = most_asked(agents);
    report.groups = most_asked(
        groups
            .into_iter()
            .map(|(group, of)| (group, of.whole()))
            .collect(),
    );
    report
}

fn most_asked(mut named: Vec<(String, Numbers)>) -> Vec<(String, Numbers)> {
    named.sort_by(|(one, a), (other, b)| (b.asked(), b.calls, one).cmp(&(a.asked(), a.calls, other)));
    named.truncate(NAMES_MAX);
    named
}

#[cfg(test)]
mod tests;
