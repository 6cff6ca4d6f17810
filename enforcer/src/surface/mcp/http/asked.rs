//! A server over Streamable HTTP that we ask ourselves, one thing after another: of no client, and so of nothing that is decided.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use tracing::debug;

use super::super::methods::Era;
use super::super::stateless::REVISION as STATELESS;
use super::super::wire::{Id, Message, on_one_line};
use super::events::Events;
use super::place::{NoAnswer, Place};
use super::upstream::{REVISION, SESSION, agreed, heads, whole};
use super::{DoorError, Remote, stateless};

/// The server, and what it wants to be told with each request.
#[derive(Debug)]
pub(in crate::surface::mcp) struct Asked {
    place: Place,
    told: HeaderMap,
    era: Era,
}

/// What comes back.
#[derive(Debug)]
pub(in crate::surface::mcp) enum Heard {
    /// A line that answers what was asked.
    Answer(String),
    /// No answer to it, and a status that says why.
    Refused(StatusCode),
    /// No answer to it.
    Nothing,
}

impl Asked {
    /// One that has not been spoken to.
    pub(in crate::surface::mcp) fn new(remote: &Remote) -> Result<Self, DoorError> {
        let Remote { url, ca, headers, .. } = remote;
        Ok(Self {
            place: Place::new(url, ca.as_deref(), headers.as_deref())?,
            told: heads(),
            era: Era::Handshake,
        })
    }

    /// Is spoken to in this era from now on, as if for the first time.
    pub(in crate::surface::mcp) fn speak(&mut self, era: Era) {
        self.told = heads();
        self.era = era;
        if era == Era::Stateless {
            self.told.insert(REVISION, HeaderValue::from_static(STATELESS));
        }
    }

    /// Asks, and waits for what answers `id`.
    pub(in crate::surface::mcp) async fn ask(&mut self, id: &Id, line: String) -> Result<Heard, NoAnswer> {
        let mut told = self.told.clone();
        if self.era == Era::Stateless {
            stateless::mirror(&mut told, &line);
        }
        let answer = self.place.send(Method::POST, told, line.into()).await?;
        let (head, body) = answer.into_parts();
        let is_stream = head
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|content| content.as_bytes().starts_with(b"text/event-stream"));
        let found = if is_stream {
            answer_among(body, id).await?
        } else {
            Some(whole(body).await?).filter(|text| answers(text, id))
        };
        let Some(found) = found else {
            return Ok(if head.status.is_success() {
                Heard::Nothing
            } else {
                Heard::Refused(head.status)
            });
        };
        if self.era == Era::Handshake && !self.told.contains_key(REVISION) {
            let session = head.headers.get(SESSION).cloned();
            let agreed = [(SESSION, session), (REVISION, agreed(&found))];
            for (name, value) in agreed {
                self.told.extend(value.map(|value| (name, value)));
            }
        }
        Ok(Heard::Answer(found))
    }

    /// Tells it something to which there is no answer.
    pub(in crate::surface::mcp) async fn tell(&self, line: String) -> Result<(), NoAnswer> {
        let answer = self
            .place
            .send(Method::POST, self.told.clone(), line.into())
            .await?;
        whole(answer.into_body()).await.map(drop)
    }

    /// A session that was begun is over.
    pub(in crate::surface::mcp) async fn end(self) {
        if self.told.contains_key(SESSION)
            && let Err(error) = self.place.send(Method::DELETE, self.told, Bytes::new()).await
        {
            debug!(%error, "the server was not told that a session is over");
        }
    }
}

/// The event that answers, of a stream that need not end after it.
async fn answer_among(mut body: Incoming, id: &Id) -> Result<Option<String>, NoAnswer> {
    let mut events = Events::default();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        for data in events.take(&piece).map_err(|_| NoAnswer::TooLong)? {
            let text = String::from_utf8(data).map_err(|_| NoAnswer::NotText)?;
            let line = on_one_line(text);
            if answers(&line, id) {
                return Ok(Some(line));
            }
        }
    }
    Ok(None)
}

fn answers(line: &str, id: &Id) -> bool {
    matches!(Message::parse(line), Ok(Message::Response { id: of, .. }) if of == *id)
}
