//! Standing approvals: what may happen again without asking, who said so, and an end to it in one click.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use checkrein_proto::hold::v1::{ListStandingRequest, RevokeStandingRequest, Standing, StandingState};

use super::coded::Coded;
use super::page::{Frame, Place, Trouble, ok};
use super::visit::{Posted, Visit, fresh_key};
use crate::words::{bound_words, relative, rfc3339, visible};

/// So many are shown, the latest.
const SHOWN_MAX: u32 = 200;
/// What is said of a revocation that somebody clicked.
const REASON: &str = "revoked in the console";

#[derive(Template)]
#[template(path = "approvals.html")]
struct ApprovalsPage {
    frame: Frame,
    rows: Vec<Row>,
    more: bool,
}

struct Row {
    id: String,
    hold: String,
    word: &'static str,
    is_live: bool,
    tool: String,
    agent: String,
    user: String,
    task: String,
    bounds: Vec<Coded>,
    labels: String,
    approvers: String,
    used: u32,
    times: u32,
    until: String,
    until_said: String,
    ended: String,
    key: String,
}

/// `GET /approvals`
pub(super) async fn page(visit: Visit) -> Result<Response, Trouble> {
    let request = ListStandingRequest {
        all: true,
        page_size: SHOWN_MAX,
        ..ListStandingRequest::default()
    };
    let page = visit.entrance.holds().list_standing(request).await?.into_inner();
    let rows = page
        .standing
        .iter()
        .map(|standing| Row::of(standing, visit.now_ms));
    Ok(ok(&ApprovalsPage {
        frame: visit.frame("Standing approvals", Place::Approvals),
        rows: rows.collect(),
        more: !page.next_page_token.is_empty(),
    }))
}

/// `POST /approvals/{id}/revoke`
pub(super) async fn revoke(
    visit: Visit,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Trouble> {
    let request = RevokeStandingRequest {
        standing_id: id,
        reason: REASON.to_owned(),
        idempotency_key: posted.one("key").to_owned(),
    };
    visit.entrance.holds().revoke_standing(request).await?;
    Ok(Redirect::to("/approvals").into_response())
}

impl Row {
    fn of(standing: &Standing, now_ms: u64) -> Self {
        let approvers: Vec<String> = standing.approvers.iter().map(|id| visible(id)).collect();
        Self {
            id: visible(&standing.standing_id),
            hold: visible(&standing.hold_id),
            word: word(standing.state()),
            is_live: standing.state() == StandingState::Live,
            tool: visible(&standing.tool),
            agent: visible(&standing.agent),
            user: visible(&standing.user),
            task: visible(&standing.task_id),
            bounds: standing
                .bounds
                .iter()
                .map(|bound| Coded::of(&bound_words(bound)))
                .collect(),
            labels: standing
                .labels
                .iter()
                .map(|label| visible(label))
                .collect::<Vec<_>>()
                .join(", "),
            approvers: approvers.join(", "),
            used: standing.used,
            times: standing.times,
            until: rfc3339(standing.until_unix_ms).unwrap_or_default(),
            until_said: relative(standing.until_unix_ms, now_ms),
            ended: visible(&standing.ended_reason),
            key: fresh_key(),
        }
    }
}

const fn word(state: StandingState) -> &'static str {
    match state {
        StandingState::Live => "live",
        StandingState::UsedUp => "used up",
        StandingState::Expired => "expired",
        StandingState::Ended => "ended",
        StandingState::Unspecified => "unrecognised",
    }
}
