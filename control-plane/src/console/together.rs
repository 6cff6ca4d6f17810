//! Like things answered together: each still bound to its own bytes.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use checkrein_proto::hold::v1::{Answer, AnswerResult, Hold, ListRequest, VoteAllRequest};
use checkrein_shared::hold::TOGETHER_MAX;
use tonic::Status;

use super::answer::shown_hash;
use super::coded::Coded;
use super::page::{Frame, Place, Trouble, ok, shown};
use super::visit::{Posted, Visit, fresh_key};
use crate::api::bad_field;
use crate::words::{ShownAction, relative, rfc3339, visible, visible_lines};

#[derive(Template)]
#[template(path = "together.html")]
struct TogetherPage {
    frame: Frame,
    id: String,
    tool: String,
    arguments: String,
    rows: Vec<Row>,
    key: String,
    /// What came of answers, of those that were not counted.
    failed: Vec<Coded>,
}

/// One of them.
struct Row {
    id: String,
    sha256: String,
    agent: String,
    user: String,
    task: String,
    until: String,
    until_said: String,
}

/// `GET /together/{id}`
pub(super) async fn page(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let page = TogetherPage::read(&visit, id).await?;
    if page.rows.is_empty() {
        return Ok(Redirect::to("/").into_response());
    }
    Ok(ok(&page))
}

/// `POST /together/{id}`
pub(super) async fn answer(
    visit: Visit,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Trouble> {
    let request = VoteAllRequest {
        answers: answers(&posted)?,
        idempotency_key: posted.one("key").to_owned(),
    };
    let answered = visit.entrance.holds().vote_all(request).await?.into_inner();
    let failed: Vec<Coded> = answered.results.iter().filter_map(not_counted).collect();
    if failed.is_empty() {
        return Ok(Redirect::to("/").into_response());
    }
    let mut page = TogetherPage::read(&visit, id).await?;
    page.failed = failed;
    Ok(shown(StatusCode::CONFLICT, &page))
}

impl TogetherPage {
    async fn read(visit: &Visit, id: String) -> Result<Self, Trouble> {
        let request = ListRequest {
            like_hold_id: id.clone(),
            page_size: u32::try_from(TOGETHER_MAX).unwrap_or(u32::MAX),
            ..ListRequest::default()
        };
        let holds = visit.entrance.holds().list(request).await?.into_inner().holds;
        let read: Vec<(&Hold, ShownAction)> = holds
            .iter()
            .filter(|hold| hold.decide_by_unix_ms > visit.now_ms)
            .filter_map(|hold| Some((hold, ShownAction::verify(hold).ok()?)))
            .collect();
        let first = read.first().map(|(_, action)| action);
        let tool = first.map_or_else(String::new, |action| visible(&action.identity.tool));
        Ok(Self {
            frame: visit.frame("Answer together", Place::Inbox),
            id: visible(&id),
            arguments: first.map_or_else(String::new, |action| visible_lines(&action.arguments)),
            tool,
            rows: read
                .iter()
                .map(|(hold, action)| Row::of(hold, action, visit.now_ms))
                .collect(),
            key: fresh_key(),
            failed: Vec::new(),
        })
    }
}

impl Row {
    fn of(hold: &Hold, action: &ShownAction, now_ms: u64) -> Self {
        Self {
            id: visible(&hold.hold_id),
            sha256: action.sha256.to_string(),
            agent: visible(action.identity.agent.as_str()),
            user: visible(&action.identity.user),
            task: action.identity.task.to_string(),
            until: rfc3339(hold.decide_by_unix_ms).unwrap_or_default(),
            until_said: relative(hold.decide_by_unix_ms, now_ms),
        }
    }
}

/// Of each that is ticked, with the hash that was shown for it.
fn answers(posted: &Posted) -> Result<Vec<Answer>, Status> {
    let approve = match posted.one("word") {
        "yes" => true,
        "no" => false,
        _ => return Err(bad_field("word", "expected yes or no")),
    };
    let reason = posted.text("reason");
    if !approve && reason.is_empty() {
        return Err(bad_field("reason", "say why: the agents are told"));
    }
    let ticked = posted.all("hold");
    if ticked.is_empty() {
        return Err(bad_field("hold", "tick what you answer"));
    }
    let answer = |hold: &str| {
        Ok(Answer {
            hold_id: hold.to_owned(),
            approve,
            action_sha256: shown_hash(posted.one(&format!("sha256:{hold}")))?,
            reason: if approve { String::new() } else { reason.clone() },
        })
    };
    ticked.into_iter().map(answer).collect()
}

fn not_counted(result: &AnswerResult) -> Option<Coded> {
    let said = || Coded::of(&format!("{}: {}", result.hold_id, result.reason));
    (!result.cause.is_empty()).then(said)
}
