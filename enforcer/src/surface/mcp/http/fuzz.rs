//! What comes over HTTP, as bytes that somebody changed: headers beside a message, and streams of events.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use proptest::{prop_assert, prop_assert_eq};
use serde_json::Value;

use super::events::Events;
use super::stateless::said;
use crate::fixture::hostile;
use crate::surface::mcp::wire::Message;

const REQUESTS: [&str; 3] = [
    "mcp-protocol-version: 2026-07-28\nmcp-method: tools/call\nmcp-name: pay\nmcp-param-to: acme\n\n\
     {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"pay\",\"arguments\":{\"to\":\"acme\",\"amount\":5},\
     \"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}",
    "mcp-protocol-version: 2026-07-28\nmcp-method: resources/read\nmcp-name: =?base64?ZGVtbzovL2E=?=\n\n\
     {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"resources/read\",\"params\":{\"uri\":\"demo://a\",\
     \"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}",
    "mcp-protocol-version: 2025-11-25\nmcp-session-id: 7\n\n{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/list\"}",
];
const STREAMS: [&str; 3] = [
    ": hello\r\nid: 7\r\nevent: message\r\ndata: {\"a\":1}\r\n\r\nretry: 3\n\ndata:x\ndata: y\n\n",
    "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n:\n\ndata:\n\n",
    "data: one\n\ndata: two\rdata: three\n\n\n\n",
];

/// Lines of headers, an empty one, and a message.
fn parsed(text: &str) -> Option<(HeaderMap, &str)> {
    let (head, body) = text.split_once("\n\n")?;
    let mut headers = HeaderMap::new();
    for line in head.lines() {
        let (name, value) = line.split_once(": ")?;
        headers.append(
            name.parse::<HeaderName>().ok()?,
            HeaderValue::from_str(value).ok()?,
        );
    }
    Some((headers, body))
}

#[test]
fn a_header_that_is_believed_says_what_its_message_says() {
    hostile::run(1, &REQUESTS, |input| {
        let Ok(text) = str::from_utf8(input) else {
            return Ok(());
        };
        let Some((headers, body)) = parsed(text) else {
            return Ok(());
        };
        let Ok(message) = Message::parse(body) else {
            return Ok(());
        };
        let Some(Ok(believed)) = said(&headers, &message) else {
            return Ok(());
        };
        let Ok(other) = serde_json::from_str::<Value>(body) else {
            return Ok(());
        };
        let plain = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.filter(|value| !value.starts_with("=?base64?"))
        };
        if let Some(method) = plain("mcp-method") {
            prop_assert_eq!(other["method"].as_str(), Some(method));
        }
        let member = if other["method"] == "resources/read" {
            "uri"
        } else {
            "name"
        };
        if let Some(name) = plain("mcp-name").filter(|_| other["params"][member].is_string()) {
            let is_mirrored = matches!(
                other["method"].as_str(),
                Some("tools/call" | "prompts/get" | "resources/read")
            );
            prop_assert!(!is_mirrored || other["params"][member] == name, "{}", text);
        }
        let given = other["params"]["arguments"].as_object();
        for (header, value) in believed
            .told
            .iter()
            .filter(|(header, _)| header.as_str().starts_with("mcp-param-"))
        {
            let value = value.to_str().unwrap_or_default();
            let is_said = |given: &Value| match given {
                Value::String(text) => text == value,
                other => other.to_string().as_str() == value,
            };
            let is_plain = !value.starts_with("=?base64?");
            let is_argument = given.is_some_and(|given| given.values().any(is_said));
            prop_assert!(!is_plain || is_argument, "{}: {}", header, value);
        }
        Ok(())
    });
}

fn all(stream: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut events = Events::default();
    let pieces = stream.chunks(piece);
    pieces
        .flat_map(|piece| events.take(piece).unwrap_or_default())
        .collect()
}

#[test]
fn a_stream_of_any_bytes_has_the_same_events_however_it_is_cut_and_no_more_than_came() {
    hostile::run(1, &STREAMS, |input| {
        let whole = all(input, usize::MAX);
        for piece in [1, 3, 64] {
            prop_assert_eq!(&all(input, piece), &whole);
        }
        prop_assert!(whole.iter().map(Vec::len).sum::<usize>() <= input.len());
        Ok(())
    });
}
