//! One text for one id, and one kind is never another.

use super::*;
use crate::clock::ManualClock;

#[test]
fn an_id_is_parsed_as_it_is_written() {
    let id = TaskId::new(&ManualClock::at(1));
    let text = id.to_string();
    assert_eq!(text.parse(), Ok(id));
    assert_eq!(text.len(), "task_".len() + UUID_DIGITS);
    assert_eq!(TaskId::from_uuid(id.uuid()), id);
}

#[test]
fn an_id_of_another_kind_or_written_otherwise_is_refused() {
    let uuid = "0198c0de00007000800000000000cafe";
    assert!(format!("task_{uuid}").parse::<TaskId>().is_ok());
    for other in [
        format!("hold_{uuid}"),
        uuid.to_owned(),
        "task_".to_owned(),
        "task_0198c0de-0000-7000-8000-00000000cafe".to_owned(),
        format!("task_{{{uuid}}}"),
        format!("task_urn:uuid:{uuid}"),
        format!("task_{}", &uuid[1..]),
        format!("task_{uuid}0"),
        format!("task_{}g", &uuid[1..]),
    ] {
        assert!(other.parse::<TaskId>().is_err(), "{other}");
    }
}

#[test]
fn a_refused_id_is_shown_cut() {
    let refused = format!("task_{}", "é".repeat(1_000))
        .parse::<TaskId>()
        .unwrap_err();
    assert!(refused.to_string().chars().count() < 150, "{refused}");
}

#[test]
fn ids_sort_by_the_millisecond_they_were_made_in() {
    let clock = ManualClock::at(1_700_000_000_000);
    let ids: Vec<_> = (0..100)
        .map(|_| {
            clock.advance_ms(1);
            DecisionId::new(&clock)
        })
        .collect();
    assert!(ids.is_sorted());
    let texts: Vec<_> = ids.iter().map(ToString::to_string).collect();
    assert!(texts.is_sorted(), "as text too");
}
