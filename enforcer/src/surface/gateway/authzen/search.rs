//! Who may, to which, and what: each candidate is a question, and what rules would say of it at this moment is the answer.
//!
//! **Invariant**: a search records nothing, asks nobody and permits nothing. Candidates are what the configuration names, and the tools
//! that a task may use; what is unknown has no results.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use checkrein_shared::action::Arguments;
use checkrein_shared::decision::Verdict;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::answers::{Refusal, json_answer};
use super::asked::{Deed, Parts, Question, Thing};
use super::mapped::{CALL, TOOL};
use super::{Asker, AuthZen, read};

/// A search is answered within this, or not at all.
const SEARCH_MAX: Duration = Duration::from_secs(10);

pub(super) async fn subjects(
    State(authzen): State<Arc<AuthZen>>,
    request: Request,
) -> Result<Response, Refusal> {
    answered(request, async |asker, body| {
        let parts = Parts::of(body);
        let (kind, said) = Parts::sought(parts.subject, "subject")?;
        let (action, resource, context) = (parts.deed()?, parts.resource()?, parts.given()?);
        let candidates = authzen.mapping.subjects(&kind, &said);
        let questions = candidates.map(|subject| Question {
            subject,
            action: action.clone(),
            resource: resource.clone(),
            context: context.clone(),
        });
        Ok(authzen
            .which(asker, questions, |question| named(&question.subject))
            .await)
    })
    .await
}

pub(super) async fn resources(
    State(authzen): State<Arc<AuthZen>>,
    request: Request,
) -> Result<Response, Refusal> {
    answered(request, async |asker, body| {
        let parts = Parts::of(body);
        let (kind, said) = Parts::sought(parts.resource, "resource")?;
        let (subject, action, context) = (parts.subject()?, parts.deed()?, parts.given()?);
        let question = |resource| Question {
            subject: subject.clone(),
            action: action.clone(),
            resource,
            context: context.clone(),
        };
        if kind == TOOL && CALL.contains(&action.name.as_str()) {
            let any = question(Thing {
                kind: kind.clone(),
                id: String::new(),
                properties: said.clone(),
            });
            return Ok(authzen.tools(asker, &any).await);
        }
        let candidates = authzen.mapping.resources(&kind, &said);
        let questions = candidates.map(question);
        Ok(authzen
            .which(asker, questions, |question| named(&question.resource))
            .await)
    })
    .await
}

pub(super) async fn actions(
    State(authzen): State<Arc<AuthZen>>,
    request: Request,
) -> Result<Response, Refusal> {
    answered(request, async |asker, body| {
        let parts = Parts::of(body);
        let (subject, resource, context) = (parts.subject()?, parts.resource()?, parts.given()?);
        let of_kind = authzen
            .mapping
            .actions
            .iter()
            .filter(|action| action.resource == resource.kind);
        let mut names: Vec<String> = of_kind.map(|action| action.name.clone()).collect();
        if resource.kind == TOOL && names.is_empty() {
            names.push(CALL[0].to_owned());
        }
        let questions = names.into_iter().map(|name| Question {
            subject: subject.clone(),
            action: Deed {
                name,
                properties: Vec::new(),
            },
            resource: resource.clone(),
            context: context.clone(),
        });
        let name = |question: &Question| json!({ "name": question.action.name });
        Ok(authzen.which(asker, questions, name).await)
    })
    .await
}

impl AuthZen {
    /// Those of which rules would say yes.
    async fn which(
        &self,
        asker: &Asker,
        questions: impl Iterator<Item = Question>,
        name: impl Fn(&Question) -> Value,
    ) -> Vec<Value> {
        let mut results = Vec::new();
        for question in questions {
            if self.would(asker, &question).await {
                results.push(name(&question));
            }
        }
        results
    }

    async fn would(&self, asker: &Asker, question: &Question) -> bool {
        let carried = self
            .mapping
            .call(&self.asking, question, &asker.credentials)
            .await;
        let Ok(carried) = carried else { return false };
        self.asking.would(&carried).await == Some(Verdict::Permit)
    }

    /// The tools that the task of this question may use: what its arguments would be is not known.
    async fn tools(&self, asker: &Asker, question: &Question) -> Vec<Value> {
        let carried = self
            .mapping
            .call(&self.asking, question, &asker.credentials)
            .await;
        let Ok(carried) = carried else {
            return Vec::new();
        };
        let offer = self.asking.offer(&carried.agent, &carried.credentials.grant);
        let tools = offer.map(|offer| offer.tools()).unwrap_or_default();
        tools
            .into_iter()
            .map(|tool| json!({ "type": TOOL, "id": tool }))
            .collect()
    }
}

fn named(thing: &Thing) -> Value {
    json!({ "type": thing.kind, "id": thing.id })
}

/// Reads a search, and answers with what was found. All of it: pages are not made.
async fn answered(
    request: Request,
    found: impl AsyncFnOnce(&Asker, &Arguments) -> Result<Vec<Value>, String>,
) -> Result<Response, Refusal> {
    let (asker, body) = read(request).await?;
    let Ok(found) = timeout(SEARCH_MAX, found(&asker, &body)).await else {
        let words = "the search could not be answered in time";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, words));
    };
    let results = found.map_err(Refusal::bad)?;
    Ok(json_answer(StatusCode::OK, &json!({ "results": results })))
}
