//! The server behind us, over Streamable HTTP: each line for it is a request of its own, and what it answers are lines again.
//!
//! **Invariant**: it is told nothing that a client brought beside the line: no grant, no token, no header. Every wait for it has an end, but
//! that for the next event of a stream, which ends with whoever waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::super::answers::{self, INTERNAL};
use super::super::session::Session;
use super::super::wire::{Id, LINE_BYTES_MAX, Line, Members, Message, on_one_line, revision};
use super::events::Events;
use super::place::{NoAnswer, Place};
use super::stateless;

/// An answer that stands still for so long has broken off.
const BODY_PIECE_MAX: Duration = Duration::from_mins(1);
/// A stream that brings nothing is taken up again so often.
const RESUMED_MAX: u32 = 5;
const BROKEN_OFF: &str = "the server's answer broke off";
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The server, as one session knows it.
#[derive(Debug)]
pub(super) struct Upstream {
    place: Place,
    /// What it wants to be told with each request.
    told: Mutex<HeaderMap>,
    /// Requests under way that can be broken off.
    under_way: Mutex<HashMap<Id, CancellationToken>>,
    /// Breaking a request off is how it is cancelled.
    breaks_off: bool,
    /// The server does not know the session any more.
    pub(super) lost: CancellationToken,
}

impl Upstream {
    pub(super) fn new(place: Place, told: HeaderMap, breaks_off: bool) -> Self {
        Self {
            place,
            told: Mutex::new(told),
            under_way: Mutex::default(),
            breaks_off,
            lost: CancellationToken::new(),
        }
    }

    /// Sends a line, and has the session hear whatever is answered.
    pub(super) async fn tell(self: Arc<Self>, session: Arc<Session>, line: String) {
        let (id, is_initialize) = match Message::parse(&line) {
            Ok(Message::Request { id, method, .. }) => (Some(id), method == "initialize"),
            Ok(Message::Notification { method, params })
                if method == "notifications/cancelled" && self.breaks_off =>
            {
                let given_up = params.and_then(|params| Members::parse(params.get()).ok());
                let given_up = given_up.and_then(|params| Id::parse(params.get("requestId")?.get()));
                if let Some(id) = given_up {
                    self.break_off(&id);
                }
                return;
            }
            _ => (None, false),
        };
        let broken_off = session.gone.child_token();
        if let Some(id) = &id {
            self.under_way().insert(id.clone(), broken_off.clone());
        }
        let heard = broken_off
            .run_until_cancelled(self.exchange(&session, (id.as_ref(), is_initialize), line))
            .await;
        if let Some(id) = &id {
            self.under_way().remove(id);
        }
        let (words, is_undone) = match heard {
            Some(Ok(())) => return,
            Some(Err(error)) => (error.to_string(), error.is_undone()),
            None => {
                debug!(?id, "nobody waits for the server any more");
                if let Some(id) = id {
                    session.server_broke_off(&id, BROKEN_OFF).await;
                }
                return;
            }
        };
        match id {
            Some(id) if is_undone => {
                let failed = answers::error(Some(&id), INTERNAL, &words, None);
                session.server_failed(&id, failed).await;
            }
            Some(id) => {
                warn!(%id, words, "the server's answer did not come");
                session.server_broke_off(&id, &words).await;
            }
            None => warn!(words, "the server did not take a message"),
        }
    }

    /// Does not wait for an answer any more, which is how the server hears of it.
    pub(super) fn break_off(&self, id: &Id) {
        if let Some(under_way) = self.under_way().remove(id) {
            under_way.cancel();
        }
    }

    /// Hears what the server says by itself, until it says nothing more.
    pub(super) async fn listen(&self, session: &Session) -> Result<(), NoAnswer> {
        let body = self.open(None).await?;
        self.hear(session, None, body).await
    }

    /// Opens a stream of what the server says, by itself or after this event.
    async fn open(&self, after: Option<HeaderValue>) -> Result<Incoming, NoAnswer> {
        let mut told = self.told().clone();
        told.insert(ACCEPT, EVENTS);
        if let Some(after) = after {
            told.insert(LAST_EVENT, after);
        }
        let answer = self.place.send(Method::GET, told, Bytes::new()).await?;
        if answer.status() != StatusCode::OK {
            return Err(NoAnswer::Status(answer.status()));
        }
        Ok(answer.into_body())
    }

    /// The session is over.
    pub(super) async fn end(&self) {
        let told = self.told().clone();
        if told.contains_key(SESSION)
            && let Err(error) = self.place.send(Method::DELETE, told, Bytes::new()).await
        {
            debug!(%error, "the server was not told that a session is over");
        }
    }

    async fn exchange(
        &self,
        session: &Session,
        (id, is_initialize): (Option<&Id>, bool),
        line: String,
    ) -> Result<(), NoAnswer> {
        let mut told = self.told().clone();
        told.extend(heads());
        if self.breaks_off {
            stateless::mirror(&mut told, &line);
        }
        let had_session = told.contains_key(SESSION);
        let answer = self.place.send(Method::POST, told, line.into()).await?;
        let (head, body) = answer.into_parts();
        if head.status == StatusCode::NOT_FOUND && had_session {
            self.lost.cancel();
        }
        if is_initialize && let Some(own) = head.headers.get(SESSION) {
            self.told().insert(SESSION, own.clone());
        }
        let content = head
            .headers
            .get(CONTENT_TYPE)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        if content.starts_with(b"text/event-stream") {
            return self.hear(session, id, body).await;
        }
        let text = whole(body).await?;
        let is_answer = Message::parse(&text).is_ok_and(|said| matches!(said, Message::Response { .. }));
        if is_answer {
            if is_initialize {
                self.note_revision(&text);
            }
            session.server_said(Line::Text(text), id).await;
            return Ok(());
        }
        if head.status.is_success() && id.is_none() {
            return Ok(());
        }
        Err(NoAnswer::Status(head.status))
    }

    /// Hears events, until the answer to `id` has come and the stream ends, or without it until it ends. A stream that ends before is
    /// taken up again where it broke off, if its server has said where that is.
    async fn hear(&self, session: &Session, id: Option<&Id>, mut body: Incoming) -> Result<(), NoAnswer> {
        let mut events = Events::default();
        let mut in_vain = 0;
        loop {
            let before = events.last().cloned();
            match self.hear_out(session, id, body, &mut events).await {
                Err(error @ NoAnswer::TooLong) => return Err(error),
                Err(error) => debug!(%error, "a stream of the server's broke off"),
                Ok(()) => {}
            }
            if id.is_some_and(|id| !session.requests.awaits(id)) {
                return Ok(());
            }
            let Some(last) = events.last().filter(|_| !self.breaks_off).cloned() else {
                break;
            };
            in_vain = if before.as_ref() == Some(&last) {
                in_vain + 1
            } else {
                0
            };
            if in_vain > RESUMED_MAX {
                break;
            }
            sleep(events.retry()).await;
            events.resume();
            body = match self.open(Some(last)).await {
                Ok(body) => body,
                Err(error) => {
                    debug!(%error, "a stream of the server's can't be taken up again");
                    break;
                }
            };
        }
        if let Some(id) = id {
            // If it was answered, nobody waits for this.
            session.server_broke_off(id, BROKEN_OFF).await;
        }
        Ok(())
    }

    /// Hears one stream to its end.
    async fn hear_out(
        &self,
        session: &Session,
        id: Option<&Id>,
        mut body: Incoming,
        events: &mut Events,
    ) -> Result<(), NoAnswer> {
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame?.into_data() else { continue };
            for data in events.take(&piece).map_err(|_| NoAnswer::TooLong)? {
                // An event without data primes a stream, and says nothing.
                if data.is_empty() {
                    continue;
                }
                let line =
                    String::from_utf8(data).map_or(Line::NotText, |text| Line::Text(on_one_line(text)));
                if let Line::Text(text) = &line {
                    self.note_revision(text);
                }
                session.server_said(line, id).await;
            }
        }
        Ok(())
    }

    /// Takes up which revision the two have agreed on: it is said with every request from then on.
    fn note_revision(&self, text: &str) {
        let mut told = self.told();
        if self.breaks_off || told.contains_key(REVISION) {
            return;
        }
        told.extend(agreed(text).map(|revision| (REVISION, revision)));
    }

    fn told(&self) -> MutexGuard<'_, HeaderMap> {
        // Nothing in here panics halfway.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Id, CancellationToken>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every message says of itself.
pub(super) fn heads() -> HeaderMap {
    let json = HeaderValue::from_static("application/json");
    [(ACCEPT, BOTH), (CONTENT_TYPE, json)].into_iter().collect()
}

/// The revision that an answer to `initialize` agrees on.
pub(super) fn agreed(answer: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&revision(answer)?).ok()
}

/// All of a body, on one line.
pub(super) async fn whole(mut body: Incoming) -> Result<String, NoAnswer> {
    let mut bytes = Vec::new();
    loop {
        let frame = timeout(BODY_PIECE_MAX, body.frame())
            .await
            .map_err(|_| NoAnswer::Late)?;
        let Some(frame) = frame else { break };
        if let Ok(piece) = frame?.into_data() {
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() > LINE_BYTES_MAX {
            return Err(NoAnswer::TooLong);
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| NoAnswer::NotText)?;
    Ok(on_one_line(text))
}
