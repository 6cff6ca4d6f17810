//! A message in a body is read as one on a line is.

use super::*;

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay","arguments":{"to":"GB29","amount":5}}}"#;

fn read(body: &str) -> Result<Posted, Unspoken> {
    Posted::read("bank", body.as_bytes(), Headers::default())
}

#[test]
fn a_call_is_the_tool_of_its_server_with_its_arguments_as_they_came() {
    let Ok(Posted::Wants(wanted)) = read(CALL) else {
        panic!("it is a call")
    };
    assert_eq!(wanted.tool, "bank/pay");
    assert_eq!(wanted.arguments, r#"{"to":"GB29","amount":5}"#);
    let answer = wanted.reply.refused("no");
    assert!(answer.contains(r#""id":7"#), "{answer}");
}

#[test]
fn what_passes_on_a_line_passes_in_a_body_and_nothing_else() {
    for passes in [
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    ] {
        assert!(matches!(read(passes), Ok(Posted::Passes)), "{passes}");
    }
    let listed = read(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    assert!(matches!(listed, Ok(Posted::ListsTools(_))));
    for refused in [
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/other"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","Name":"look"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","task":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#,
        "",
        "null",
    ] {
        let unspoken = read(refused).unwrap_err();
        assert!(!unspoken.words.is_empty(), "{refused}");
    }
    assert!(Posted::read("bank", b"\xff", Headers::default()).is_err());
}

#[test]
fn headers_that_say_something_else_than_the_message_refuse_it() {
    let with = |method, name| Posted::read("bank", CALL.as_bytes(), Headers { method, name });
    assert!(with(Some("tools/call"), Some("pay")).is_ok());
    assert!(with(None, Some("pay")).is_ok());
    for (method, name) in [
        (Some("tools/list"), None),
        (None, Some("look")),
        (Some("tools/call"), Some("")),
    ] {
        let unspoken = with(method, name).unwrap_err();
        assert!(unspoken.words.contains("the message says something else"));
        assert!(unspoken.is_request());
    }
}
