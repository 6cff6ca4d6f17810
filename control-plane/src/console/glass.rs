//! Glass broken from a page, and what was found afterwards.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use checkrein_proto::hold::v1::{BreakGlassRequest, Finding, ReviewRequest};
use tonic::Status;

use super::answer::shown_hash;
use super::hold::{Typed, not_counted};
use super::page::Trouble;
use super::visit::{Posted, Visit};
use crate::api::bad_field;

/// `POST /holds/{id}/break-glass`
pub(super) async fn break_it(visit: Visit, Path(id): Path<String>, posted: Posted) -> Response {
    let said = async {
        let request = BreakGlassRequest {
            hold_id: id.clone(),
            action_sha256: shown_hash(posted.one("sha256"))?,
            reason: posted.text("reason"),
            idempotency_key: posted.one("key").to_owned(),
        };
        visit.entrance.holds().break_glass(request).await
    };
    answered(said.await.map(drop), &visit, id, ("break-glass", &posted)).await
}

/// `POST /holds/{id}/review`
pub(super) async fn review(visit: Visit, Path(id): Path<String>, posted: Posted) -> Response {
    let said = async {
        let request = ReviewRequest {
            hold_id: id.clone(),
            finding: finding(posted.one("finding"))?.into(),
            reason: posted.text("reason"),
            idempotency_key: posted.one("key").to_owned(),
        };
        visit.entrance.holds().review(request).await
    };
    answered(said.await.map(drop), &visit, id, ("review", &posted)).await
}

async fn answered(
    said: Result<(), Status>,
    visit: &Visit,
    id: String,
    (form, posted): (&'static str, &Posted),
) -> Response {
    match said {
        Ok(()) => Redirect::to(&format!("/holds/{id}")).into_response(),
        Err(status) => {
            let typed = Typed {
                form,
                text: posted.text("reason"),
            };
            not_counted(visit, id, Trouble::from(status), typed).await
        }
    }
}

fn finding(word: &str) -> Result<Finding, Status> {
    match word {
        "justified" => Ok(Finding::Justified),
        "unjustified" => Ok(Finding::Unjustified),
        _ => Err(bad_field("finding", "expected justified or unjustified")),
    }
}
