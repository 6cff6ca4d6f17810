//! What each type admits and refuses, and which JSON is no constraint.

mod attacks;
mod properties;
mod statements;

use super::*;
use crate::action::Arguments;

/// A JSON value of one's own, through the reader that everything else goes through.
pub(super) fn json(text: &str) -> Json {
    let arguments = Arguments::parse(format!("{{\"it\":{text}}}").as_bytes()).unwrap();
    arguments.get("it").unwrap().clone()
}

pub(super) fn constraint(text: &str) -> Constraint {
    Constraint::parse(&json(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn invalid(text: &str) -> InvalidConstraint {
    Constraint::parse(&json(text)).unwrap_err()
}

/// Each value, as JSON, is admitted or refused.
fn judge(constraint_text: &str, admitted: &[&str], refused: &[&str]) {
    let constraint = constraint(constraint_text);
    for text in admitted {
        assert_eq!(
            constraint.admits(&json(text)),
            Ok(()),
            "{constraint_text} on {text}"
        );
    }
    for text in refused {
        assert!(
            constraint.admits(&json(text)).is_err(),
            "{constraint_text} on {text}"
        );
    }
}

#[test]
fn values_are_compared_by_what_they_mean_and_numbers_exactly() {
    judge(
        r#"{"constraint_type":"exact","value":500}"#,
        &["500", "500.0", "5e2", "0.5E+3", "5000e-1"],
        &[
            "500.0000000000000000000001",
            "501",
            "\"500\"",
            "-500",
            "null",
            "[500]",
            "5e99999999999999999999",
        ],
    );
    judge(
        r#"{"constraint_type":"exact","value":0}"#,
        &["0", "-0", "0e9", "-0.00"],
        &["1e-400", "false", "null"],
    );
    judge(
        r#"{"constraint_type":"one_of","values":["a",null,[1,{"x":2}]]}"#,
        &["\"a\"", "null", "[1.0,{\"x\":2e0}]"],
        &["\"A\"", "\"a \"", "[1]", "{}", "[1,{\"y\":2}]", "[{\"x\":2},1]"],
    );
    judge(
        r#"{"constraint_type":"not_one_of","excluded":["a",1]}"#,
        &["\"b\"", "2", "[1]"],
        &["\"a\"", "1.0"],
    );
}

#[test]
fn a_range_compares_every_digit_and_keeps_its_ends_as_it_says() {
    judge(
        r#"{"constraint_type":"range","min":"0","max":"500.00","min_inclusive":false}"#,
        &[
            "500",
            "5e2",
            "0.000000000000000000000000001",
            "499.99999999999999999999999",
        ],
        &[
            "0",
            "-0",
            "0e5",
            "-1",
            "500.00000000000000000000000001",
            "1e400",
            "1e99999999999999999999",
            "\"5\"",
            "null",
        ],
    );
    judge(
        r#"{"constraint_type":"range","max":9007199254740992,"max_inclusive":false}"#,
        &["9007199254740991.9999", "-1e300"],
        &["9007199254740992", "9007199254740993"],
    );
    judge(
        r#"{"constraint_type":"range","min":"0.1000000000000000055511151231257827"}"#,
        &["0.1000000000000000055511151231257827", "0.2"],
        &["0.1", "0.1000000000000000055511151231257826"],
    );
}

#[test]
fn lists_are_judged_as_a_whole_or_each_element() {
    judge(
        r#"{"constraint_type":"contains","required":[1,"a"]}"#,
        &["[1,\"a\"]", "[\"a\",2,1.0]"],
        &["[1]", "[]", "1", "\"a\"", "{}"],
    );
    judge(
        r#"{"constraint_type":"subset","allowed":[1,2]}"#,
        &["[]", "[2,1.0,1]"],
        &["[3]", "[[1]]", "1", "null"],
    );
    judge(
        r#"{"constraint_type":"each","constraint":{"constraint_type":"range","max":5}}"#,
        &["[]", "[1,5]"],
        &["[6]", "[1,6]", "1", "[\"1\"]", "null"],
    );
}

#[test]
fn all_needs_every_condition_and_any_needs_one() {
    let both = r#"[{"constraint_type":"range","min":2},{"constraint_type":"range","max":4}]"#;
    judge(
        &format!(r#"{{"constraint_type":"all","constraints":{both}}}"#),
        &["2", "3", "4"],
        &["1", "5", "\"3\""],
    );
    judge(
        &format!(r#"{{"constraint_type":"any","constraints":{both}}}"#),
        &["1", "5"],
        &["\"3\"", "null"],
    );
    judge(
        r#"{"constraint_type":"wildcard"}"#,
        &["null", "[{}]", "1e99999999999999999999"],
        &[],
    );
}

#[test]
fn a_constraint_that_is_not_wholly_understood_is_none() {
    let unknown = |text: &str| matches!(invalid(text), InvalidConstraint::UnknownType(_));
    assert!(unknown(r#"{"constraint_type":"regexp","regex":"a"}"#));
    assert!(unknown(r#"{"constraint_type":"Exact","value":1}"#));
    for text in [
        "null",
        "[]",
        "\"wildcard\"",
        "{}",
        r#"{"constraint_type":1}"#,
        r#"{"type":"wildcard"}"#,
    ] {
        assert_eq!(invalid(text), InvalidConstraint::NotAConstraint, "{text}");
    }
    for text in [
        r#"{"constraint_type":"wildcard","value":1}"#,
        r#"{"constraint_type":"exact","value":1,"values":[1]}"#,
        r#"{"constraint_type":"range","min":1,"maximum":2}"#,
        r#"{"constraint_type":"url","schemes":["https"],"hosts":["a.b"],"host":"c.d"}"#,
    ] {
        assert!(
            matches!(invalid(text), InvalidConstraint::UnknownMember(..)),
            "{text}"
        );
    }
    for ty in [
        "exact",
        "one_of",
        "not_one_of",
        "range",
        "contains",
        "subset",
        "each",
        "all",
        "any",
        "pattern",
    ]
    .iter()
    .chain(&["path", "url", "shell", "cidr", "email_domain", "sql"])
    {
        let text = format!(r#"{{"constraint_type":"{ty}"}}"#);
        assert!(
            matches!(invalid(&text), InvalidConstraint::MissingMember(..)),
            "{ty}"
        );
    }
    let twice = Json::Object(vec![
        ("constraint_type".into(), Json::String("wildcard".into())),
        ("constraint_type".into(), Json::String("wildcard".into())),
    ]);
    assert_eq!(Constraint::parse(&twice), Err(InvalidConstraint::NotAConstraint));
}

#[test]
fn a_member_that_can_t_be_what_it_says_is_refused() {
    for text in [
        r#"{"constraint_type":"one_of","values":[]}"#,
        r#"{"constraint_type":"one_of","values":"a"}"#,
        r#"{"constraint_type":"exact","value":0.1000000000000000055511151231257827}"#,
        r#"{"constraint_type":"range","min":"1 "}"#,
        r#"{"constraint_type":"range","min":"0x1"}"#,
        r#"{"constraint_type":"range","min":null}"#,
        r#"{"constraint_type":"range","min":2,"max":1}"#,
        r#"{"constraint_type":"range","min":1,"min_inclusive":"no"}"#,
        r#"{"constraint_type":"pattern","glob":"a","regex":"a"}"#,
        r#"{"constraint_type":"pattern","regex":"("}"#,
        r#"{"constraint_type":"pattern","regex":"a)|(?:b"}"#,
        r#"{"constraint_type":"pattern","regex":"(?x)a#"}"#,
        r#"{"constraint_type":"pattern","regex":"(a{1000}){1000}"}"#,
        r#"{"constraint_type":"path","root":"data"}"#,
        r#"{"constraint_type":"path","root":"/data/"}"#,
        r#"{"constraint_type":"path","root":"/data/../etc"}"#,
        r#"{"constraint_type":"url","schemes":["file"],"hosts":["a.b"]}"#,
        r#"{"constraint_type":"url","schemes":["https"],"hosts":["*"]}"#,
        r#"{"constraint_type":"url","schemes":["https"],"hosts":["A.b"]}"#,
        r#"{"constraint_type":"url","schemes":["https"],"hosts":["0x7f.1"]}"#,
        r#"{"constraint_type":"url","schemes":["https"],"hosts":["*.10.0.0.1"]}"#,
        r#"{"constraint_type":"url","schemes":["https"],"hosts":["a.b/c"]}"#,
        r#"{"constraint_type":"url","schemes":["https"],"hosts":["a.b"],"ports":[0]}"#,
        r#"{"constraint_type":"url","schemes":["https"],"hosts":["a.b"],"paths":["x"]}"#,
        r#"{"constraint_type":"shell","programs":["ls -l"]}"#,
        r#"{"constraint_type":"shell","programs":["A=b"]}"#,
        r#"{"constraint_type":"cidr","ranges":["10.0.0.1/8"]}"#,
        r#"{"constraint_type":"cidr","ranges":["::ffff:10.0.0.0/104"]}"#,
        r#"{"constraint_type":"email_domain","domains":["Acme.example"]}"#,
        r#"{"constraint_type":"email_domain","domains":["@acme.example"]}"#,
        r#"{"constraint_type":"sql","dialect":"oracle","statements":["select"]}"#,
        r#"{"constraint_type":"sql","dialect":"mysql","statements":["drop"]}"#,
        r#"{"constraint_type":"sql","dialect":"mysql","statements":["select"],"tables":["a b"]}"#,
    ] {
        assert!(
            matches!(invalid(text), InvalidConstraint::Member(..)),
            "{text}: {:?}",
            invalid(text)
        );
    }
}

#[test]
fn a_constraint_past_its_bounds_is_refused() {
    let nested = |depth: usize| {
        let each = r#"{"constraint_type":"each","constraint":"#;
        format!(
            "{}{{\"constraint_type\":\"wildcard\"}}{}",
            each.repeat(depth - 1),
            "}".repeat(depth - 1)
        )
    };
    assert!(Constraint::parse(&json(&nested(CONSTRAINT_DEPTH_MAX))).is_ok());
    assert_eq!(
        invalid(&nested(CONSTRAINT_DEPTH_MAX + 1)),
        InvalidConstraint::TooDeep
    );

    let wide = |entries: usize| {
        format!(
            r#"{{"constraint_type":"one_of","values":[{}0]}}"#,
            "0,".repeat(entries - 1)
        )
    };
    assert!(Constraint::parse(&json(&wide(CONSTRAINT_ENTRIES_MAX))).is_ok());
    assert_eq!(
        invalid(&wide(CONSTRAINT_ENTRIES_MAX + 1)),
        InvalidConstraint::TooMany
    );
    let half = wide(CONSTRAINT_ENTRIES_MAX / 2);
    let halves = format!(r#"{{"constraint_type":"all","constraints":[{half},{half}]}}"#);
    assert_eq!(invalid(&halves), InvalidConstraint::TooMany);

    let long = |bytes: usize| format!(r#"{{"constraint_type":"exact","value":"{}"}}"#, "x".repeat(bytes));
    assert!(Constraint::parse(&json(&long(CONSTRAINT_TEXT_BYTES_MAX))).is_ok());
    assert_eq!(
        invalid(&long(CONSTRAINT_TEXT_BYTES_MAX + 1)),
        InvalidConstraint::TooLong
    );
}

#[test]
fn a_refusal_never_repeats_the_value() {
    for (text, value) in [
        (r#"{"constraint_type":"path","root":"/data"}"#, "/etc/hunter2"),
        (
            r#"{"constraint_type":"url","schemes":["https"],"hosts":["a.b"]}"#,
            "https://hunter2.b/",
        ),
        (r#"{"constraint_type":"shell","programs":["ls"]}"#, "hunter2"),
        (
            r#"{"constraint_type":"sql","dialect":"mysql","statements":["select"]}"#,
            "hunter2",
        ),
        (r#"{"constraint_type":"exact","value":1}"#, "hunter2"),
    ] {
        let refused = constraint(text).admits(&Json::String(value.into())).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}
