//! The page of one hold: who wants what, exactly, why it waits, and what an answer would do.
//!
//! **Invariant**: the hash in the form is of the bytes that the page shows, recomputed from them; where that is not the one the
//! control plane names, there is no form.

mod view;

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use checkrein_proto::hold::v1::{ShowRequest, ShowResponse};
use checkrein_proto::task::v1::{ShowRequest as TaskShowRequest, Task};
use serde::Deserialize;
use tonic::{Code, Status};

use super::coded::Coded;
use super::page::{Frame, Place, Trouble, ok, shown};
use super::visit::{Visit, fresh_key};
use crate::words::visible;
use view::{Action, Again, Done, Standing};

#[derive(Template)]
#[template(path = "hold.html")]
struct HoldPage {
    frame: Frame,
    standing: Standing,
    action: Result<Action, String>,
    done: Option<Done>,
    again: Option<Again>,
    /// Goes with an answer, so that a second click is the same answer.
    key: String,
    /// What went wrong with an answer.
    trouble: Option<Coded>,
    /// What came of one.
    came: Option<&'static str>,
    /// What was typed before, so that nothing is typed twice.
    typed: Typed,
}

/// What somebody typed into a form that came back.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// The last part of its address.
    pub form: &'static str,
    pub text: String,
}

/// Where it stands, and no form for an answer that nobody can give any more.
#[derive(Template)]
#[template(path = "hold_state_part.html")]
struct StatePart {
    standing: Standing,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Came {
    /// Which answer was given.
    said: Option<String>,
}

/// `GET /holds/{id}`
pub(super) async fn page(
    visit: Visit,
    Path(id): Path<String>,
    Query(came): Query<Came>,
) -> Result<Response, Trouble> {
    let mut page = HoldPage::read(&visit, id).await?;
    page.came = match came.said.as_deref() {
        Some("yes") => Some("Your yes was counted."),
        Some("no") => Some(
            "Your no was counted. The agent is told, and will not be asked about this again in its task.",
        ),
        Some("ask") => Some("Your question was put. Everybody who sees this hold is told, and the agent."),
        Some("reply") => Some("Your reply was put."),
        Some("hand-on") => Some("It was handed on. You may still answer it."),
        _ => None,
    };
    Ok(ok(&page))
}

/// `GET /holds/{id}/state`
pub(super) async fn state(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let shown = find(&visit, id).await?;
    let standing = Standing::of(&shown, &visit);
    Ok(ok(&StatePart { standing }))
}

/// The page again, after an answer that was not counted.
pub(super) async fn not_counted(visit: &Visit, id: String, trouble: Trouble, typed: Typed) -> Response {
    match HoldPage::read(visit, id).await {
        Ok(mut page) => {
            page.trouble = Some(Coded::of(trouble.said()));
            page.typed = typed;
            shown(trouble.code(), &page)
        }
        Err(_) => axum::response::IntoResponse::into_response(trouble),
    }
}

impl HoldPage {
    /// What was typed into this form.
    fn typed(&self, form: &str) -> &str {
        if self.typed.form == form {
            &self.typed.text
        } else {
            ""
        }
    }

    async fn read(visit: &Visit, id: String) -> Result<Self, Trouble> {
        let shown = find(visit, id).await?;
        let hold = shown.hold.clone().unwrap_or_default();
        let held = hold.action.as_ref();
        let task = match held {
            Some(action) => task_of(visit, action.task_id.clone()).await?,
            None => None,
        };
        let tool = held.map(|action| visible(&action.tool)).unwrap_or_default();
        Ok(Self {
            frame: visit.frame(&format!("{tool} waits"), Place::Elsewhere),
            standing: Standing::of(&shown, visit),
            action: Action::of(&hold, shown.before.as_ref(), visit.now_ms)
                .map_err(|unreadable| unreadable.to_string()),
            done: task.map(|task| Done::of(&task, &shown.labels, visit.now_ms)),
            again: shown.offer.as_ref().map(|offer| Again::of(offer, &shown.labels)),
            key: fresh_key(),
            trouble: None,
            came: None,
            typed: Typed::default(),
        })
    }
}

async fn find(visit: &Visit, hold_id: String) -> Result<ShowResponse, Trouble> {
    Ok(visit
        .entrance
        .holds()
        .show(ShowRequest { hold_id })
        .await?
        .into_inner())
}

/// What the task of a hold did.
async fn task_of(visit: &Visit, task_id: String) -> Result<Option<Task>, Trouble> {
    let asked = visit.entrance.tasks().show(TaskShowRequest { task_id }).await;
    Ok(seen(asked)?.and_then(|answer| answer.task))
}

/// None of what this person may not see, or of what is not there.
fn seen<T>(answer: Result<tonic::Response<T>, Status>) -> Result<Option<T>, Trouble> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if matches!(status.code(), Code::PermissionDenied | Code::NotFound) => Ok(None),
        Err(status) => Err(status.into()),
    }
}
