//! How numbers are put together.

use time::{Date, Month};

use super::*;

fn march(day: u8) -> Date {
    Date::from_calendar_date(2026, Month::March, day).unwrap()
}

fn asked(denied: u64, calls: u64) -> Counted {
    let numbers = Numbers {
        denied,
        calls,
        ..Numbers::default()
    };
    Counted {
        numbers,
        answers: BTreeMap::new(),
    }
}

#[test]
fn every_day_is_there_and_one_that_has_not_come_is_only_in_the_total() {
    let parts = BTreeMap::from([
        (Part::Day(march(2)), asked(2, 4)),
        (Part::Day(march(9)), asked(1, 5)),
    ]);
    let report = report(parts, BTreeMap::new(), march(1), march(3));
    let days: Vec<_> = report
        .days
        .iter()
        .map(|(day, of)| (day.day(), of.denied))
        .collect();
    assert_eq!(days, [(1, 0), (2, 2), (3, 0)]);
    assert_eq!(report.total, asked(3, 9).whole());
}

#[test]
fn those_who_ask_most_come_first_and_only_so_many() {
    let agent = |n: u64| (Part::Agent(format!("agent-{n:03}")), asked(n % 7, n));
    let report = report((0..300).map(agent).collect(), BTreeMap::new(), march(1), march(1));
    assert_eq!(report.agents.len(), NAMES_MAX);
    assert_eq!(report.agents[0], ("agent-293".to_owned(), asked(6, 293).whole()));
    assert!(report.agents.iter().all(|(_, of)| of.denied >= 4));
}

#[test]
fn how_long_answers_took_is_exact_to_a_twentieth_and_never_too_short() {
    let step = |ms: f64| {
        let step = (ms.ln() * f64::from(SPREAD)).ceil();
        format!("{step:.0}").parse::<i32>().unwrap()
    };
    let mut counted = Counted::default();
    for seconds in 1..=100 {
        *counted
            .answers
            .entry(step(f64::from(seconds) * 1_000.0))
            .or_default() += 1;
    }
    let numbers = counted.whole();
    let (half, most) = (numbers.answer_p50_ms.unwrap(), numbers.answer_p90_ms.unwrap());
    assert!((50_000..=52_600).contains(&half), "{half}");
    assert!((90_000..=94_700).contains(&most), "{most}");
    assert_eq!(Counted::default().whole().answer_p50_ms, None);
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
