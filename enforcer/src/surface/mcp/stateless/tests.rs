//! A result stays the server's own, but for what this revision wants of whoever stands between.

use proptest::prelude::*;

use super::*;

fn line(result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","result":{result},"id":7}}"#)
}

#[test]
fn what_was_decided_for_one_caller_is_kept_for_nobody_else() {
    for (result, expected) in [
        (
            r#"{ "tools":[],"cacheScope": "public" ,"resultType":"complete"}"#,
            r#"{ "tools":[],"cacheScope": "private" ,"resultType":"complete"}"#,
        ),
        (
            r#"{"cacheScope":"public","ttlMs":5}"#,
            r#"{"resultType":"complete","cacheScope":"private","ttlMs":5}"#,
        ),
        ("{ }", r#"{"resultType":"complete" }"#),
    ] {
        assert_eq!(complete(line(result)), line(expected));
    }
}

#[test]
fn a_question_of_the_server_goes_on_as_it_is() {
    let asks = line(
        r#"{"resultType":"input_required","requestState":"a\u0062","inputRequests":{"x":{"cacheScope":"public"}}}"#,
    );
    assert_eq!(complete(asks.clone()), asks);
    let error = r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"cacheScope"}}"#;
    assert_eq!(complete(error.to_owned()), error);
}

#[test]
fn a_server_is_asked_for_its_tools_in_its_own_revision() {
    assert_eq!(listing(Era::Handshake, None), "{}");
    assert_eq!(listing(Era::Handshake, Some("\"2\"")), r#"{"cursor":"2"}"#);
    let asked: serde_json::Value = serde_json::from_str(&listing(Era::Stateless, Some("\"2\""))).unwrap();
    assert_eq!(asked["_meta"][SAYS_REVISION], REVISION);
    assert_eq!(asked["cursor"], "2");
}

proptest! {
    #[test]
    fn whatever_a_result_holds_nothing_else_of_it_changes(
        members in proptest::collection::btree_map("[a-z]{1,8}", "[ -~é]{0,20}", 0..6),
        says in any::<bool>(),
        scope in proptest::option::of("public|private"),
    ) {
        let mut value = serde_json::json!(members);
        if says {
            value["resultType"] = "task".into();
        }
        if let Some(scope) = &scope {
            value["cacheScope"] = scope.as_str().into();
        }
        let told = complete(line(&value.to_string()));
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        if !says {
            value["resultType"] = "complete".into();
        }
        if scope.is_some() {
            value["cacheScope"] = "private".into();
        }
        prop_assert_eq!(&told["result"], &value);
    }
}
