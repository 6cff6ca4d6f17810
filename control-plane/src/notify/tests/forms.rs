//! Hostile text in each form.

use checkrein_shared::ManualClock;
use checkrein_shared::id::NotificationId;
use serde_json::Value;

use super::super::message::{Facts, Message};
use super::super::{Kind, slack, teams, webhook};

const HOSTILE: &str = "<!channel> *bold* <https://evil.example|click> & [here](https://evil.example) {{{DATE(2020-01-01)}}}\r\nBcc: eve@evil.example\u{202e}\u{1b}[31m";

fn hostile() -> Message {
    let facts = Facts {
        hold: "hold_1".to_owned(),
        tool: HOSTILE.to_owned(),
        agent: HOSTILE.to_owned(),
        user: HOSTILE.to_owned(),
        reason: "<".repeat(100_000),
        groups: vec![HOSTILE.to_owned(); 1_000],
        decide_by_ms: 1_000,
        ..Facts::default()
    };
    Message {
        id: NotificationId::new(&ManualClock::at(1)),
        kind: Kind::HoldOpened,
        happened_ms: 1_000,
        facts: facts.tidied(),
        link: Some("https://checkrein.acme.example/holds/hold_1".to_owned()),
    }
}

/// Every text in a document, with the object it is in.
fn texts<'a>(value: &'a Value, found: &mut Vec<(&'a Value, &'a str)>) {
    match value {
        Value::Object(members) => {
            for member in members.values() {
                if let Value::String(text) = member {
                    found.push((value, text));
                }
                texts(member, found);
            }
        }
        Value::Array(members) => members.iter().for_each(|member| texts(member, found)),
        _ => {}
    }
}

#[test]
fn facts_are_short_lines_without_controls() {
    let message = hostile();
    for (_, line) in message.lines() {
        assert!(!line.contains(['\r', '\n', '\u{202e}', '\u{1b}']), "{line:?}");
        assert!(line.chars().count() < 10_000);
    }
    assert!(!message.title().contains(['\r', '\n']));
}

#[test]
fn slack_finds_no_markup_mention_or_link_in_what_others_wrote() {
    let body = slack::body(&hostile());
    let mut found = Vec::new();
    texts(&body, &mut found);
    for (parent, text) in found {
        assert!(text.len() <= 3_000);
        if parent["type"] == "mrkdwn" {
            assert!(!text.contains("evil"), "{text}");
        } else {
            assert!(!text.contains(['<', '>']), "{text}");
        }
    }
    assert!(body["blocks"].as_array().unwrap().len() <= 50);
    assert_eq!(body["mrkdwn"], false);
    assert!(body["text"].as_str().unwrap().contains("&lt;!channel&gt;"));
}

#[test]
fn teams_finds_no_markdown_or_formula_in_what_others_wrote() {
    let body = teams::body(&hostile());
    let mut found = Vec::new();
    texts(&body, &mut found);
    for (parent, text) in found {
        assert!(!text.contains("{{"), "{text}");
        if text.contains("evil") {
            assert_eq!(parent["type"], "TextRun", "{text}");
        }
    }
    let card = &body["attachments"][0]["content"];
    assert_eq!(
        card["actions"][0]["url"],
        "https://checkrein.acme.example/holds/hold_1"
    );
}

#[test]
fn an_event_is_of_cloudevents_and_says_no_more_than_it_knows() {
    let mut message = hostile();
    message.facts.reason = String::new();
    let event = webhook::event(&message, "spiffe://acme.example/control-plane");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["id"], message.id.to_string());
    assert_eq!(event["type"], "checkrein.hold.opened");
    assert_eq!(event["subject"], "hold_1");
    assert_eq!(event["time"], "1970-01-01T00:00:01Z");
    assert_eq!(event["data"]["decide_by"], "1970-01-01T00:00:01Z");
    assert_eq!(event["data"].get("reason"), None);
    assert_eq!(event["data"].get("standing_approval"), None);
}
