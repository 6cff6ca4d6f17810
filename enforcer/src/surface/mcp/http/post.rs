//! One request of a client over HTTP: a message in, and what is answered out, as JSON or as a stream of events.
//!
//! **Invariant**: a message is one or it is refused, before a session hears of it; whoever goes away has not cancelled anything.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::super::answers::{self, INTERNAL, INVALID_REQUEST, NOT_JSON};
use super::super::session::Brought;
use super::super::wire::{Id, InvalidMessage, LINE_BYTES_MAX, Line, Message, on_one_line};
use super::events::{KEEPALIVE, event};
use super::sessions::Open;
use super::streams::Told;
use crate::surface::body;

/// After this a client hears that it is waited for, though nothing was said yet.
const FIRST_MAX: Duration = Duration::from_secs(2);
/// And so often from then on.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Somebody who waits for an answer; when it goes, nobody does.
struct Reader {
    told: mpsc::Receiver<Told>,
    open: Arc<Open>,
    id: Option<Id>,
    left: CancellationToken,
    /// What a request without a session takes up, which is given up by going away.
    room: Option<OwnedSemaphorePermit>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.told.close();
        self.left.cancel();
        let Some(id) = &self.id else { return };
        self.open.streams.forget(id);
        if self.room.is_some() {
            self.open.give_up(id);
        }
    }
}

/// The message that a request brings; the answer, if it brings none.
pub(super) async fn message(headers: &HeaderMap, body: Body) -> Result<String, Response> {
    let refused = |status, code, words: &str| refuse(status, None, code, words);
    let bad = StatusCode::BAD_REQUEST;
    let kind = text(headers, &CONTENT_TYPE);
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(refused(
            bad,
            INVALID_REQUEST,
            "`Content-Type` must be application/json",
        ));
    }
    let accepted = text(headers, &ACCEPT).to_ascii_lowercase();
    let takes = |kind: &str| accepted.contains(kind) || accepted.contains("*/*");
    if !takes("application/json") || !takes("text/event-stream") {
        let words = "`Accept` must name application/json and text/event-stream";
        return Err(refused(StatusCode::NOT_ACCEPTABLE, INVALID_REQUEST, words));
    }
    let read = body::whole(body, LINE_BYTES_MAX).await;
    let read = read.map_err(|unread| refused(unread.status(), INVALID_REQUEST, &unread.to_string()))?;
    let line =
        String::from_utf8(read.into()).map_err(|_| refused(bad, NOT_JSON, "the message is not UTF-8"))?;
    Ok(on_one_line(line))
}

/// What is answered to something that is no message.
pub(super) fn no_message(error: &InvalidMessage) -> Response {
    refuse(StatusCode::BAD_REQUEST, None, error.code(), &error.to_string())
}

/// Has a session hear a request, and answers with what it says to it.
pub(super) async fn ask(
    open: Arc<Open>,
    id: Id,
    line: String,
    grant: Option<Arc<str>>,
    room: Option<OwnedSemaphorePermit>,
) -> Response {
    let Some(told) = open.streams.open(&id) else {
        let words = format!("the id {id} is in use; a request needs one of its own until it is answered");
        return refuse(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, &words);
    };
    let brought = Brought {
        grant,
        left: CancellationToken::new(),
    };
    let reader = Reader {
        told,
        open: Arc::clone(&open),
        id: Some(id),
        left: brought.left.clone(),
        room,
    };
    open.said(Line::Text(line), brought).await;
    respond(reader).await
}

/// Lets a client hear what belongs to none of its requests.
pub(super) fn stand(open: Arc<Open>) -> Response {
    let Some(told) = open.streams.stand() else {
        let words = "there is such a stream already";
        return (StatusCode::CONFLICT, words).into_response();
    };
    let listening = Arc::clone(&open);
    let left = CancellationToken::new();
    let until = left.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = listening.listen() => {}
            () = until.cancelled() => {}
            () = listening.over() => {}
        }
    });
    let reader = Reader {
        told,
        open,
        id: None,
        left,
        room: None,
    };
    events(None, reader)
}

async fn respond(mut reader: Reader) -> Response {
    match timeout(FIRST_MAX, reader.told.recv()).await {
        Ok(Some(first)) if first.answers => {
            let status = if reader.room.is_some() {
                status(&first.line)
            } else {
                StatusCode::OK
            };
            (status, [(CONTENT_TYPE, "application/json")], first.line).into_response()
        }
        Ok(Some(first)) => events(Some(first), reader),
        // It was cancelled: there will be no answer.
        Ok(None) => StatusCode::ACCEPTED.into_response(),
        Err(_) => events(None, reader),
    }
}

/// What an error is in HTTP.
fn status(line: &str) -> StatusCode {
    let parsed: Option<serde_json::Value> = serde_json::from_str(line).ok();
    match parsed.as_ref().and_then(|said| said["error"]["code"].as_i64()) {
        Some(answers::UNKNOWN_METHOD) => StatusCode::NOT_FOUND,
        Some(answers::HEADER_MISMATCH | answers::MISSING_CAPABILITY | answers::UNKNOWN_REVISION) => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::OK,
    }
}

fn events(first: Option<Told>, reader: Reader) -> Response {
    let mut keepalive = interval_at(Instant::now() + KEEPALIVE_EVERY, KEEPALIVE_EVERY);
    keepalive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let begun = first.is_none();
    let told = stream::unfold(
        (Some(reader), first, keepalive, begun),
        |(reader, first, mut keepalive, begun)| async move {
            let mut reader = reader?;
            // So that the client has an answer at once, if not the whole of it.
            if begun {
                let next = (Some(reader), None, keepalive, false);
                return Some((Ok::<_, std::convert::Infallible>(KEEPALIVE), next));
            }
            let told = if first.is_some() {
                first
            } else {
                tokio::select! {
                    biased;
                    told = reader.told.recv() => Some(told?),
                    _ = keepalive.tick() => None,
                    () = reader.open.over() => return None,
                }
            };
            let Some(told) = told else {
                return Some((Ok(KEEPALIVE), (Some(reader), None, keepalive, false)));
            };
            let is_last = told.answers;
            let next = (!is_last).then_some(reader);
            Some((Ok(event(&told.line)), (next, None, keepalive, false)))
        },
    );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (UNBUFFERED, HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(told)).into_response()
}

/// A refusal, as JSON-RPC says it.
pub(super) fn refuse(status: StatusCode, id: Option<&Id>, code: i64, words: &str) -> Response {
    let error = answers::error(id, code, words, None);
    (status, [(CONTENT_TYPE, "application/json")], error).into_response()
}

/// There is no room for another session.
pub(super) fn full(id: &Id) -> Response {
    let words = "too many sessions are open; end some, or try again later";
    refuse(StatusCode::SERVICE_UNAVAILABLE, Some(id), INTERNAL, words)
}

/// One header, as far as it is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Which request a message says is cancelled.
pub(super) fn cancelled(message: &Message<'_>) -> Option<Id> {
    match message {
        Message::Notification { method, params } if method == "notifications/cancelled" => {
            super::super::session::request_id(*params)
        }
        _ => None,
    }
}
