//! What headers say is what the message says, or nothing is heard.

use checkrein_shared::ManualClock;
use proptest::prelude::*;

use super::*;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn call() -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"pay","arguments":{{"to":"acme","amount":5}},{META}}}}}"#
    )
}

fn headers(said: &[(&str, &str)]) -> HeaderMap {
    said.iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

const GOOD: [(&str, &str); 3] = [
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "pay"),
];

#[test]
fn headers_that_say_what_the_message_says_are_passed_on() {
    let line = call();
    let message = Message::parse(&line).unwrap();
    let mut given = headers(&GOOD);
    given.extend(headers(&[
        ("mcp-param-amount", "5"),
        ("mcp-param-to", "=?base64?YWNtZQ==?="),
    ]));
    given.extend(headers(&[
        ("authorization", "Bearer x"),
        ("checkrein-grant", "x"),
    ]));
    let said = said(&given, &message).unwrap().unwrap();
    let mut told = said.told;
    assert_eq!(told.len(), 3, "{told:?}");
    mirror(&mut told, &line);
    assert_eq!(
        (&told["mcp-method"], &told["mcp-name"]),
        (&given["mcp-method"], &given["mcp-name"])
    );
    assert_eq!(told["mcp-param-amount"], "5");
    mirror(&mut told, r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    assert!(
        !told.contains_key("mcp-param-amount"),
        "it is an argument of no list"
    );
}

#[test]
fn a_header_that_says_something_else_is_refused() {
    let line = call();
    let message = Message::parse(&line).unwrap();
    for (name, value) in [
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-method", "tools/list"),
        ("mcp-method", "Tools/call"),
        ("mcp-name", "look"),
        ("mcp-name", "=?base64?bG9vaw==?="),
        ("mcp-name", "=?base64?!?="),
        ("mcp-param-amount", "6"),
        ("mcp-param-all", r#"{"to":"acme","amount":5}"#),
    ] {
        let mut given = headers(&GOOD);
        given.insert(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
        let refused = said(&given, &message).unwrap().unwrap_err();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{name}: {value}");
    }
    for (name, value) in GOOD {
        let name: HeaderName = name.parse().unwrap();
        let mut without = headers(&GOOD);
        without.remove(&name);
        assert!(said(&without, &message).unwrap().is_err(), "without {name}");
        let mut twice = headers(&GOOD);
        twice.append(name.clone(), HeaderValue::from_str(value).unwrap());
        assert!(said(&twice, &message).unwrap().is_err(), "{name} twice");
    }
}

#[test]
fn a_message_of_the_older_era_is_none_of_this_one() {
    let line = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let message = Message::parse(line).unwrap();
    for revision in ["", "2025-03-26", "2025-11-25"] {
        let given = headers(&[("mcp-protocol-version", revision)]);
        assert!(said(&given, &message).is_none(), "{revision}");
    }
    let given = headers(&GOOD);
    assert!(
        said(&given, &message).unwrap().is_err(),
        "its message says no revision"
    );
}

#[test]
fn no_caller_takes_the_room_of_another() {
    let agent = |name: &str| format!("spiffe://a.example/agent/{name}").parse().unwrap();
    let (callers, clock): (_, SharedClock) = (Callers::default(), Arc::new(ManualClock::default()));
    let one: SpiffeId = agent("one");
    let rooms: Vec<_> = (0..REQUESTS_OF_ONE_MAX)
        .map(|_| callers.enter(&one, (1, &clock)).unwrap())
        .collect();
    assert!(callers.enter(&one, (1, &clock)).is_none());
    let (other, _room) = callers.enter(&agent("other"), (1, &clock)).unwrap();
    assert!(!Arc::ptr_eq(&other.servers[0].held, &rooms[0].0.servers[0].held));
    drop(rooms);
    assert!(callers.enter(&one, (1, &clock)).is_some());
    for number in 0..2 * CALLERS_MAX {
        assert!(
            callers
                .enter(&agent(&format!("a{number}")), (1, &clock))
                .is_some()
        );
    }
    let kept = callers.0.lock().unwrap();
    assert_eq!(kept.len(), CALLERS_MAX);
    assert!(kept.contains_key(&agent("other")), "it has a request under way");
}

proptest! {
    #[test]
    fn a_name_comes_out_of_a_header_as_it_went_in(name in ".{0,40}") {
        let value = HeaderValue::from_str(&encoded(&name)).unwrap();
        let said = decoded(value.to_str().unwrap()).unwrap();
        prop_assert_eq!(said.as_ref(), name.as_str());
    }
}
