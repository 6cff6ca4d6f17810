//! A value that rules see is exactly the one that was sent, and what is not of its type is refused by name.

use super::*;
use crate::action::Arguments;
use crate::policy::argument::Member;

fn json(text: &str) -> Json {
    Arguments::parse(format!("{{\"v\":{text}}}").as_bytes())
        .unwrap()
        .get("v")
        .unwrap()
        .clone()
}

fn scalar(scalar: Scalar, text: &str) -> Result<String, Unseen> {
    ArgumentType::Scalar(scalar)
        .value_of(&json(text))
        .map(|value| value.to_string())
}

fn record(members: Vec<Member>) -> RecordType {
    RecordType {
        members,
        additional: None,
    }
}

fn member(name: &str, ty: ArgumentType, required: bool, nullable: bool) -> Member {
    Member {
        name: name.to_owned(),
        ty,
        required,
        nullable,
    }
}

#[test]
fn numbers_are_exact_or_not_seen() {
    assert_eq!(scalar(Scalar::Long, "1e3").unwrap(), "1000");
    assert_eq!(scalar(Scalar::Decimal, "10").unwrap(), "decimal(\"10.0000\")");
    assert_eq!(scalar(Scalar::Decimal, "-0.5").unwrap(), "decimal(\"-0.5000\")");
    assert_eq!(
        scalar(Scalar::Decimal, "-922337203685477.5808").unwrap(),
        "decimal(\"-922337203685477.5808\")"
    );
    for (ty, text) in [
        (Scalar::Decimal, "2.00004"),
        (Scalar::Decimal, "1e15"),
        (Scalar::Decimal, "922337203685477.5808"),
        (Scalar::Long, "9223372036854775808"),
        (Scalar::Long, "1e300"),
        (Scalar::Long, "1e400"),
        (Scalar::Long, "1e99999999999999999999"),
        (Scalar::Decimal, "1e-400"),
    ] {
        assert_eq!(scalar(ty, text), Err(Unseen::Inexact), "{text}");
    }
}

#[test]
fn text_that_cedar_can_t_read_as_its_type_is_not_seen() {
    assert!(scalar(Scalar::Datetime, "\"2026-01-01T00:00:00Z\"").is_ok());
    assert!(scalar(Scalar::Duration, "\"1h30m\"").is_ok());
    assert!(scalar(Scalar::IpAddress, "\"10.0.0.0/8\"").is_ok());
    for (ty, text) in [
        (Scalar::Datetime, "\"tomorrow\""),
        (Scalar::Duration, "\"PT1H\""),
        (Scalar::IpAddress, "\"x\""),
    ] {
        assert_eq!(scalar(ty, text), Err(Unseen::Inexact), "{text}");
    }
}

#[test]
fn a_value_of_another_type_is_a_mismatch() {
    for (ty, text) in [
        (Scalar::Long, "1.5"),
        (Scalar::Long, "1.00000000000000000001"),
        (Scalar::Long, "1e-400"),
        (Scalar::Long, "1e-99999999999999999999"),
        (Scalar::Long, "9007199254740993.5"),
        (Scalar::Long, "\"1\""),
        (Scalar::Decimal, "\"1\""),
        (Scalar::String, "1"),
        (Scalar::String, "null"),
        (Scalar::Bool, "\"true\""),
        (Scalar::Datetime, "1"),
        (Scalar::Null, "false"),
    ] {
        assert!(
            matches!(scalar(ty, text), Err(Unseen::Mismatch(_))),
            "{ty:?} {text}"
        );
    }
    assert!(matches!(
        ArgumentType::List(Box::new(ArgumentType::Scalar(Scalar::String))).value_of(&json("\"x\"")),
        Err(Unseen::Mismatch(_))
    ));
}

#[test]
fn a_mismatch_names_the_place_and_never_the_value() {
    let inner = record(vec![member(
        "pin",
        ArgumentType::Scalar(Scalar::String),
        true,
        false,
    )]);
    let outer = record(vec![member(
        "cards",
        ArgumentType::List(Box::new(ArgumentType::Record(inner))),
        true,
        false,
    )]);
    let refused = |text: &str| match ArgumentType::Record(outer.clone()).value_of(&json(text)) {
        Err(Unseen::Mismatch(mismatch)) => (mismatch.path, mismatch.wrong),
        other => panic!("{other:?}"),
    };
    let text = |path: &str, wrong: &str| (path.to_owned(), wrong.to_owned());
    assert_eq!(
        refused(r#"{"cards":[{"pin":4711}]}"#),
        text("cards.pin", "must be a string")
    );
    assert_eq!(refused(r#"{"cards":[{}]}"#), text("cards.pin", "is missing"));
    assert_eq!(refused("{}"), text("cards", "is missing"));
    assert_eq!(
        refused(r#"{"cards":[],"x":1}"#),
        text("x", "is not an argument that the catalog knows")
    );
    assert_eq!(
        refused(r#"{"a":1,"cards":[]}"#),
        text("a", "is not an argument that the catalog knows")
    );
}

#[test]
fn a_mismatch_names_nothing_below_a_secret_argument() {
    let place = |path: &str, secret: &[&str]| {
        let secret: Vec<_> = secret.iter().map(ToString::to_string).collect();
        let mismatch = Mismatch {
            path: path.to_owned(),
            wrong: String::new(),
        };
        mismatch.above(&secret).path
    };
    assert_eq!(place("payload.hunter2", &["payload"]), "payload");
    assert_eq!(place("payload.a.hunter2", &["memo", "payload"]), "payload");
    assert_eq!(place("a.b.hunter2", &["a.b"]), "a.b", "a name with a dot in it");
    assert_eq!(place("payload", &["payload"]), "payload");
    assert_eq!(place("payloads.name", &["payload"]), "payloads.name");
    assert_eq!(place("cc.name", &["payload"]), "cc.name");
}

#[test]
fn null_is_absence_only_where_the_catalog_allows_it() {
    let string = || ArgumentType::Scalar(Scalar::String);
    let types =
        |required, nullable| ArgumentType::Record(record(vec![member("a", string(), required, nullable)]));
    let seen = |required, nullable, text: &str| {
        types(required, nullable)
            .value_of(&json(text))
            .map(|value| value.to_string())
    };
    assert_eq!(seen(true, true, r#"{"a":null}"#).unwrap(), "{}");
    assert_eq!(seen(false, false, "{}").unwrap(), "{}");
    assert!(seen(false, false, r#"{"a":null}"#).is_err());
    assert!(seen(true, true, "{}").is_err());
}

#[test]
fn a_choice_is_the_first_alternative_that_accepts() {
    let choice = ArgumentType::Choice(vec![
        ArgumentType::Scalar(Scalar::Long),
        ArgumentType::Scalar(Scalar::Decimal),
    ]);
    let seen = |text: &str| choice.value_of(&json(text)).map(|value| value.to_string());
    assert_eq!(seen("2").unwrap(), "{typeChoice0: 2}");
    assert_eq!(seen("2.5").unwrap(), "{typeChoice1: decimal(\"2.5000\")}");
    assert_eq!(
        seen("1e300"),
        Err(Unseen::Inexact),
        "a whole number, and too large: not another type"
    );
    assert!(matches!(seen("\"2\""), Err(Unseen::Mismatch(_))));
    let dated = ArgumentType::Choice(vec![
        ArgumentType::Scalar(Scalar::Datetime),
        ArgumentType::Scalar(Scalar::String),
    ]);
    assert_eq!(
        dated.value_of(&json("\"2026-01-01T00:00:00.123456Z\"")),
        Err(Unseen::Inexact),
        "a date that Cedar can't read does not pass by as a string"
    );
}

#[test]
fn an_inexact_part_hides_the_whole_argument() {
    let list = ArgumentType::List(Box::new(ArgumentType::Scalar(Scalar::Decimal)));
    assert_eq!(list.value_of(&json("[1, 2.00001]")), Err(Unseen::Inexact));
    let types = record(vec![member("a", list, true, false)]);
    let arguments = Arguments::parse(br#"{"a":[2.00001]}"#).unwrap();
    let mut inexact = Vec::new();
    let values = types
        .members_of(arguments.members(), |name| inexact.push(name))
        .unwrap();
    assert_eq!((values.len(), inexact), (0, vec!["a"]));
}

#[test]
fn additional_members_are_checked_and_not_seen() {
    let open = RecordType {
        members: Vec::new(),
        additional: Some(Box::new(ArgumentType::Scalar(Scalar::Long))),
    };
    assert_eq!(
        ArgumentType::Record(open.clone())
            .value_of(&json(r#"{"x":1}"#))
            .unwrap()
            .to_string(),
        "{}"
    );
    assert!(matches!(
        ArgumentType::Record(open).value_of(&json(r#"{"x":"1"}"#)),
        Err(Unseen::Mismatch(_))
    ));
}
