//! What the enforcer itself says to a client or a server.
//!
//! **Invariant**: what was not done is never said in words or a shape that could be taken for its result.

use serde_json::{Value, json};

use super::wire::Id;
use crate::gate::{Decided, Denied, Held};

/// As JSON-RPC names them.
pub(super) const NOT_JSON: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const UNKNOWN_METHOD: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;
pub(super) const INTERNAL: i64 = -32603;
/// As MCP names them: a header says something else than the message, a client lacks what a call needs of it, and a revision that is not
/// spoken.
pub(super) const HEADER_MISMATCH: i64 = -32020;
pub(super) const MISSING_CAPABILITY: i64 = -32021;
pub(super) const UNKNOWN_REVISION: i64 = -32022;
/// Ours, outside what JSON-RPC and MCP keep for themselves.
pub(super) const REFUSED: i64 = -31001;
pub(super) const PENDING: i64 = -31002;
/// Where a result says what was decided of its call.
const DECISION: &str = "checkrein/decision";

/// What a client says after the handshake.
pub(super) const READY: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// What kind of answer a method has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A tool's result, which a model reads also when it is an error.
    Tool,
    /// Another: what can't be given is an error of JSON-RPC.
    Plain,
}

/// What is said instead of a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Instead {
    code: i64,
    words: String,
    decision: Option<Value>,
}

/// What a request comes to, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    Result(String),
    Error(String),
}

impl Instead {
    /// The action may not happen.
    pub(super) fn denied(denied: &Denied, note: Option<&str>) -> Self {
        let decided = &denied.decided;
        let note = note.map(|note| format!(" ({note})")).unwrap_or_default();
        let words = format!(
            "Checkrein denied this call: {}{note}. It was not done. Do not retry.{}",
            decided.reason.trim_end_matches('.'),
            of(decided)
        );
        Self {
            code: REFUSED,
            words,
            decision: Some(decision("deny", decided)),
        }
    }

    /// It waits for people.
    pub(super) fn pending(held: &Held) -> Self {
        let words = format!(
            "This call waits for approval by {}, and was NOT done: {}. To pick up the answer, make the same call again \
             with exactly the same arguments; do not try another way.{}",
            held.groups.join(", "),
            held.decided.reason.trim_end_matches('.'),
            of(&held.decided)
        );
        let mut decision = decision("hold", &held.decided);
        decision["groups"] = json!(held.groups);
        decision["decide_by_unix_ms"] = json!(held.decide_by_ms);
        Self {
            code: PENDING,
            words,
            decision: Some(decision),
        }
    }

    /// The page on which people answer, if there is one.
    pub(super) fn at(mut self, page: Option<String>) -> Self {
        if let (Some(page), Some(decision)) = (page, &mut self.decision) {
            self.words = format!("{} Whoever may approve it finds it at {page}", self.words);
            decision["url"] = json!(page);
        }
        self
    }

    /// It was let through, and nothing of what it gave may be passed on, or nobody knows how it ended.
    pub(super) fn lost(why: &str, decided: &Decided) -> Self {
        Self {
            code: REFUSED,
            words: format!("Checkrein: {why}. Do not retry; tell the user.{}", of(decided)),
            decision: Some(decision("permit", decided)),
        }
    }

    /// It could not even be decided.
    pub(super) fn failed(code: i64, words: impl Into<String>) -> Self {
        Self {
            code,
            words: words.into(),
            decision: None,
        }
    }

    /// For whoever is answered in another form.
    pub(super) fn into_words(self) -> String {
        self.words
    }

    /// What a request of this shape comes to by it.
    pub(super) fn ending(&self, shape: Shape) -> Ending {
        match (shape, &self.decision) {
            (Shape::Tool, Some(decision)) => {
                let told = json!({
                    "content": [{ "type": "text", "text": self.words }],
                    "isError": true,
                    "_meta": { DECISION: decision },
                });
                Ending::Result(told.to_string())
            }
            (_, decision) => Ending::Error(error_object(self.code, &self.words, decision.as_ref())),
        }
    }

    /// As the answer to a request.
    pub(super) fn answer(&self, id: &Id, shape: Shape) -> String {
        self.ending(shape).answer(id)
    }
}

impl Ending {
    /// As the answer to a request.
    pub(super) fn answer(&self, id: &Id) -> String {
        match self {
            Self::Result(bytes) => result(id, bytes),
            Self::Error(bytes) => error_of(id, bytes),
        }
    }
}

/// A result, its bytes as they are.
pub(super) fn result(id: &Id, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// An error of another, its bytes as they are.
pub(super) fn error_of(id: &Id, error: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

/// An error. Without an id, nobody knows whose it is.
pub(super) fn error(id: Option<&Id>, code: i64, words: &str, data: Option<&Value>) -> String {
    let error = error_object(code, words, data);
    let id = id.map_or_else(|| "null".to_owned(), Id::to_string);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

fn error_object(code: i64, words: &str, data: Option<&Value>) -> String {
    let mut error = json!({ "code": code, "message": words });
    if let Some(data) = data {
        error["data"] = data.clone();
    }
    error.to_string()
}

/// A request, its parameters as they are.
pub(super) fn request(id: &Id, method: &str, params: &str) -> String {
    let method = Value::from(method);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#)
}

/// A notification, its parameters as they are.
pub(super) fn notification(method: &str, params: &str) -> String {
    let method = Value::from(method);
    format!(r#"{{"jsonrpc":"2.0","method":{method},"params":{params}}}"#)
}

/// That a request is not waited for any more.
pub(super) fn cancelled(id: &Id) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"not waited for any more"}}}}"#
    )
}

/// That a call goes on waiting. It rises by so little that whatever the server counts from 1 rises further.
pub(super) fn waits(token: &str, step: u32, held: &Held) -> String {
    let words = Value::from(waiting(held));
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":0.{step:06},"message":{words}}}}}"#
    )
}

/// What a call waits for, in few words.
pub(super) fn waiting(held: &Held) -> String {
    format!("waiting for approval by {}", held.groups.join(", "))
}

fn of(decided: &Decided) -> String {
    let rules = match decided.rules.as_slice() {
        [] => String::new(),
        rules => format!("rule {}; ", rules.join(", ")),
    };
    let hold = decided.hold.map(|hold| format!("{hold}; ")).unwrap_or_default();
    format!(" [{rules}{hold}{}; {}]", decided.cause, decided.id)
}

fn decision(verdict: &str, decided: &Decided) -> Value {
    json!({
        "verdict": verdict,
        "decision_id": decided.id.to_string(),
        "cause": decided.cause.to_string(),
        "reason": decided.reason,
        "rules": decided.rules,
        "hold_id": decided.hold.map(|hold| hold.to_string()),
        "generation": decided.generation.0,
    })
}
