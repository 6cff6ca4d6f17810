//! What an asker is told.
//!
//! **Invariant**: `decision` is true for a permit that goes on, and for nothing else. What was not decided is a deny like any other.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::asking::Said;
use super::mapped::Unmapped;
use crate::gate::Decided;
use crate::moment::rfc3339;

/// One decision, as the standard wants it.
#[derive(Debug, Clone, Default)]
pub(super) struct Decision {
    pub(super) is_permit: bool,
    pub(super) context: Map<String, Value>,
    /// What stays of the context, if answers are bare.
    needed: Map<String, Value>,
}

/// What can't be answered, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    words: String,
    problem: Option<(&'static str, &'static str)>,
}

/// How the list of several is gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Semantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

impl Decision {
    /// What the gate said of a call, at this moment.
    pub(super) fn of(said: &Said, now_ms: u64) -> Self {
        let mut decision = Self {
            is_permit: matches!(said, Said::Permit(_)),
            ..Self::default()
        };
        let (decided, reason) = match said {
            Said::Permit(decided) => (Some(decided), None),
            Said::Hold(held) => (Some(&held.decided), Some("approval_required".to_owned())),
            Said::Deny(denied) => (Some(&denied.decided), Some(denied.decided.cause.to_string())),
            Said::Withheld(decided, _) => (Some(decided), Some("withheld".to_owned())),
            Said::Undecided(_) => (None, Some("undecided".to_owned())),
        };
        let words = match said {
            Said::Withheld(_, words) | Said::Undecided(words) => words,
            _ => decided.map_or("", |decided| &decided.reason),
        };
        if let Some(reason) = reason {
            decision.say("reason", reason);
            decision.say("reason_user", json!({ "403": words }));
        }
        if let Said::Hold(held) = said {
            decision.say("groups", held.groups.clone());
        }
        if let Some(decided) = decided {
            decision.say("evaluation_id", decided.id.to_string());
            decision.say("evaluated_at", rfc3339(now_ms));
            decision.say("reason_admin", json!({ (status(said)): admin(decided) }));
        }
        decision
    }

    /// A question that is about nothing.
    pub(super) fn unmapped(unmapped: &Unmapped) -> Self {
        let mut decision = Self::default();
        decision.say("reason", unmapped.cause);
        decision.say("reason_user", json!({ "403": unmapped.words }));
        decision
    }

    /// One of several that was not decided.
    pub(super) fn error(status: StatusCode, words: &str) -> Self {
        let mut decision = Self::default();
        decision.needs("error", json!({ "status": status.as_u16(), "message": words }));
        decision
    }

    pub(super) fn say(&mut self, name: &str, value: impl Into<Value>) {
        self.context.insert(name.to_owned(), value.into());
    }

    /// The same, and it stays in a bare answer.
    pub(super) fn needs(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        self.needed.insert(name.to_owned(), value.clone());
        self.say(name, value);
    }

    pub(super) fn json(mut self, is_terse: bool) -> Value {
        let mut context = if is_terse && !self.needed.is_empty() {
            // By which what is needed is asked for.
            for name in ["evaluation_id", "evaluated_at", "reason"] {
                if let Some(value) = self.context.remove(name) {
                    self.needed.insert(name.to_owned(), value);
                }
            }
            self.needed
        } else if is_terse {
            Map::new()
        } else {
            self.context
        };
        let mut answer = json!({ "decision": self.is_permit });
        if !context.is_empty() {
            context.retain(|_, value| !value.is_null());
            answer["context"] = Value::Object(context);
        }
        answer
    }
}

/// For whoever reads logs.
fn admin(decided: &Decided) -> String {
    let rules = match decided.rules.as_slice() {
        [] => "no rule".to_owned(),
        rules => rules.join(", "),
    };
    format!("{} ({rules}), decision {}", decided.cause, decided.id)
}

const fn status(said: &Said) -> &'static str {
    match said {
        Said::Permit(_) => "200",
        _ => "403",
    }
}

impl Semantic {
    pub(super) fn of(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("execute_all") => Some(Self::ExecuteAll),
            Some("deny_on_first_deny") => Some(Self::DenyOnFirstDeny),
            Some("permit_on_first_permit") => Some(Self::PermitOnFirstPermit),
            Some(_) => None,
        }
    }

    /// Whether what comes after this one is not asked.
    pub(super) fn ends_with(self, is_permit: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !is_permit,
            Self::PermitOnFirstPermit => is_permit,
        }
    }
}

/// An answer in JSON.
pub(super) fn json_answer(status: StatusCode, body: &Value) -> Response {
    typed(status, "application/json", body)
}

impl Refusal {
    /// A request that is none.
    pub(super) fn bad(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    pub(super) fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self {
            status,
            words: words.into(),
            problem: None,
        }
    }

    /// An access request that can't be one, by the standard's name for that.
    pub(super) fn problem(
        status: StatusCode,
        (kind, title): (&'static str, &'static str),
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            words: detail.into(),
            problem: Some((kind, title)),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Some((kind, title)) = self.problem else {
            return (self.status, self.words).into_response();
        };
        let body = json!({
            "type": format!("urn:openid:authzen:access-request:error:{kind}"),
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.words,
        });
        typed(self.status, "application/problem+json", &body)
    }
}

fn typed(status: StatusCode, kind: &'static str, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
