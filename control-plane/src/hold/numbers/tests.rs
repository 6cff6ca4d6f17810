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
        answers: Answers::default(),
    }
}

#[test]
fn every_day_is_there_and_one_that_has_not_come_is_only_in_the_total() {
    let days = BTreeMap::from([(march(2), asked(2, 4)), (march(9), asked(1, 5))]);
    let report = report((march(1), march(3)), days, Vec::new(), Vec::new());
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
    let agent = |n: u64| (format!("agent-{n:03}"), asked(n % 7, n));
    let agents = most_asked((0..300).map(agent).collect());
    assert_eq!(agents.len(), NAMES_MAX);
    assert_eq!(agents[0], ("agent-293".to_owned(), asked(6, 293)));
    assert!(agents.iter().all(|(_, of)| of.numbers.denied >= 4));
}

#[test]
fn how_long_answers_took_is_exact_to_a_twentieth_and_never_too_short() {
    let step = |ms: f64| {
        let step = (ms.ln() * f64::from(SPREAD)).ceil();
        format!("{step:.0}").parse::<usize>().unwrap()
    };
    let mut counted = Counted::default();
    for seconds in 1..=100 {
        counted
            .answers
            .extend(step(f64::from(seconds) * 1_000.0), [1].into_iter());
    }
    let numbers = counted.whole();
    let (half, most) = (numbers.answer_p50_ms.unwrap(), numbers.answer_p90_ms.unwrap());
    assert!((50_000..=52_600).contains(&half), "{half}");
    assert!((90_000..=94_700).contains(&most), "{most}");
    assert_eq!(Counted::default().whole().answer_p50_ms, None);
}

#[test]
fn answers_of_parts_that_begin_at_other_steps_are_added_step_by_step() {
    let mut answers = Answers::default();
    answers.extend(2, [1, 0, 5].into_iter());
    answers.extend(0, [7].into_iter());
    answers.extend(3, [1, 1, 1].into_iter());
    assert_eq!(answers, Answers(vec![7, 0, 1, 1, 6, 1]));
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
