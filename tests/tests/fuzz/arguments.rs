//! `Arguments::parse`: what it admits, every JSON parser reads, and it is written as what was read.

use checkrein_shared::action::Arguments;
use proptest::{prop_assert, prop_assert_eq};

use super::hostile;

#[test]
fn arguments_that_are_read_are_json_and_are_read_the_same_again() {
    hostile::run(&hostile::lines(include_str!("corpus/arguments.txt")), |input| {
        if let Ok(arguments) = Arguments::parse(input) {
            prop_assert!(serde_json::from_slice::<&serde_json::value::RawValue>(input).is_ok());
            let canonical = arguments.canonical();
            let again = Arguments::parse(canonical.as_bytes());
            prop_assert_eq!(again.as_ref().map(Arguments::canonical), Ok(canonical));
            prop_assert_eq!(again, Ok(arguments));
        }
        Ok(())
    });
}
