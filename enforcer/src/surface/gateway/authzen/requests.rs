//! Access requests: a denial that people may turn into a permit, and what comes of it.
//!
//! **Invariant**: a hold is a denial until the question is asked again and the gate releases it, once. What an approval is shown for is what
//! it was given for, or it is another question.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use checkrein_shared::action::{Arguments, Json};
use checkrein_shared::decision::Cause;
use checkrein_shared::id::{DecisionId, HoldId};
use serde_json::json;

use super::super::asking::{Carried, RETRY_AFTER_S, Said};
use super::access::{KEY_BYTES_MAX, Shown, Status, Task, Unrequested};
use super::answers::{Decision, Refusal, json_answer};
use super::asked::{Parts, Question, member, said};
use super::mapped::Unmapped;
use super::{Asker, AuthZen, read};
use crate::moment::rfc3339;

/// What an approval that was shown did not come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Request,
    Retry,
    Nothing,
}

/// Has a call decided, with the approval that the question shows, if it shows one.
pub(super) async fn decide(
    authzen: &AuthZen,
    asker: &Asker,
    question: &Question,
    carried: &Carried,
) -> Decision {
    let gate = authzen.asking.gate();
    let shown = match approval(question) {
        Ok(None) => None,
        Ok(Some(id)) => match authzen
            .desk
            .shown(&asker.pep, id, (question, carried), gate.clock().wall_ms())
        {
            Shown::Unknown => return unverifiable(),
            shown => Some(shown),
        },
        Err(words) => return Decision::unmapped(&Unmapped::new("approval_unverifiable", words)),
    };
    let said = authzen.asking.decide(carried).await;
    let mut decision = Decision::of(&said, gate.clock().wall_ms());
    if let Said::Hold(held) = &said
        && authzen.desk.denied(gate, &asker.pep, held, (question, carried))
    {
        let url = authzen.url(asker);
        let request = json!({
            "endpoint": format!("{url}/access/v1/requests"),
            "expires_at": rfc3339(held.decide_by_ms),
            "display": { "title": "People have to look at this", "description": held.decided.reason },
        });
        decision.needs("access_request", request);
    }
    if let Some(shown) = shown {
        resolve(&mut decision, &said, &shown);
    }
    decision
}

/// Says what came of a question that was asked again with an approval.
fn resolve(decision: &mut Decision, said: &Said, shown: &Shown) {
    let (reason, next) = match (said, shown) {
        (Said::Permit(_), Shown::OfThis(Some(approval))) => {
            let approval = json!({ "id": approval.id, "approved_until": rfc3339(approval.until_ms) });
            decision.needs("approval", approval);
            return;
        }
        (Said::Permit(_), _) => return,
        (Said::Hold(_), Shown::OfThis(Some(_))) => ("approval_expired", Next::Request),
        (Said::Hold(_), Shown::OfAnother | Shown::Unknown) => ("out_of_scope", Next::Request),
        (Said::Deny(denied), Shown::OfThis(_)) if is_over(denied.decided.cause) => {
            // What is over is forgotten by this answer: asked once more, people can be asked again.
            ("approval_expired", Next::Retry)
        }
        (Said::Deny(_), _) => ("policy_denied", Next::Nothing),
        (Said::Hold(_), Shown::OfThis(None)) | (Said::Withheld(..) | Said::Undecided(_), _) => {
            ("grant_pending", Next::Retry)
        }
    };
    decision.say("reason", reason);
    let word = match next {
        Next::Request => "request",
        Next::Retry => "retry",
        Next::Nothing => "none",
    };
    decision.needs("next_action", word);
    if next == Next::Retry {
        decision.needs("retry_after", RETRY_AFTER_S);
    }
}

const fn is_over(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::HoldExpired | Cause::HoldLapsed | Cause::AlreadyReleased
    )
}

fn unverifiable() -> Decision {
    let words = "nobody here gave this approval to this asker; ask without it";
    let mut decision = Decision::unmapped(&Unmapped::new("approval_unverifiable", words));
    decision.needs("next_action", "none");
    decision
}

/// The name of the approval that a question shows.
fn approval(question: &Question) -> Result<Option<&str>, String> {
    match member(&question.context, "approval") {
        None => Ok(None),
        Some(Json::Object(approval)) => {
            let id = said(approval, "id");
            id.map(Some)
                .ok_or_else(|| "`context.approval.id` is missing".to_owned())
        }
        Some(_) => Err("`context.approval` must be an object".to_owned()),
    }
}

/// `POST /access/v1/requests`
pub(super) async fn submit(
    State(authzen): State<Arc<AuthZen>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (asker, body) = read(request).await?;
    let (denial, bound) = submitted(&body)?;
    let key = asker.idempotency_key.as_deref();
    if key.is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES_MAX) {
        return Err(Refusal::bad(format!(
            "an `Idempotency-Key` has 1 to {KEY_BYTES_MAX} bytes"
        )));
    }
    let now_ms = authzen.asking.gate().clock().wall_ms();
    let task = authzen.desk.request(&asker.pep, (denial, &bound), key, now_ms)?;
    Ok(authzen.handle(&asker, &task, true))
}

/// `GET /access/v1/requests/{task}`
pub(super) async fn status(
    State(authzen): State<Arc<AuthZen>>,
    Path(task): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let asker = Asker::of(&request)?;
    let hold: Option<HoldId> = task.parse().ok();
    let now_ms = authzen.asking.gate().clock().wall_ms();
    let task = hold.and_then(|hold| authzen.desk.task(&asker.pep, hold, now_ms));
    let task = task.ok_or_else(|| {
        let detail =
            "no task of this name is yours, or it was over long ago, or the enforcer was restarted; ask again";
        Refusal::problem(StatusCode::NOT_FOUND, ("unknown_task", "No such task"), detail)
    })?;
    Ok(authzen.handle(&asker, &task, false))
}

impl AuthZen {
    fn handle(&self, asker: &Asker, task: &Task, is_new: bool) -> Response {
        let place = format!("{}/access/v1/requests/{}", self.url(asker), task.hold);
        let mut body = json!({ "task": {
            "id": task.hold.to_string(),
            "status": task.status.word(),
            "status_endpoint": place,
            "expires_at": rfc3339(task.expires_ms),
        }});
        if task.status == Status::Pending {
            body["task"]["progress"] = json!({ "awaiting": task.groups });
        }
        if !task.said.is_empty() {
            body["task"]["display"] = json!({ "title": "A person says", "description": task.said });
        }
        if let Some(approval) = &task.approval {
            body["result"] = json!({ "mode": "reevaluate", "approval": {
                "id": approval.id,
                "approved_at": rfc3339(approval.seen_ms),
                "approved_until": rfc3339(approval.until_ms),
            }});
        }
        let status = match (is_new, task.status) {
            (false, _) => StatusCode::OK,
            (true, Status::Pending) => StatusCode::ACCEPTED,
            (true, _) => StatusCode::CREATED,
        };
        let mut response = json_answer(status, &body);
        if task.status == Status::Pending {
            let after = HeaderValue::from(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
        if is_new && let Ok(place) = HeaderValue::try_from(place) {
            response.headers_mut().insert(header::LOCATION, place);
        }
        response
    }
}

/// Which denial a request is of, and of what question.
fn submitted(body: &Arguments) -> Result<(DecisionId, String), Refusal> {
    if body.get("items").is_some() {
        return Err(not_requestable(
            "several items are not taken; request each denial by itself",
        ));
    }
    if body
        .get("callback")
        .is_some_and(|callback| *callback != Json::Null)
    {
        return Err(not_requestable(
            "nobody is called back from here; leave `callback` out, and look at the task",
        ));
    }
    let question = Parts::of(body).question().map_err(Refusal::bad)?;
    let denial = match body.get("denial") {
        Some(Json::Object(denial)) => denial,
        Some(_) => return Err(Refusal::bad("`denial` must be an object")),
        None => return Err(Refusal::bad("`denial` is missing; it names the evaluation")),
    };
    let evaluation = said(denial, "evaluation_id").and_then(|id| id.parse().ok());
    Ok((evaluation.ok_or(Unrequested::Unknown)?, question.bound()))
}

fn not_requestable(detail: &str) -> Refusal {
    let kind = ("not_requestable", "Access is not requestable");
    Refusal::problem(StatusCode::BAD_REQUEST, kind, detail)
}

impl From<Unrequested> for Refusal {
    fn from(unrequested: Unrequested) -> Self {
        match unrequested {
            Unrequested::Unknown => not_requestable(
                "no evaluation of this `denial.evaluation_id` waits for people here, and for you; ask again",
            ),
            Unrequested::OtherBinding => Self::problem(
                StatusCode::BAD_REQUEST,
                ("invalid_denial_binding", "Another question was denied"),
                "subject, action and resource are not those of the evaluation; send them as they were asked",
            ),
            Unrequested::Expired => Self::problem(
                StatusCode::GONE,
                ("expired_denial", "The denial has expired"),
                "people are not asked about it any more; ask again",
            ),
            Unrequested::KeyTaken => Self::problem(
                StatusCode::CONFLICT,
                ("duplicate_request", "The key was used"),
                "this `Idempotency-Key` stands for another request; take a new one",
            ),
        }
    }
}
