//! `Constraint::parse`: what is read is written, read back as itself, and judges whatever it is given.

use checkrein_shared::action::{Arguments, Json};
use checkrein_shared::grant::constraint::Constraint;
use proptest::{prop_assert, prop_assert_eq};

use super::hostile;

/// A value of each kind.
const VALUES: &[u8] =
    br#"{"a":null,"b":true,"c":1e99999999999999999999,"d":[1,"x"],"e":{"f":0.10},"g":"/data/x","h":"SELECT 1"}"#;

#[test]
fn a_constraint_that_is_read_is_written_narrows_itself_and_judges_anything() {
    let values = Arguments::parse(VALUES).unwrap();
    hostile::run(&hostile::lines(include_str!("corpus/constraint.txt")), |input| {
        let Ok(arguments) = Arguments::parse(input) else {
            return Ok(());
        };
        let json = Json::Object(
            arguments
                .members()
                .map(|(name, value)| (name.to_owned(), value.clone()))
                .collect(),
        );
        let Ok(constraint) = Constraint::parse(&json) else {
            return Ok(());
        };
        let written = Arguments::parse(format!("{{\"it\":{}}}", constraint.to_json()).as_bytes()).unwrap();
        let again = Constraint::parse(written.get("it").unwrap());
        prop_assert_eq!(again.as_ref(), Ok(&constraint));
        prop_assert!(constraint.narrows(&constraint) && constraint.narrows(&Constraint::Wildcard));
        for (_, value) in values.members() {
            let exact = Constraint::Exact(value.clone());
            prop_assert_eq!(exact.narrows(&constraint), constraint.admits(value).is_ok());
        }
        Ok(())
    });
}
