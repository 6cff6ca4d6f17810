//! A duration is a number and a unit, and nothing that only looks like one.

use super::*;

#[test]
fn a_duration_is_a_number_and_one_of_three_units() {
    for (text, ms) in [
        ("30s", 30_000),
        ("10m", 600_000),
        ("2h", 7_200_000),
        ("720h", DURATION_MS_MAX),
    ] {
        let duration = DurationMs::parse(text).unwrap();
        assert_eq!(duration.0, ms);
        assert_eq!(duration.to_string(), text);
    }
}

#[test]
fn everything_else_is_refused_by_what_is_wrong_with_it() {
    for text in [
        "", "s", "30", "30 s", "-1s", "+1s", "1.5h", "1h30m", "30ms", "1d", "30S", "３0s", "1é",
    ] {
        assert!(
            matches!(DurationMs::parse(text), Err(InvalidDuration::Syntax(_))),
            "{text}"
        );
    }
    for text in ["0s", "721h", "99999999999999999999h"] {
        assert!(
            matches!(DurationMs::parse(text), Err(InvalidDuration::Range(_))),
            "{text}"
        );
    }
}
