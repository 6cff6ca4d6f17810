//! Questions that are decided: one, or several one after the other.
//!
//! **Invariant**: each is a call of its own. One that can't be read is denied by itself; what is wrong with all of them is refused.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use checkrein_shared::action::{Arguments, Json};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::answers::{Decision, Refusal, Semantic, json_answer};
use super::asked::{Parts, Question, member};
use super::{Asker, AuthZen, read, requests};

/// So many are decided in one request.
const SEVERAL_MAX: usize = 256;
/// And within this; what is not decided by then is denied.
const SEVERAL_WITHIN: Duration = Duration::from_secs(30);
const LATE: &str = "it could not be decided in time";

pub(super) async fn one(State(authzen): State<Arc<AuthZen>>, request: Request) -> Result<Response, Refusal> {
    let (asker, body) = read(request).await?;
    authzen.alone(&asker, Parts::of(&body)).await
}

pub(super) async fn several(
    State(authzen): State<Arc<AuthZen>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (asker, body) = read(request).await?;
    let parts = Parts::of(&body);
    let items = match body.get("evaluations") {
        Some(Json::Array(items)) if !items.is_empty() => items,
        None | Some(Json::Array(_)) => return authzen.alone(&asker, parts).await,
        Some(_) => return Err(Refusal::bad("`evaluations` must be a list")),
    };
    if items.len() > SEVERAL_MAX {
        return Err(Refusal::bad(format!(
            "{} evaluations are more than the {SEVERAL_MAX} that are decided in one request",
            items.len()
        )));
    }
    let semantic = semantic(&body).map_err(Refusal::bad)?;
    let parts = shared(parts).map_err(Refusal::bad)?;
    let decisions = authzen.each(&asker, (parts, items), semantic).await;
    Ok(json_answer(StatusCode::OK, &json!({ "evaluations": decisions })))
}

impl AuthZen {
    async fn alone(&self, asker: &Asker, parts: Parts<'_>) -> Result<Response, Refusal> {
        let question = parts.question().map_err(Refusal::bad)?;
        let decision = self.decide(asker, &question).await;
        Ok(json_answer(StatusCode::OK, &decision.json(self.is_terse)))
    }

    async fn each(
        &self,
        asker: &Asker,
        (parts, items): (Parts<'_>, &[Json]),
        semantic: Semantic,
    ) -> Vec<Value> {
        let until = Instant::now() + SEVERAL_WITHIN;
        let mut decisions = Vec::with_capacity(items.len());
        for item in items {
            let decision = match parts.with(item).and_then(|parts| parts.question()) {
                Ok(question) => timeout_at(until, self.decide(asker, &question))
                    .await
                    .unwrap_or_else(|_| Decision::error(StatusCode::SERVICE_UNAVAILABLE, LATE)),
                Err(words) => Decision::error(StatusCode::BAD_REQUEST, &words),
            };
            let is_permit = decision.is_permit;
            decisions.push(decision.json(self.is_terse));
            if semantic.ends_with(is_permit) {
                break;
            }
        }
        decisions
    }

    /// Has a question decided by the gate, and says what an asker can do if people have to look.
    async fn decide(&self, asker: &Asker, question: &Question) -> Decision {
        let carried = match self
            .mapping
            .call(&self.asking, question, &asker.credentials)
            .await
        {
            Ok(carried) => carried,
            Err(unmapped) => return Decision::unmapped(&unmapped),
        };
        requests::decide(self, asker, question, &carried).await
    }
}

/// How the list is gone through.
fn semantic(body: &Arguments) -> Result<Semantic, String> {
    let name = match body.get("options") {
        None => None,
        Some(Json::Object(options)) => match member(options, "evaluations_semantic") {
            None => None,
            Some(Json::String(name)) => Some(name.as_str()),
            Some(_) => return Err("`options.evaluations_semantic` must be a string".to_owned()),
        },
        Some(_) => return Err("`options` must be an object".to_owned()),
    };
    Semantic::of(name).ok_or_else(|| {
        "`options.evaluations_semantic` is `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`".to_owned()
    })
}

/// The parts that stand beside the list, each whole if it stands there at all.
fn shared(parts: Parts<'_>) -> Result<Parts<'_>, String> {
    parts.subject.map(|_| parts.subject()).transpose()?;
    parts.action.map(|_| parts.deed()).transpose()?;
    parts.resource.map(|_| parts.resource()).transpose()?;
    parts.given()?;
    Ok(parts)
}
