//! An amount is exact or refused.

use proptest::prelude::*;

use super::*;

#[test]
fn money_is_read_to_four_places_and_the_rest_is_counted_whole() {
    for (text, units) in [
        ("0", 0),
        ("12", 120_000),
        ("12.5", 125_000),
        ("0.0001", 1),
        ("500.00", 5_000_000),
    ] {
        assert_eq!(Meter::Money.parse(text), Ok(units), "{text}");
    }
    assert_eq!(Meter::Tokens.parse("4000"), Ok(4_000));
    for text in [
        "",
        "-1",
        "+1",
        "1e3",
        "0.00001",
        "1.",
        ".5",
        "1,5",
        " 1",
        "1 ",
        "99999999999999999999",
        "100000000000001",
    ] {
        assert!(Meter::Money.parse(text).is_err(), "{text}");
    }
    for text in ["1.0", "1.5", "-1", "1000000000000000001"] {
        assert!(Meter::Rows.parse(text).is_err(), "{text}");
    }
}

#[test]
fn pairs_name_each_meter_once() {
    assert_eq!(parse_pair("money=1.25"), Ok((Meter::Money, 12_500)));
    for text in ["money", "gold=1", "money=x", "=1"] {
        assert!(parse_pair(text).is_err(), "{text}");
    }
    assert_eq!(
        Amounts::parse([("rows", "1"), ("rows", "2")]),
        Err(InvalidAmount::Twice("rows"))
    );
}

proptest! {
    #[test]
    fn an_amount_is_read_as_it_was_written(amount in 0..=AMOUNT_MAX) {
        for meter in Meter::ALL {
            prop_assert_eq!(meter.parse(&meter.text(amount)), Ok(amount));
        }
    }

    #[test]
    fn what_was_taken_together_comes_apart_again(one in 0..AMOUNT_MAX / 2, other in 0..AMOUNT_MAX / 2) {
        let (one, other) = (Amounts::default().with(Meter::Rows, one), Amounts::default().with(Meter::Rows, other));
        prop_assert_eq!(one.plus(&other).minus(&other), one);
    }
}
