//! An argument counts as named only if the user named all of it.

use super::*;
use crate::policy::argument::{Member, Scalar};

fn named(arguments: &str, by_user: &[&str]) -> Vec<String> {
    let listed = RecordType {
        members: vec![Member {
            name: "id".into(),
            ty: ArgumentType::Scalar(Scalar::String),
            required: true,
            nullable: false,
        }],
        additional: None,
    };
    let member = |name: &str, ty: ArgumentType| Member {
        name: name.into(),
        ty,
        required: false,
        nullable: true,
    };
    let anything = || ArgumentType::Scalar(Scalar::Opaque);
    let types = RecordType {
        members: vec![
            member("a", anything()),
            member("b", anything()),
            member(
                "known",
                ArgumentType::List(Box::new(ArgumentType::Choice(vec![
                    anything(),
                    ArgumentType::Record(listed),
                ]))),
            ),
        ],
        additional: Some(Box::new(anything())),
    };
    let arguments = Arguments::parse(arguments.as_bytes()).unwrap();
    let values: Vec<String> = by_user.iter().map(|value| (*value).to_owned()).collect();
    named_arguments(&arguments, &types, &values)
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn strings_are_compared_exactly() {
    assert_eq!(named(r#"{"a":"US13","b":"us13"}"#, &["US13"]), ["a"]);
    assert!(named(r#"{"a":"US13 "}"#, &["US13"]).is_empty());
    assert!(named(r#"{"a":"10.0"}"#, &["10"]).is_empty());
}

#[test]
fn numbers_are_compared_as_numbers_of_any_size() {
    for (number, value) in [
        ("10", "10.0"),
        ("1e1", "10"),
        ("-0.0", "0"),
        ("0.10", "1e-1"),
        ("1e30", "1000000000000000000000000000000"),
    ] {
        assert_eq!(
            named(&format!("{{\"a\":{number}}}"), &[value]),
            ["a"],
            "{number} {value}"
        );
    }
    for (number, value) in [
        ("10", "1"),
        ("10", "-10"),
        ("10", "ten"),
        ("10", "0x0a"),
        ("10", " 10"),
        ("10", "+10"),
        ("1", ".1e1"),
        ("1e99999999999", "1"),
    ] {
        assert!(
            named(&format!("{{\"a\":{number}}}"), &[value]).is_empty(),
            "{number} {value}"
        );
    }
}

#[test]
fn every_value_at_any_depth_must_be_named() {
    assert_eq!(named(r#"{"a":["x",["y"]],"b":["x","z"]}"#, &["x", "y"]), ["a"]);
    assert_eq!(
        named(r#"{"known":[{"id":"x"},{"id":"y"}]}"#, &["x", "y"]),
        ["known"]
    );
    assert!(named(r#"{"known":[{"id":"x"},{"id":"evil"}]}"#, &["x", "y"]).is_empty());
}

#[test]
fn what_holds_no_value_is_not_named() {
    for empty in ["null", "[]", "{}", "[null]", "[[],[{}]]"] {
        assert!(named(&format!("{{\"a\":{empty}}}"), &["x"]).is_empty(), "{empty}");
    }
    assert_eq!(named(r#"{"a":["x",null,[]]}"#, &["x"]), ["a"]);
}

#[test]
fn a_flag_or_an_empty_text_that_nobody_named_leaves_an_argument_unnamed() {
    for value in [
        "true",
        "\"\"",
        "[false]",
        "[null,true]",
        r#"["x",true]"#,
        r#"["x",""]"#,
        r#"{"x":"x","y":true}"#,
    ] {
        assert!(
            named(&format!("{{\"a\":{value}}}"), &["x", "y"]).is_empty(),
            "{value}"
        );
    }
    assert_eq!(named(r#"{"a":["x",true],"b":false}"#, &["x", "true"]), ["a"]);
    assert_eq!(named(r#"{"a":""}"#, &[""]), ["a"]);
}

#[test]
fn the_names_of_members_that_the_catalog_does_not_list_are_values() {
    assert!(named(r#"{"a":{"evil":"x"}}"#, &["x"]).is_empty());
    assert_eq!(named(r#"{"a":{"good":"x"}}"#, &["x", "good"]), ["a"]);
    assert!(named(r#"{"unlisted":"x"}"#, &["x"]).is_empty());
    assert_eq!(named(r#"{"unlisted":"x"}"#, &["x", "unlisted"]), ["unlisted"]);
}
