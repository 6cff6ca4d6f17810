//! Holds in numbers: how often people are asked, how soon they answer, and how often nobody does.
//!
//! ```text
//! holds, counted by the database in the transaction that opens or answers one
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
/// Answers are counted on a scale of so many steps for each factor of e, as the database does it: what is said of their times is
/// exact to 5 %.
const SPREAD: u32 = 20;

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

/// Numbers while they are added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Counted {
    /// All but how long answers took.
    pub(super) numbers: Numbers,
    /// How long they took.
    pub(super) answers: Answers,
}

/// How many answers came on each step of the scale.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Answers(Vec<u64>);

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
        self.answers.extend(0, other.answers.0.iter().copied());
    }

    /// The numbers, with how long answers took.
    fn whole(self) -> Numbers {
        Numbers {
            answer_p50_ms: self.answers.within(50),
            answer_p90_ms: self.answers.within(90),
            ..self.numbers
        }
    }
}

impl Answers {
    /// With so many more on each step from one on.
    pub(super) fn extend(&mut self, first: usize, more: impl ExactSizeIterator<Item = u64>) {
        let steps = first + more.len();
        if self.0.len() < steps {
            self.0.resize(steps, 0);
        }
        for (all, more) in self.0.iter_mut().skip(first).zip(more) {
            *all += more;
        }
    }

    /// How long so many of a hundred took at most.
    fn within(&self, of_a_hundred: u64) -> Option<u64> {
        let all: u64 = self.0.iter().sum();
        let wanted = (all * of_a_hundred).div_ceil(100).max(1);
        let mut answered = 0;
        let step = self.0.iter().position(|holds| {
            answered += holds;
            answered >= wanted
        });
        step.map(longest_ms)
    }
}

/// The longest time that is on a step of the scale.
fn longest_ms(step: usize) -> u64 {
    let step = u32::try_from(step).unwrap_or(u32::MAX);
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
        let mut days = store::numbers::by_day(&tx, since).await?;
        let (mut agents, groups) = store::numbers::by_name(&tx, since).await?;
        for counted in days.values_mut().chain(agents.values_mut()) {
            counted.numbers.calls = counted.numbers.holds();
        }
        let calls = decision::calls_since(&tx, since).await?;
        for (day, calls) in calls.by_day {
            days.entry(day).or_default().numbers.calls += calls;
        }
        for (agent, calls) in calls.by_agent {
            agents.entry(agent).or_default().numbers.calls += calls;
        }
        let (mut agents, mut groups) = (most_asked(agents), most_asked(groups));
        store::numbers::read_answers(&tx, since, "agent", &mut agents).await?;
        store::numbers::read_answers(&tx, since, "group", &mut groups).await?;
        Ok(report((since, today), days, agents, groups))
    }
}

/// A day that an enforcer with a clock that is ahead speaks of comes into the total, and is not shown.
fn report(
    (since, today): (Date, Date),
    days: BTreeMap<Date, Counted>,
    agents: Vec<(String, Counted)>,
    groups: Vec<(String, Counted)>,
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
    for (date, counted) in days {
        total.add(&counted);
        if let Some(of_day) = report.days.get_mut(&date) {
            *of_day = counted.whole();
        }
    }
    let whole = |(name, counted): (String, Counted)| (name, counted.whole());
    report.total = total.whole();
    report.agents = agents.into_iter().map(whole).collect();
    report.groups = groups.into_iter().map(whole).collect();
    report
}

fn most_asked(named: BTreeMap<String, Counted>) -> Vec<(String, Counted)> {
    let mut named: Vec<_> = named.into_iter().collect();
    named.sort_by(|(one, a), (other, b)| {
        let (a, b) = (&a.numbers, &b.numbers);
        (b.asked(), b.calls, one).cmp(&(a.asked(), a.calls, other))
    });
    named.truncate(NAMES_MAX);
    named
}

#[cfg(test)]
mod tests;
