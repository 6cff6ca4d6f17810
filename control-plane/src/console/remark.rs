//! What people say of a hold from its page before they answer it: with the hash that the page showed.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use checkrein_proto::hold::v1::RemarkRequest;
use tonic::Status;

use super::answer::shown_hash;
use super::hold::{Typed, not_counted};
use super::page::Trouble;
use super::visit::{Posted, Visit};
use crate::api::bad_field;

/// `POST /holds/{id}/ask`
pub(super) async fn ask(visit: Visit, Path(id): Path<String>, posted: Posted) -> Response {
    let question = request(&id, &posted);
    said(&visit, id, ("ask", question), &posted).await
}

/// `POST /holds/{id}/reply`
pub(super) async fn reply(visit: Visit, Path(id): Path<String>, posted: Posted) -> Response {
    let reply = request(&id, &posted).map(|request| RemarkRequest {
        replies: true,
        ..request
    });
    said(&visit, id, ("reply", reply), &posted).await
}

/// `POST /holds/{id}/hand-on`
pub(super) async fn hand_on(visit: Visit, Path(id): Path<String>, posted: Posted) -> Response {
    let to = posted.one("to");
    let handed = if to.is_empty() {
        Err(bad_field("to", "choose to whom"))
    } else {
        request(&id, &posted).map(|request| RemarkRequest {
            to: to.to_owned(),
            ..request
        })
    };
    said(&visit, id, ("hand-on", handed), &posted).await
}

async fn said(
    visit: &Visit,
    id: String,
    (form, request): (&'static str, Result<RemarkRequest, Status>),
    posted: &Posted,
) -> Response {
    let remarked = async { visit.entrance.holds().remark(request?).await };
    match remarked.await {
        Ok(_) => Redirect::to(&format!("/holds/{id}?said={form}")).into_response(),
        Err(status) => {
            let typed = Typed {
                form,
                text: posted.text("text"),
            };
            not_counted(visit, id, Trouble::from(status), typed).await
        }
    }
}

fn request(id: &str, posted: &Posted) -> Result<RemarkRequest, Status> {
    Ok(RemarkRequest {
        hold_id: id.to_owned(),
        action_sha256: shown_hash(posted.one("sha256"))?,
        text: posted.text("text"),
        idempotency_key: posted.one("key").to_owned(),
        ..RemarkRequest::default()
    })
}
