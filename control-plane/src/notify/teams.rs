//! A message for an incoming webhook of Microsoft Teams (a workflow): an Adaptive Card.
//!
//! **Invariant**: text of others stands in `TextRun`s, in which Adaptive Cards find no Markdown, and holds no `{{`, by which
//! they would format dates.

use serde_json::{Value, json};

use super::message::Message;

/// What is posted.
pub(super) fn body(message: &Message) -> Value {
    let mut blocks = vec![rich(&[run(&format!("Checkrein. {}", message.title()), true)])];
    let lines = message.lines();
    blocks.extend(
        lines
            .iter()
            .map(|(name, text)| rich(&[run(&format!("{name}: "), true), run(text, false)])),
    );
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    });
    if let (Some(link), Some(card)) = (&message.link, card.as_object_mut()) {
        let open = json!([{"type": "Action.OpenUrl", "title": "Open the hold", "url": link}]);
        card.insert("actions".to_owned(), open);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

fn rich(runs: &[Value]) -> Value {
    json!({"type": "RichTextBlock", "inlines": runs})
}

fn run(text: &str, is_bold: bool) -> Value {
    let weight = if is_bold { "Bolder" } else { "Default" };
    json!({"type": "TextRun", "text": unfilled(text), "weight": weight})
}

/// No two braces stand together, however many there were: what is in two of them is filled in.
fn unfilled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '{' && out.ends_with('{') {
            out.push(' ');
        }
        out.push(c);
    }
    out
}
