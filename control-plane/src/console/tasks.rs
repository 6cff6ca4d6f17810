//! Tasks: what agents were given authority for, and one of them as a tree and a timeline.

mod one;
mod strip;

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use checkrein_proto::task::v1::{ListRequest, State, Task};
use serde::Deserialize;

use super::page::{Frame, Place, Trouble, ok};
use super::parts::{Moment, link, short};
use super::visit::Visit;
use crate::words::{task_word, visible};
pub(super) use one::page as task;

const STATES: [(State, &str); 4] = [
    (State::Live, "live"),
    (State::Ended, "ended"),
    (State::Revoked, "revoked"),
    (State::Expired, "expired"),
];

#[derive(Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    frame: Frame,
    asked: Asked,
    rows: Vec<Row>,
    older: String,
}

struct Row {
    id: String,
    word: &'static str,
    user: String,
    agent: String,
    whole_agent: String,
    intent: String,
    environment: String,
    started: Moment,
    expires: Moment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    state: String,
    agent: String,
    after: String,
}

/// `GET /tasks`
pub(super) async fn page(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Trouble> {
    let states = STATES.iter().filter(|(_, word)| *word == asked.state);
    let request = ListRequest {
        states: states.map(|(state, _)| (*state).into()).collect(),
        agent: asked.agent.trim().to_owned(),
        page_token: asked.after.clone(),
        ..ListRequest::default()
    };
    let page = visit.entrance.tasks().list(request).await?.into_inner();
    let older = if page.next_page_token.is_empty() {
        String::new()
    } else {
        let next = &page.next_page_token;
        link(
            "/tasks",
            &[("state", &asked.state), ("agent", &asked.agent), ("after", next)],
        )
    };
    Ok(ok(&TasksPage {
        frame: visit.frame("Tasks", Place::Tasks),
        rows: page
            .tasks
            .iter()
            .map(|task| Row::of(task, visit.now_ms))
            .collect(),
        asked,
        older,
    }))
}

impl Row {
    fn of(task: &Task, now_ms: u64) -> Self {
        Self {
            id: visible(&task.task_id),
            word: task_word(task),
            user: visible(&task.user),
            agent: short(&task.agent),
            whole_agent: visible(&task.agent),
            intent: visible(&task.intent),
            environment: visible(&task.environment),
            started: Moment::of(task.started_unix_ms, now_ms),
            expires: Moment::of(task.expires_unix_ms, now_ms),
        }
    }
}
