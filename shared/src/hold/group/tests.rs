//! When another group is asked: nights end, and nothing else than waking time counts where a group waits.

use proptest::prelude::*;

use super::*;

const HOUR_MS: u64 = 60 * 60_000;
/// Midnight, UTC.
const MIDNIGHT: u64 = 1_767_225_600_000;

fn night(then: Then) -> Quiet {
    Quiet {
        from: 22 * 60,
        to: 7 * 60,
        utc_offset: 0,
        then,
    }
}

fn group(quiet: Option<Quiet>) -> Group {
    Group {
        escalation: Some(Escalation {
            after_ms: 2 * HOUR_MS,
            to: "board".to_owned(),
        }),
        quiet,
        ..Group::default()
    }
}

#[test]
fn the_night_is_told_from_the_day_by_the_clock_on_the_wall() {
    let utc = night(Then::Wait);
    assert!(utc.contains(MIDNIGHT) && utc.contains(MIDNIGHT + 22 * HOUR_MS));
    assert!(!utc.contains(MIDNIGHT + 7 * HOUR_MS) && !utc.contains(MIDNIGHT + 12 * HOUR_MS));
    let east = Quiet {
        utc_offset: 9 * 60,
        ..night(Then::Wait)
    };
    assert!(!east.contains(MIDNIGHT) && east.contains(MIDNIGHT + 13 * HOUR_MS));
    let siesta = Quiet {
        from: 13 * 60,
        to: 14 * 60,
        ..night(Then::Wait)
    };
    assert!(siesta.contains(MIDNIGHT + 13 * HOUR_MS) && !siesta.contains(MIDNIGHT + 14 * HOUR_MS));
}

#[test]
fn another_group_is_asked_after_its_time_and_on_call_at_once_at_night() {
    let at_noon = MIDNIGHT + 12 * HOUR_MS;
    assert_eq!(
        group(None).asks(at_noon),
        [("board", at_noon + 2 * HOUR_MS, Why::Unanswered)]
    );
    let with_on_call = group(Some(night(Then::Ask("on-call".to_owned()))));
    assert_eq!(
        with_on_call.asks(at_noon),
        [
            ("board", at_noon + 2 * HOUR_MS, Why::Unanswered),
            ("on-call", MIDNIGHT + 22 * HOUR_MS, Why::Quiet)
        ]
    );
    assert_eq!(with_on_call.asks(MIDNIGHT)[1], ("on-call", MIDNIGHT, Why::Quiet));
}

#[test]
fn where_a_group_waits_the_night_does_not_count() {
    let waits = group(Some(night(Then::Wait)));
    // An hour in the evening, and one in the morning.
    let evening = MIDNIGHT + 21 * HOUR_MS;
    let morning = MIDNIGHT + 32 * HOUR_MS;
    assert_eq!(waits.asks(evening), [("board", morning, Why::Unanswered)]);
    // Held at night: the time begins in the morning.
    assert_eq!(
        waits.asks(MIDNIGHT),
        [("board", MIDNIGHT + 9 * HOUR_MS, Why::Unanswered)]
    );
}

proptest! {
    #[test]
    fn waking_time_is_what_a_minute_hand_counts(
        from in 0..DAY_MINUTES, length in 1..DAY_MINUTES, offset in -840..=840_i32, start in 0..3 * u64::from(DAY_MINUTES),
        after in 1..3_000_u64,
    ) {
        let quiet = Quiet { from, to: (from + length) % DAY_MINUTES, utc_offset: offset, then: Then::Wait };
        let from_ms = MIDNIGHT + start * 60_000;
        let (mut at_ms, mut left) = (from_ms, after);
        while left > 0 {
            left -= u64::from(!quiet.contains(at_ms));
            at_ms += 60_000;
        }
        prop_assert_eq!(quiet.after_waking(from_ms, after * 60_000), at_ms);
        prop_assert!(quiet.contains(quiet.next(from_ms)) && quiet.next(from_ms) >= from_ms);
    }
}
