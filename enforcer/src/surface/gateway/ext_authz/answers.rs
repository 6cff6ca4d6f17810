//! What a gateway is told, and through it whoever asked.
//!
//! **Invariant**: the credentials of a call never reach the service, and neither does a header by which a service takes a request for
//! another one. What was not decided is a deny like any other.

use checkrein_proto::ext_authz::check_response::HttpResponse;
use checkrein_proto::ext_authz::{
    CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpStatus, OkHttpResponse, Status,
};
use serde_json::{Value, json};

use super::super::asking::{REMOVED, RETRY_AFTER_S, Said};
use crate::gate::Decided;
use crate::surface::mcp::posted::{Reply, Unspoken};

/// By which a client finds the record of what was decided,
const DECISION: &str = "x-checkrein-decision-id";
/// and what people are asked.
const HOLD: &str = "x-checkrein-hold-id";
/// As gRPC numbers it.
const PERMISSION_DENIED: i32 = 7;
/// Whatever stands there of this name is replaced.
const OVERWRITE: i32 = 2;
const FORBIDDEN: i32 = 403;
const OK: i32 = 200;

/// A request that never was a call.
#[derive(Debug)]
pub(super) struct Refusal {
    cause: &'static str,
    pub(super) words: String,
}

/// What an MCP client is told instead of its server's answer.
#[derive(Debug)]
pub(super) struct McpAnswer {
    status: i32,
    body: String,
    why: String,
    headers: Vec<HeaderValueOption>,
}

impl Refusal {
    pub(super) fn new(cause: &'static str, words: impl Into<String>) -> Self {
        Self {
            cause,
            words: words.into(),
        }
    }

    pub(super) fn no_route(method: &str) -> Self {
        let method: String = method.chars().take(16).flat_map(char::escape_debug).collect();
        Self::new(
            "no_route",
            format!(
                "no route says which tool this `{method}` is; name it under `[[gateway.route]]`, or on the gateway's route"
            ),
        )
    }

    pub(super) fn answer(&self) -> CheckResponse {
        let body = json!({ "verdict": "deny", "cause": self.cause, "reason": self.words });
        denied(FORBIDDEN, body.to_string(), &self.words, Vec::new())
    }
}

impl McpAnswer {
    /// It goes to nobody.
    pub(super) fn unspoken(unspoken: &Unspoken) -> Self {
        Self {
            status: if unspoken.is_request() { OK } else { FORBIDDEN },
            body: unspoken.answer(),
            why: unspoken.words.clone(),
            headers: Vec::new(),
        }
    }

    /// The answer to a request.
    pub(super) const fn request(body: String, why: String) -> Self {
        Self {
            status: OK,
            body,
            why,
            headers: Vec::new(),
        }
    }

    /// What was decided of a request that does not go on.
    pub(super) fn decided(reply: &Reply, said: Said) -> Self {
        let why = why(&said);
        let headers = headers(&said);
        let body = match said {
            Said::Hold(held) => reply.pending(&held),
            Said::Deny(denied) => reply.denied(&denied),
            Said::Permit(_) | Said::Withheld(..) | Said::Undecided(_) => reply.refused(&why),
        };
        Self {
            status: OK,
            body,
            why,
            headers,
        }
    }
}

/// The request goes on.
pub(super) fn passes(decided: Option<&Decided>) -> CheckResponse {
    let named: Vec<HeaderValueOption> = decided
        .map(|decided| header(DECISION, &decided.id.to_string()))
        .into_iter()
        .collect();
    CheckResponse {
        status: Some(Status::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers: named.clone(),
            headers_to_remove: REMOVED.map(str::to_owned).to_vec(),
            response_headers_to_add: named,
        })),
    }
}

/// What is said of a request in plain HTTP.
pub(super) fn plain(said: Said) -> CheckResponse {
    let (why, headers) = (why(&said), headers(&said));
    let body = match said {
        Said::Permit(decided) => return passes(Some(&decided)),
        Said::Deny(denied) => of("deny", &denied.decided),
        Said::Withheld(decided, _) => {
            let mut body = of("deny", &decided);
            body["cause"] = Value::from("withheld");
            body["reason"] = Value::from(&*why);
            body
        }
        Said::Undecided(_) => json!({ "verdict": "deny", "cause": "undecided", "reason": why }),
        Said::Hold(held) => {
            let mut body = of("hold", &held.decided);
            body["groups"] = json!(held.groups);
            body["decide_by_unix_ms"] = json!(held.decide_by_ms);
            body
        }
    };
    denied(FORBIDDEN, body.to_string(), &why, headers)
}

/// What is said of a message to an MCP server that does not go on.
pub(super) fn mcp(answer: McpAnswer) -> CheckResponse {
    denied(answer.status, answer.body, &answer.why, answer.headers)
}

fn denied(status: i32, body: String, why: &str, mut headers: Vec<HeaderValueOption>) -> CheckResponse {
    headers.push(header("content-type", "application/json"));
    CheckResponse {
        status: Some(Status {
            code: PERMISSION_DENIED,
            message: why.to_owned(),
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: status }),
            headers,
            body,
        })),
    }
}

fn why(said: &Said) -> String {
    match said {
        Said::Permit(decided) => decided.reason.clone(),
        Said::Hold(held) => held.decided.reason.clone(),
        Said::Deny(denied) => denied.decided.reason.clone(),
        Said::Withheld(_, words) | Said::Undecided(words) => words.clone(),
    }
}

fn headers(said: &Said) -> Vec<HeaderValueOption> {
    let decided = match said {
        Said::Permit(decided) | Said::Withheld(decided, _) => decided,
        Said::Hold(held) => &held.decided,
        Said::Deny(denied) => &denied.decided,
        Said::Undecided(_) => return Vec::new(),
    };
    let mut headers = vec![header(DECISION, &decided.id.to_string())];
    if let (Said::Hold(_), Some(hold)) = (said, decided.hold) {
        headers.push(header(HOLD, &hold.to_string()));
        headers.push(header("retry-after", &RETRY_AFTER_S.to_string()));
    }
    headers
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
        }),
        append_action: OVERWRITE,
    }
}

fn of(verdict: &str, decided: &Decided) -> Value {
    json!({
        "verdict": verdict,
        "reason": decided.reason,
        "rules": decided.rules,
        "decision_id": decided.id.to_string(),
        "cause": decided.cause.to_string(),
        "hold_id": decided.hold.map(|hold| hold.to_string()),
    })
}
