//! Bounds cover what was shown, and what the approver said may differ, and nothing else.

use super::*;

const HELD: &str = r#"{"amount":500,"memo":"March","pin":{"masked":"ab"},"to":"US13"}"#;

fn arguments(text: &str) -> Arguments {
    Arguments::parse(text.as_bytes()).unwrap()
}

fn bounds(at_most: &[(&str, &str)], any: &[&str]) -> Bounds {
    let number = |(name, most): &(&str, &str)| ((*name).to_owned(), Number::parse(most).unwrap());
    Bounds {
        at_most: at_most.iter().map(number).collect(),
        any: any.iter().map(ToString::to_string).collect(),
    }
}

fn terms(bounds: Bounds) -> Terms {
    Terms {
        for_ms: 60_000,
        times: 5,
        bounds,
        labels: BTreeSet::new(),
    }
}

fn fixed() -> Vec<String> {
    vec!["to".to_owned()]
}

#[test]
fn without_a_word_only_the_very_same_arguments_are_covered() {
    let (held, exact) = (arguments(HELD), Bounds::default());
    assert!(exact.admit(&held, &held));
    for other in [
        r#"{"amount":499,"memo":"March","pin":{"masked":"ab"},"to":"US13"}"#,
        r#"{"amount":500.0,"memo":"March","pin":{"masked":"ab"},"to":"US13"}"#,
        r#"{"amount":500,"memo":"April","pin":{"masked":"ab"},"to":"US13"}"#,
        r#"{"amount":500,"memo":"March","pin":{"masked":"cd"},"to":"US13"}"#,
        r#"{"amount":500,"memo":"March","pin":{"masked":"ab"},"to":"GB29"}"#,
        r#"{"amount":500,"memo":"March","to":"US13"}"#,
        r#"{"amount":500,"extra":1,"memo":"March","pin":{"masked":"ab"},"to":"US13"}"#,
        "{}",
    ] {
        assert!(!exact.admit(&held, &arguments(other)), "{other}");
    }
}

#[test]
fn at_most_is_from_zero_to_that_number_however_it_is_written() {
    let (held, most) = (arguments(r#"{"amount":500}"#), bounds(&[("amount", "100")], &[]));
    for amount in ["0", "100", "99.99", "1e2", "100.0"] {
        let asked = arguments(&format!(r#"{{"amount":{amount}}}"#));
        assert!(most.admit(&held, &asked), "{amount}");
    }
    for amount in [
        "100.0001",
        "500",
        "-1",
        "1e3",
        "\"5\"",
        "null",
        "[1]",
        "1e99999999999999999999",
    ] {
        let asked = arguments(&format!(r#"{{"amount":{amount}}}"#));
        assert!(!most.admit(&held, &asked), "{amount}");
    }
}

#[test]
fn an_argument_of_any_value_is_still_there_and_not_masked() {
    let (held, any) = (arguments(r#"{"memo":"March"}"#), bounds(&[], &["memo"]));
    for memo in ["\"\"", "null", "{\"a\":[1]}"] {
        assert!(
            any.admit(&held, &arguments(&format!(r#"{{"memo":{memo}}}"#))),
            "{memo}"
        );
    }
    assert!(!any.admit(&held, &arguments("{}")));
    assert!(!any.admit(&held, &arguments(r#"{"memo":{"masked":"x"}}"#)));
}

#[test]
fn nobody_gives_more_than_the_widest_that_is_shown() {
    let (held, fixed) = (arguments(HELD), fixed());
    let widest = Bounds::widest(&held, &fixed);
    assert_eq!(widest, bounds(&[("amount", "500")], &["memo"]));
    assert_eq!(terms(widest).check(&held, &fixed), Ok(()));
    let refused = |bounds: Bounds| terms(bounds).check(&held, &fixed).unwrap_err();
    assert!(matches!(
        refused(bounds(&[("amount", "500.01")], &[])),
        TooWide::More { .. }
    ));
    assert!(matches!(
        refused(bounds(&[("amount", "-1")], &[])),
        TooWide::More { .. }
    ));
    assert!(matches!(refused(bounds(&[], &["amount"])), TooWide::AnyNumber(_)));
    assert!(matches!(
        refused(bounds(&[("memo", "1")], &[])),
        TooWide::NoNumber(_)
    ));
    assert!(matches!(
        refused(bounds(&[("amount", "1")], &["amount"])),
        TooWide::Twice(_)
    ));
    assert!(matches!(refused(bounds(&[], &["to"])), TooWide::Resource(_)));
    assert!(matches!(refused(bounds(&[], &["pin"])), TooWide::Masked(_)));
    assert!(matches!(refused(bounds(&[], &["other"])), TooWide::NoArgument(_)));
}

#[test]
fn a_number_below_zero_is_exactly_as_shown() {
    let held = arguments(r#"{"change":-5}"#);
    assert_eq!(Bounds::widest(&held, &[]), Bounds::default());
    let refused = terms(bounds(&[("change", "0")], &[])).check(&held, &[]);
    assert!(matches!(refused, Err(TooWide::NoNumber(_))), "{refused:?}");
}

#[test]
fn terms_have_a_time_and_a_number_of_times_within_the_most_there_may_be() {
    let held = arguments("{}");
    let cases = [
        ((0, 1), Err(TooWide::Nothing)),
        ((1, 0), Err(TooWide::Nothing)),
        ((STANDING_MS_MAX + 1, 1), Err(TooWide::Long)),
        ((1, STANDING_TIMES_MAX + 1), Err(TooWide::Often)),
        ((STANDING_MS_MAX, STANDING_TIMES_MAX), Ok(())),
    ];
    for ((for_ms, times), expected) in cases {
        let terms = Terms {
            for_ms,
            times,
            ..terms(Bounds::default())
        };
        assert_eq!(terms.check(&held, &[]), expected);
    }
}

#[test]
fn what_two_people_allow_is_what_both_allow() {
    let held = arguments(r#"{"a":10,"b":10,"c":"x","d":"x"}"#);
    let one = Terms {
        for_ms: 10,
        times: 7,
        labels: ["pii", "secret"]
            .iter()
            .map(|label| label.parse().unwrap())
            .collect(),
        ..terms(bounds(&[("a", "5"), ("b", "10")], &["c", "d"]))
    };
    let two = Terms {
        for_ms: 20,
        times: 3,
        labels: ["pii"].iter().map(|label| label.parse().unwrap()).collect(),
        ..terms(bounds(&[("a", "8")], &["c"]))
    };
    let both = one.meet(&two, &held).unwrap();
    assert_eq!(both, two.meet(&one, &held).unwrap());
    assert_eq!((both.for_ms, both.times, both.labels.len()), (10, 3, 1));
    assert_eq!(both.bounds, bounds(&[("a", "5")], &["c"]));
}

#[test]
fn people_who_allow_nothing_in_common_allow_nothing() {
    let held = arguments(r#"{"amount":10}"#);
    let (less, exact) = (terms(bounds(&[("amount", "5")], &[])), terms(Bounds::default()));
    assert_eq!(less.meet(&exact, &held), None);
    assert_eq!(exact.meet(&less, &held), None);
}

/// Whatever is admitted by what two people allow is admitted by each, and by what was shown at the widest.
#[test]
fn bounds_never_grow() {
    let held = arguments(HELD);
    let all: Vec<Bounds> = [None, Some("0"), Some("100"), Some("500")]
        .iter()
        .flat_map(|most| {
            let at_most: Vec<(&str, &str)> = most.iter().map(|most| ("amount", *most)).collect();
            [bounds(&at_most, &[]), bounds(&at_most, &["memo"])]
        })
        .collect();
    let asked: Vec<Arguments> = ["0", "50", "100", "499", "500", "501"]
        .iter()
        .flat_map(|amount| {
            [("March", "US13"), ("April", "US13"), ("March", "GB29")].map(|(memo, to)| {
                arguments(&format!(
                    r#"{{"amount":{amount},"memo":"{memo}","pin":{{"masked":"ab"}},"to":"{to}"}}"#
                ))
            })
        })
        .collect();
    let widest = Bounds::widest(&held, &fixed());
    for one in &all {
        for two in &all {
            let both = one.meet(two, &held);
            for asked in &asked {
                let admitted = both.as_ref().is_some_and(|both| both.admit(&held, asked));
                assert_eq!(admitted, one.admit(&held, asked) && two.admit(&held, asked));
                assert!(!admitted || widest.admit(&held, asked));
            }
        }
    }
}
