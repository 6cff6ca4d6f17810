//! A scope covers what it names, and nothing else.

use super::*;

const SCOPE: &str = r#"{
    "mail/*": {},
    "mail/send": {"to": {"constraint_type": "each", "constraint": {"constraint_type": "email_domain", "domains": ["acme.example"]}}},
    "bank/send_money": {
        "recipient": {"constraint_type": "one_of", "values": ["GB29", "DE89"]},
        "amount": {"constraint_type": "range", "min": 0, "max": 500},
        "memo": {"constraint_type": "wildcard", "optional": true}
    },
    "files/read": {"path": {"constraint_type": "path", "root": "/srv/shared"}, "*": {"constraint_type": "wildcard"}}
}"#;

fn scope() -> Scope {
    Scope::parse_json(SCOPE.as_bytes()).unwrap()
}

fn asked(tool: &str, arguments: &str) -> Result<(), OutOfScope> {
    scope().admits(tool, &Arguments::parse(arguments.as_bytes()).unwrap())
}

#[test]
fn a_scope_covers_its_tools_and_no_others() {
    let scope = Scope::parse(["bank/send_money".into(), "mail/*".into(), "bank/dir/send".into()]).unwrap();
    for tool in ["bank/send_money", "mail/send", "bank/dir/send"] {
        assert_eq!(scope.admits(tool, &Arguments::none()), Ok(()), "{tool}");
    }
    for other in ["bank/send", "bank/send_money2", "mailbox/send", "mail", "*", ""] {
        assert!(
            matches!(scope.admits(other, &Arguments::none()), Err(OutOfScope::Tool(_))),
            "{other}"
        );
    }
}

#[test]
fn a_pattern_that_would_cover_nothing_is_refused() {
    for bad in [
        "*",
        "bank",
        "/x",
        "bank/",
        "*/x",
        "bank/dir/*",
        "bank/send*",
        "bank/**",
        "ba*/send",
        "bank/*/send",
    ] {
        let refused = Scope::parse([bad.to_owned()]).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("`{bad}` is not a tool")),
            "{refused}"
        );
    }
}

#[test]
fn a_call_within_every_constraint_is_covered() {
    assert_eq!(
        asked("bank/send_money", r#"{"recipient": "GB29", "amount": 5e2}"#),
        Ok(())
    );
    assert_eq!(
        asked(
            "bank/send_money",
            r#"{"recipient": "DE89", "amount": 0, "memo": "rent"}"#
        ),
        Ok(())
    );
    assert_eq!(asked("mail/send", r#"{"to": ["bob@acme.example"]}"#), Ok(()));
    assert_eq!(asked("mail/list", r#"{"anything": [1]}"#), Ok(()));
    assert_eq!(
        asked("files/read", r#"{"path": "/srv/shared/a", "offset": 3}"#),
        Ok(())
    );
}

#[test]
fn a_value_outside_its_constraint_is_refused_and_never_repeated() {
    for (tool, arguments, argument) in [
        (
            "bank/send_money",
            r#"{"recipient": "US13-secret", "amount": 1}"#,
            "recipient",
        ),
        (
            "bank/send_money",
            r#"{"recipient": "GB29", "amount": 500.00001}"#,
            "amount",
        ),
        (
            "mail/send",
            r#"{"to": ["bob@acme.example", "eve-secret@evil.example"]}"#,
            "to",
        ),
        ("files/read", r#"{"path": "/srv/shared/../../secret"}"#, "path"),
    ] {
        let refused = asked(tool, arguments).unwrap_err();
        assert!(
            matches!(&refused, OutOfScope::Argument { argument: found, .. } if found == argument),
            "{refused}"
        );
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}

#[test]
fn an_argument_that_is_not_named_is_refused() {
    let refused = asked(
        "bank/send_money",
        r#"{"recipient": "GB29", "amount": 1, "urgent": true}"#,
    );
    assert!(matches!(refused, Err(OutOfScope::Unnamed { argument, .. }) if argument == "urgent"));
    // Whatever an argument is called, the entry for all others is not its own.
    let refused = asked(
        "bank/send_money",
        r#"{"recipient": "GB29", "amount": 1, "*": true}"#,
    );
    assert!(matches!(refused, Err(OutOfScope::Unnamed { .. })));
}

#[test]
fn an_argument_that_must_be_there_is_missed() {
    let refused = asked("bank/send_money", r#"{"recipient": "GB29"}"#);
    assert!(matches!(refused, Err(OutOfScope::Missing { argument, .. }) if argument == "amount"));
    assert!(
        asked("mail/send", "{}").is_err(),
        "the tool's own entry stands before its catalog's"
    );
}

#[test]
fn a_scope_comes_back_from_its_json_as_it_was() {
    let text = scope().to_json().to_string();
    assert_eq!(Scope::parse_json(text.as_bytes()), Ok(scope()));
}

#[test]
fn what_is_not_understood_is_refused() {
    for bad in [
        r"[]",
        r#"{"bank/send_money": []}"#,
        r#"{"bank/send_money": {"amount": 500}}"#,
        r#"{"bank/send_money": {"amount": {"constraint_type": "reasonable"}}}"#,
        r#"{"bank/send_money": {"amount": {"constraint_type": "range", "max": 5, "optional": "yes"}}}"#,
        r#"{"bank/send_money": {"amount": {"constraint_type": "wildcard"}, "amount": {"constraint_type": "wildcard"}}}"#,
        r#"{"bank/send_money": {}, "bank/send_money": {}}"#,
        r#"{"bank/send*": {}}"#,
    ] {
        assert!(Scope::parse_json(bad.as_bytes()).is_err(), "{bad}");
    }
    let long = format!(r#"{{"bank/{}": {{}}}}"#, "x".repeat(SCOPE_BYTES_MAX));
    assert_eq!(Scope::parse_json(long.as_bytes()), Err(InvalidScope::TooLarge));
    let many = (0..=SCOPE_TOOLS_MAX).map(|at| format!("bank/t{at}"));
    assert_eq!(Scope::parse(many), Err(InvalidScope::TooLarge));
}

#[test]
fn a_tool_named_with_and_without_arguments_is_refused() {
    let twice = Scope::parse(["bank/send_money".to_owned()]).unwrap().and(scope());
    assert_eq!(twice, Err(InvalidScope::Twice("bank/send_money".to_owned())));
    let both = Scope::parse(["desk/read".to_owned()])
        .unwrap()
        .and(scope())
        .unwrap();
    assert_eq!(both.tools().len(), 5);
}

#[test]
fn some_of_its_tools_are_taken_as_they_are_and_what_it_lacks_is_seen_to_be_too_much() {
    let scope = Scope::parse_json(
        br#"{"bank/*": {}, "bank/send_money": {"amount": {"constraint_type": "range", "max": 5}}, "crm/find": {}}"#,
    )
    .unwrap();
    let only = |tools: &[&str]| scope.only(tools.iter().map(ToString::to_string)).unwrap();
    let amount = scope.to_json()["bank/send_money"].clone();
    for (tools, taken) in [
        (&["bank/send_money"][..], &["bank/send_money"][..]),
        (&["bank/pay"], &["bank/pay"]),
        (&["bank/*"], &["bank/*", "bank/send_money"]),
        (&["bank/send_money", "bank/*"], &["bank/*", "bank/send_money"]),
    ] {
        let only = only(tools);
        assert_eq!(only.tools().collect::<Vec<_>>(), taken);
        assert_eq!(only.narrows(&scope), Ok(()), "{tools:?}");
        assert!(!taken.contains(&"bank/send_money") || only.to_json()["bank/send_money"] == amount);
    }
    for tools in [&["files/read"][..], &["crm/*"], &["crm/find", "files/*"]] {
        assert_eq!(only(tools).narrows(&scope), Err(Widened::Tools), "{tools:?}");
    }
    assert!(scope.only(["bank".to_owned()]).is_err());
}
