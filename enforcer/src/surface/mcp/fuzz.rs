//! Messages of peers, as bytes that somebody changed: what is read is what another parser reads, and is written back as itself.

use proptest::test_runner::TestCaseResult;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::Value;

use super::answers;
use super::call::Call;
use super::methods::{ClientMethod, Era};
use super::posted::{Headers, Posted};
use super::wire::{Answered, Message};
use crate::fixture::hostile;

const MESSAGES: [&str; 8] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"to":"GB29","amount":5}}}"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"look","arguments":{},"_meta":{"progressToken":7}}}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"demo://a"}}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"prompts/get","params":{"name":"p","arguments":{"city":"Oslo"}}}"#,
    r#"{"jsonrpc":"2.0","id":4,"method":"tools/list","params":{"cursor":"2"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"\u00e9"}]}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#,
];

fn written(message: &Message<'_>) -> String {
    match message {
        Message::Request { id, method, params } => match params {
            Some(params) => answers::request(id, method, params.get()),
            None => format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":{}}}"#,
                Value::from(&**method)
            ),
        },
        Message::Notification { method, params } => {
            let method = Value::from(&**method);
            let params = params.map(|params| format!(r#","params":{}"#, params.get()));
            format!(
                r#"{{"jsonrpc":"2.0","method":{method}{}}}"#,
                params.unwrap_or_default()
            )
        }
        Message::Response { id, answer } => match answer {
            Answered::Result(result) => answers::result(id, result.get()),
            Answered::Error(error) => answers::error_of(id, error.get()),
        },
    }
}

/// Whether two readings are one.
fn as_one(message: &Message<'_>) -> String {
    format!("{message:?}")
}

#[test]
fn a_message_that_is_read_is_what_another_parser_reads_and_is_written_back_as_itself() {
    hostile::run(1, &MESSAGES, |input| {
        let Ok(text) = str::from_utf8(input) else {
            return Ok(());
        };
        let Ok(message) = Message::parse(text) else {
            return Ok(());
        };
        let again = written(&message);
        let read = Message::parse(&again);
        prop_assert!(read.is_ok(), "{}", again);
        prop_assert_eq!(as_one(&message), read.as_ref().map(as_one).unwrap_or_default());
        // Another one keeps the last of two members; here there are none.
        let (other, same): (Value, Value) = match (serde_json::from_str(text), serde_json::from_str(&again)) {
            (Ok(other), Ok(same)) => (other, same),
            // A number that it can't hold is passed on as it stands.
            (Err(other), _) => {
                prop_assert!(other.to_string().contains("number out of range"), "{}", other);
                return Ok(());
            }
            (_, Err(same)) => {
                prop_assert!(false, "{}: {}", same, again);
                return Ok(());
            }
        };
        prop_assert_eq!(other, same);
        Ok(())
    });
}

/// The tool and its arguments are those of another parser.
fn has_one_reading(text: &str, (tool, arguments): (&str, &str)) -> TestCaseResult {
    let Ok(other) = serde_json::from_str::<Value>(text) else {
        return Ok(());
    };
    let (method, params) = (other["method"].as_str().unwrap_or_default(), &other["params"]);
    let Ok(arguments) = serde_json::from_str::<Value>(arguments) else {
        return Ok(());
    };
    if method == "tools/call" {
        let name = params["name"].as_str();
        prop_assert_eq!(tool.strip_prefix("bank/"), name);
        let given = params
            .get("arguments")
            .cloned()
            .unwrap_or_else(|| serde_json::json!({}));
        prop_assert_eq!(arguments, given);
    } else {
        prop_assert_eq!(tool.strip_prefix("bank/"), Some(method));
        for (name, value) in arguments.as_object().into_iter().flatten() {
            prop_assert_eq!(&params[name], value);
        }
    }
    Ok(())
}

#[test]
fn what_is_decided_of_a_call_is_what_its_server_reads() {
    let eras = [Era::Handshake, Era::Stateless];
    hostile::run(1, &MESSAGES, |input| {
        let Ok(text) = str::from_utf8(input) else {
            return Ok(());
        };
        let Ok(Message::Request { method, params, .. }) = Message::parse(text) else {
            return Ok(());
        };
        for era in eras {
            let Some(known @ (ClientMethod::CallsTool | ClientMethod::Decided { .. })) =
                era.of_client(&method)
            else {
                continue;
            };
            if let Ok(call) = Call::read(("bank", era), &method, known, params) {
                has_one_reading(text, (&call.tool, &call.arguments))?;
            }
        }
        Ok(())
    });
}

#[test]
fn what_a_gateway_shows_is_read_as_a_line_is() {
    hostile::run(1, &MESSAGES, |input| {
        let headers = Headers {
            method: Some("tools/call"),
            name: Some("pay"),
        };
        if let Ok(Posted::Wants(wanted)) = Posted::read("bank", input, Headers::default()) {
            let text = String::from_utf8_lossy(input);
            has_one_reading(&text, (&wanted.tool, &wanted.arguments))?;
        }
        if let Ok(Posted::Wants(wanted)) = Posted::read("bank", input, headers) {
            prop_assert_eq!(wanted.tool, "bank/pay");
        }
        Ok(())
    });
}
