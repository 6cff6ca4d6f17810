//! Signed webhooks: a `CloudEvents` 1.0 event in structured mode, signed after Standard Webhooks 1.0.
//!
//! **Invariant**: every try of one notification has the same `webhook-id`, which is the event's `id`, and the same body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};

use super::message::{Message, rfc3339};
use super::secret::Secret;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// How long a key may be, in bytes (Standard Webhooks, "Signature scheme").
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The type of the body.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The key in a text such as `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`.
pub(super) fn parse_secret(text: &str) -> Option<Secret> {
    let encoded = text.trim().strip_prefix(SECRET_PREFIX)?;
    let key = STANDARD.decode(encoded).ok()?;
    KEY_BYTES.contains(&key.len()).then(|| Secret::new(key))
}

/// The headers that prove who sent a body, and when.
pub(super) fn sign(id: &str, now_ms: u64, body: &[u8], keys: &[Secret]) -> [(&'static str, String); 3] {
    let seconds = (now_ms / 1_000).to_string();
    let signature = |key: &Secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.bytes());
        let mut context = hmac::Context::with_key(&key);
        for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
            context.update(part);
        }
        format!("v1,{}", STANDARD.encode(context.sign()))
    };
    let signatures: Vec<String> = keys.iter().map(signature).collect();
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds),
        ("webhook-signature", signatures.join(" ")),
    ]
}

/// The event. What is unknown or does not apply is left out.
pub(super) fn event(message: &Message, source: &str) -> Value {
    let facts = &message.facts;
    let mut data = json!({
        "hold": facts.hold,
        "task": facts.task,
        "tool": facts.tool,
        "agent": facts.agent,
        "user": facts.user,
        "environment": facts.environment,
        "reason": facts.reason,
        "groups": facts.groups,
        "note": facts.note,
        "by": facts.by,
        "said": facts.said,
        "standing_approval": facts.standing,
        "link": message.link,
    });
    if let Some(data) = data.as_object_mut() {
        if facts.decide_by_ms != 0 {
            data.insert("decide_by".to_owned(), rfc3339(facts.decide_by_ms).into());
        }
        data.retain(|_, value| !is_nothing(value));
    }
    let subject = Some(&facts.hold).filter(|hold| !hold.is_empty());
    let mut event = json!({
        "specversion": "1.0",
        "id": message.id.to_string(),
        "source": source,
        "type": format!("checkrein.{}", message.kind.as_str()),
        "time": rfc3339(message.happened_ms),
        "datacontenttype": "application/json",
        "data": data,
    });
    if let (Some(event), Some(subject)) = (event.as_object_mut(), subject) {
        event.insert("subject".to_owned(), subject.as_str().into());
    }
    event
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}
