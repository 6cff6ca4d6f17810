//! A message for an incoming webhook of Slack, in Block Kit.
//!
//! **Invariant**: text of others stands in `plain_text` objects, in which Slack finds no markup, mention or link; and the three
//! characters that begin markup in Slack are escaped everywhere.

use serde_json::{Value, json};

use super::message::Message;

/// Slack takes 3000 characters in a block.
const BLOCK_BYTES_MAX: usize = 2_900;

/// What is posted.
pub(super) fn body(message: &Message) -> Value {
    let mut blocks = vec![section(&format!("Checkrein. {}", message.title()))];
    let lines: Vec<String> = message
        .lines()
        .iter()
        .map(|(name, text)| format!("{name}: {text}"))
        .collect();
    blocks.extend(lines.iter().map(|line| section(line)));
    if let Some(link) = &message.link {
        let link = format!("<{}|Open the hold>", escape(link));
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": link}}));
    }
    json!({
        "text": format!("Checkrein. {}", escape(&message.title())),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "plain_text", "text": escape(text), "emoji": false}})
}

/// As Slack wants it, cut where it would be too long, and never within an escape.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if escaped.len() >= BLOCK_BYTES_MAX {
            escaped.push('…');
            break;
        }
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    escaped
}
