//! How numbers are put together.

use time::{Date, Month};

use super::*;

fn march(day: u8) -> Date {
    Date::from_calendar_date(2026, Month::March, day).unwrap()
}

fn asked(denied: u64, calls: u64) -> Numbers {
    Numbers {
        denied,
        calls,
        ..Numbers::default()
    }
}

#[test]
fn every_day_is_there_and_one_that_has_not_come_is_not() {
    let parts = BTreeMap::from([
        (Part::Total, asked(3, 9)),
        (Part::Day(march(2)), asked(2, 4)),
        (Part::Day(march(9)), asked(1, 5)),
    ]);
    let report = report(parts, Vec::new(), march(1), march(3));
    let days: Vec<_> = report
        .days
        .iter()
        .map(|(day, of)| (day.day(), of.denied))
        .collect();
    assert_eq!(days, [(1, 0), (2, 2), (3, 0)]);
    assert_eq!(report.total, asked(3, 9));
}

#[test]
fn those_who_ask_most_come_first_and_only_so_many() {
    let agent = |n: u64| (Part::Agent(format!("agent-{n:03}")), asked(n % 7, n));
    let report = report((0..300).map(agent).collect(), Vec::new(), march(1), march(1));
    assert_eq!(report.agents.len(), NAMES_MAX);
    assert_eq!(report.agents[0], ("agent-293".to_owned(), asked(6, 293)));
    assert!(report.agents.iter().all(|(_, of)| of.denied >= 4));
}

#[test]
fn what_nobody_answered_was_asked_and_is_nobodys_no() {
    let numbers = Numbers {
        approved: 5,
        denied: 1,
        expired: 2,
        standing: 7,
        ..Numbers::default()
    };
    assert_eq!((numbers.asked(), numbers.denied, numbers.holds()), (8, 1, 15));
}
