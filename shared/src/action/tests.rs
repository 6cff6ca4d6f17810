//! What can be read in two ways is refused; what is hashed is what is there.

use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;

fn arguments(text: &str) -> Arguments {
    Arguments::parse(text.as_bytes()).unwrap()
}

fn number(text: &str) -> Number {
    match arguments(&format!("{{\"n\":{text}}}")).get("n") {
        Some(Json::Number(number)) => number.clone(),
        other => panic!("not a number: {other:?}"),
    }
}

#[test]
fn a_member_that_stands_twice_is_refused_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":[{"b":1,"\u0062":2}]}"#,
    ] {
        assert!(
            matches!(
                Arguments::parse(text.as_bytes()),
                Err(InvalidArguments::Syntax(_))
            ),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_object_or_no_json_is_refused() {
    assert_eq!(Arguments::parse(b"[]"), Err(InvalidArguments::NotAnObject));
    for text in ["", "{", "{}x", "{\"a\":01}", "{\"a\":NaN}", "\u{feff}{}"] {
        assert!(
            matches!(
                Arguments::parse(text.as_bytes()),
                Err(InvalidArguments::Syntax(_))
            ),
            "{text}"
        );
    }
    assert!(Arguments::parse(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn arguments_past_their_bounds_are_refused() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(ARGUMENT_BYTES_MAX));
    assert!(matches!(
        Arguments::parse(long.as_bytes()),
        Err(InvalidArguments::TooLong(_))
    ));
    let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(Arguments::parse(nested(ARGUMENT_DEPTH_MAX - 1).as_bytes()).is_ok());
    let too_deep = nested(ARGUMENT_DEPTH_MAX);
    for text in [
        too_deep.clone(),
        too_deep.replace('1', ""),
        too_deep.replace('1', "{}"),
        nested(100_000),
    ] {
        assert_eq!(Arguments::parse(text.as_bytes()), Err(InvalidArguments::TooDeep));
    }
}

#[test]
fn a_member_that_stands_twice_is_named_only_if_it_is_an_argument_and_never_at_length() {
    let refused = |text: &str| match Arguments::parse(text.as_bytes()) {
        Err(InvalidArguments::Syntax(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(r#"{"a":1,"a":2}"#), "member `a` stands twice");
    for inside in [
        r#"{"memo":{"hunter2":1,"hunter2":2}}"#,
        r#"{"a":{"b":1},"memo":[1,{"x":{"hunter2":1,"hunter2":2}}]}"#,
    ] {
        assert_eq!(refused(inside), "a member inside `memo` stands twice");
    }
    let name = "é".repeat(1_000);
    assert_eq!(
        refused(&format!(r#"{{"{name}":1,"{name}":2}}"#)),
        format!("member `{}` stands twice", "é".repeat(64))
    );
}

#[test]
fn every_value_is_read_as_it_was_written() {
    let text = " { \"a\" : [ ] , \"b\\\"]\" :\t[1e400,-0.50 ,\r\n\"\\u00e9\\\\\", true,false , null,{ } ],\"\":\"{\\n\" } ";
    assert_eq!(
        arguments(text).canonical(),
        r#"{"":"{\n","a":[],"b\"]":[1e400,-0.50,"é\\",true,false,null,{}]}"#
    );
    assert!(
        Arguments::parse(br#"{"a":"\ud800"}"#).is_err(),
        "half a character"
    );
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let members = prop::collection::btree_map(any::<String>(), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Into::into),
            members.prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_read_is_what_another_reader_of_json_finds(value in json(), is_spaced: bool) {
        let object = serde_json::json!({ "a": value });
        let text = if is_spaced { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
        let read = arguments(&text.unwrap()).canonical();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&read).unwrap(), object);
    }
}

#[test]
fn a_number_has_an_exact_value_or_none() {
    let longs = [
        ("10", Some(10)),
        ("1e3", Some(1000)),
        ("10.0", Some(10)),
        ("-0", Some(0)),
        ("1.5", None),
        ("0e99999999999999999999", Some(0)),
        ("-1e-0", Some(-1)),
        ("120e-1", Some(12)),
        ("1000000000000000000000000000000000000000000000000e-48", Some(1)),
        (
            "0.00000000000000000000000000000000000000000000000012E50",
            Some(12),
        ),
    ];
    for (text, expected) in longs {
        assert_eq!(number(text).to_long(), expected, "{text}");
    }
    assert_eq!(number("9223372036854775807").to_long(), Some(i64::MAX));
    assert_eq!(number("-9223372036854775808").to_long(), Some(i64::MIN));
    assert_eq!(number("9223372036854775808").to_long(), None);
    assert_eq!(number("1e400").to_long(), None);
    let decimals = [
        ("2.0004", Some(20_004)),
        ("2.00004", None),
        ("5e-4", Some(5)),
        ("5e-5", None),
        ("500", Some(5_000_000)),
    ];
    for (text, expected) in decimals {
        assert_eq!(number(text).to_decimal_units(), expected, "{text}");
    }
}

#[test]
fn canonical_text_does_not_depend_on_order_or_space() {
    let left = arguments(r#"{ "b" : [1, 2.50], "a": {"y":null,"x":"é\n"} }"#);
    let right = arguments(r#"{"a":{"x":"\u00e9\n","y":null},"b":[1,2.50]}"#);
    assert_eq!(left.canonical(), right.canonical());
    assert_eq!(
        left.canonical(),
        "{\"a\":{\"x\":\"é\\n\",\"y\":null},\"b\":[1,2.50]}"
    );
}

#[test]
fn a_secret_argument_never_shows_and_still_tells_values_apart() {
    let key = MaskingKey::new(b"key");
    let secret = ["memo".to_owned()];
    let rent = arguments(r#"{"memo":"rent","to":"bob"}"#).masked(&key, &secret);
    assert!(!rent.0.contains("rent"));
    assert!(rent.0.contains("bob"));
    assert_eq!(
        rent,
        arguments(r#"{"to":"bob","memo":"rent"}"#).masked(&key, &secret)
    );
    assert_ne!(
        rent,
        arguments(r#"{"memo":"loan","to":"bob"}"#).masked(&key, &secret)
    );
    assert_ne!(
        rent,
        arguments(r#"{"memo":"rent","to":"bob"}"#).masked(&MaskingKey::new(b"other"), &secret)
    );
}

#[test]
fn every_field_of_an_action_changes_its_hash() {
    let clock = ManualClock::at(1);
    let identity = ActionIdentity {
        task: TaskId::new(&clock),
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        delegated_by: vec!["spiffe://acme.example/agent/planner".parse().unwrap()],
        user: "alice".to_owned(),
        tool: "bank/send_money".to_owned(),
        definition: Sha256::of(b"definition"),
        arguments: MaskedArguments("{}".to_owned()),
    };
    let mut others = vec![identity.clone(); 8];
    others[0].task = TaskId::new(&clock);
    others[1].agent = "spiffe://acme.example/agent/other".parse().unwrap();
    others[2].user.push('x');
    others[3].tool.push('x');
    others[4].definition = Sha256::of(b"changed");
    others[5].arguments.0.push(' ');
    others[6].delegated_by.clear();
    let again = others[7].delegated_by[0].clone();
    others[7].delegated_by.push(again);
    for other in others {
        assert_ne!(identity.sha256(), other.sha256(), "{other:?}");
    }
    assert_eq!(identity.sha256(), identity.clone().sha256());
}
