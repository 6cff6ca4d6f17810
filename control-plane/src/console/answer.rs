//! An answer to one hold: with the hash that its page showed.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use checkrein_proto::hold::v1::bound::How;
use checkrein_proto::hold::v1::{Bound, Terms, VoteRequest};
use tonic::Status;

use super::hold::{Typed, not_counted};
use super::page::Trouble;
use super::visit::{Posted, Visit};
use crate::api::bad_field;

const MS_PER_HOUR: u64 = 3_600_000;

/// `POST /holds/{id}/approve`
pub(super) async fn approve(visit: Visit, Path(id): Path<String>, posted: Posted) -> Response {
    let request = request(&id, true, &posted);
    match cast(&visit, request).await {
        Ok(()) => Redirect::to(&format!("/holds/{id}?said=yes")).into_response(),
        Err(trouble) => not_counted(&visit, id, trouble, Typed::default()).await,
    }
}

/// `POST /holds/{id}/deny`
pub(super) async fn deny(visit: Visit, Path(id): Path<String>, posted: Posted) -> Response {
    let request = request(&id, false, &posted);
    match cast(&visit, request).await {
        Ok(()) => Redirect::to(&format!("/holds/{id}?said=no")).into_response(),
        Err(trouble) => {
            let typed = Typed {
                form: "deny",
                text: posted.text("reason"),
            };
            not_counted(&visit, id, trouble, typed).await
        }
    }
}

async fn cast(visit: &Visit, request: Result<VoteRequest, Status>) -> Result<(), Trouble> {
    visit.entrance.holds().vote(request?).await?;
    Ok(())
}

fn request(id: &str, approve: bool, posted: &Posted) -> Result<VoteRequest, Status> {
    if !approve && posted.one("reason").trim().is_empty() {
        return Err(bad_field(
            "reason",
            "say why: the agent is told, so that it does not try another way",
        ));
    }
    Ok(VoteRequest {
        hold_id: id.to_owned(),
        approve,
        action_sha256: shown_hash(posted.one("sha256"))?,
        reason: posted.text("reason"),
        idempotency_key: posted.one("key").to_owned(),
        terms: if approve { terms(posted)? } else { None },
    })
}

/// The hash of what the page showed.
pub(super) fn shown_hash(text: &str) -> Result<Bytes, Status> {
    let digits = |at: usize| {
        let pair = text
            .get(at..at + 2)
            .filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digits).collect();
    bytes
        .filter(|bytes| !bytes.is_empty())
        .map(Bytes::from)
        .ok_or_else(|| bad_field("sha256", "not the hash of a page: load it again"))
}

/// What else is to happen, as the form says it: what it leaves empty stays as it was shown.
fn terms(posted: &Posted) -> Result<Option<Terms>, Status> {
    if posted.one("again").is_empty() {
        return Ok(None);
    }
    let hours: u64 = number(posted, "hours")?;
    let at_most = posted.starting("most:").filter(|(_, most)| !most.is_empty());
    let at_most = at_most.map(|(argument, most)| Bound {
        argument: argument.to_owned(),
        how: Some(How::AtMost(most.to_owned())),
    });
    let any = posted.all("any").into_iter().map(|argument| Bound {
        argument: argument.to_owned(),
        how: Some(How::Any(true)),
    });
    Ok(Some(Terms {
        for_ms: hours.saturating_mul(MS_PER_HOUR),
        times: number(posted, "times")?,
        bounds: at_most.chain(any).collect(),
        labels: posted.all("label").into_iter().map(str::to_owned).collect(),
    }))
}

fn number<N: std::str::FromStr>(posted: &Posted, field: &str) -> Result<N, Status> {
    let text = posted.one(field).trim();
    text.parse()
        .map_err(|_| bad_field(field, format!("`{text}` is not a whole number")))
}
