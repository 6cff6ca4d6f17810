//! Requests that need no session, from the revision 2026-07-28 on: what their headers say, and what one caller's requests share.
//!
//! **Invariant**: a header says nothing that the message does not say: whoever routes, counts or refuses by headers, before us or behind,
//! judges what the gate judged.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use checkrein_shared::SharedClock;
use checkrein_shared::identity::SpiffeId;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::answers::{self, HEADER_MISMATCH};
use super::super::forms::Tasks;
use super::super::held::HeldCalls;
use super::super::listing::{DEFINED_MAX, Definitions};
use super::super::stateless::{Envelope, NotOfIt, REVISION, SAYS_REVISION};
use super::super::tag;
use super::super::wire::{Id, Members, Message, shown, text};
use super::{HANDSHAKES, post, upstream};

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Begins the names of headers that say an argument again.
const ARGUMENT: &str = "mcp-param-";
/// Around a value that no header can carry as it is.
const ENCODED: (&str, &str) = ("=?base64?", "?=");
/// So many callers are known at once, and so many requests of one are under way.
const CALLERS_MAX: usize = 512;
const REQUESTS_OF_ONE_MAX: usize = 256;

/// A request whose headers and message agree.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) id: Id,
    /// What the server is to be told in headers with it.
    pub(super) told: HeaderMap,
}

/// What the requests of each caller share.
#[derive(Debug, Default)]
pub(super) struct Callers(Mutex<HashMap<SpiffeId, Arc<Shared>>>);

/// Of one caller.
#[derive(Debug)]
pub(super) struct Shared {
    /// For each server.
    pub(super) servers: Vec<OfServer>,
    room: Arc<Semaphore>,
}

/// Of one caller, and one server.
#[derive(Debug)]
pub(super) struct OfServer {
    pub(super) definitions: Arc<Definitions>,
    pub(super) held: Arc<HeldCalls>,
    pub(super) tasks: Arc<Tasks>,
}

impl Callers {
    /// Room for a request of this caller, and what it shares with the others; none: there is no room.
    pub(super) fn enter(
        &self,
        agent: &SpiffeId,
        (servers, clock): (usize, &SharedClock),
    ) -> Option<(Arc<Shared>, OwnedSemaphorePermit)> {
        // Nothing in here panics halfway.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(agent) && all.len() >= CALLERS_MAX {
            let idle = |shared: &Shared| shared.room.available_permits() == REQUESTS_OF_ONE_MAX;
            let idle = all
                .iter()
                .find(|(_, shared)| idle(shared))
                .map(|(agent, _)| agent.clone());
            all.remove(&idle?);
        }
        let shared = all.entry(agent.clone()).or_insert_with(|| {
            let server = |_| OfServer {
                definitions: Arc::new(Definitions::known_for(DEFINED_MAX)),
                held: Arc::new(HeldCalls::new(&tag())),
                tasks: Arc::new(Tasks::new(Arc::clone(clock))),
            };
            Arc::new(Shared {
                servers: (0..servers).map(server).collect(),
                room: Arc::new(Semaphore::new(REQUESTS_OF_ONE_MAX)),
            })
        });
        let room = Arc::clone(&shared.room).try_acquire_owned().ok()?;
        Some((Arc::clone(shared), room))
    }
}

/// Whether a message is of this era; then what it says, or what to answer at once.
pub(super) fn said(headers: &HeaderMap, message: &Message<'_>) -> Option<Result<Said, Box<Response>>> {
    let revision = post::text(headers, &upstream::REVISION);
    let Message::Request { id, method, params } = message else {
        // A client has nothing to answer in this era, and cancels by going away.
        let is_notification = matches!(message, Message::Notification { .. });
        let status = if is_notification {
            StatusCode::ACCEPTED
        } else {
            StatusCode::BAD_REQUEST
        };
        return (revision == REVISION).then(|| Err(Box::new(status.into_response())));
    };
    let members = params.and_then(|params| Members::parse(params.get()).ok());
    let envelope = Envelope::of(*params);
    let own = envelope.revision.as_deref();
    if own.is_none() && (revision.is_empty() || HANDSHAKES.contains(&revision)) {
        return None;
    }
    let mismatch = |words: String| {
        Box::new(post::refuse(
            StatusCode::BAD_REQUEST,
            Some(id),
            HEADER_MISMATCH,
            &words,
        ))
    };
    if own.is_none() && revision != REVISION {
        // Nobody knows what this is.
        return None;
    }
    if own.is_some() && !says(headers, &upstream::REVISION, own) {
        let words = format!("`MCP-Protocol-Version` must say what `_meta` says under `{SAYS_REVISION}`");
        return Some(Err(mismatch(words)));
    }
    if let Err(not) = envelope.check() {
        return Some(Err(Box::new(none_of_it(id, &not))));
    }
    if !says(headers, &METHOD, Some(method)) {
        return Some(Err(mismatch(format!(
            "`Mcp-Method` must say `{}`",
            shown(method)
        ))));
    }
    let name = members.as_ref().and_then(|members| name(method, members));
    if mirrors_name(method) && !says(headers, &NAME, name.as_deref()) {
        return Some(Err(mismatch(
            "`Mcp-Name` must say whom the message names".to_owned(),
        )));
    }
    let mut told = HeaderMap::new();
    told.insert(upstream::REVISION, HeaderValue::from_static(REVISION));
    let arguments = members.as_ref().and_then(|members| members.get("arguments"));
    let arguments = arguments.and_then(|arguments| Members::parse(arguments.get()).ok());
    for (header, value) in headers
        .iter()
        .filter(|(header, _)| header.as_str().starts_with(ARGUMENT))
    {
        let said = value.to_str().ok().and_then(decoded);
        let is_argument = |said: &str| {
            let given = arguments.iter().flat_map(|arguments| &arguments.0);
            given.map(|(_, given)| given).any(|given| is_said(given, said))
        };
        if headers.get_all(header).iter().count() != 1 || !said.is_some_and(|said| is_argument(&said)) {
            return Some(Err(mismatch(format!(
                "`{header}` must say what an argument says"
            ))));
        }
        told.insert(header.clone(), value.clone());
    }
    Some(Ok(Said { id: id.clone(), told }))
}

/// Says in headers what a line for the server says.
pub(super) fn mirror(told: &mut HeaderMap, line: &str) {
    let Ok(Message::Request { method, params, .. }) = Message::parse(line) else {
        return;
    };
    if method != "tools/call" {
        let names: Vec<HeaderName> = told.keys().cloned().collect();
        for name in names.iter().filter(|name| name.as_str().starts_with(ARGUMENT)) {
            told.remove(name);
        }
    }
    let members = params.and_then(|params| Members::parse(params.get()).ok());
    let name = members.and_then(|members| name(&method, &members));
    let said = [(METHOD, Some(method)), (NAME, name)];
    for (header, said) in said {
        if let Some(Ok(value)) = said.map(|said| HeaderValue::from_str(&encoded(&said))) {
            told.insert(header, value);
        }
    }
}

/// There is no room for another request.
pub(super) fn full(id: &Id) -> Response {
    let words = "too many requests are under way; ask again when one has ended";
    post::refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        Some(id),
        answers::INTERNAL,
        words,
    )
}

fn none_of_it(id: &Id, not: &NotOfIt) -> Response {
    let error = answers::error(Some(id), not.code, &not.words, not.data.as_ref());
    (
        StatusCode::BAD_REQUEST,
        [(CONTENT_TYPE, "application/json")],
        error,
    )
        .into_response()
}

fn mirrors_name(method: &str) -> bool {
    matches!(
        method,
        "tools/call" | "prompts/get" | "resources/read" | "tasks/get" | "tasks/update" | "tasks/cancel"
    )
}

/// Whom a message names.
fn name(method: &str, members: &Members<'_>) -> Option<String> {
    match method {
        "tools/call" | "prompts/get" => members.get("name").and_then(text),
        "resources/read" => members.get("uri").and_then(text),
        "tasks/get" | "tasks/update" | "tasks/cancel" => members.get("taskId").and_then(text),
        _ => None,
    }
}

/// Whether one header says exactly this.
fn says(headers: &HeaderMap, header: &HeaderName, expected: Option<&str>) -> bool {
    let mut values = headers.get_all(header).iter();
    let said = values.next().and_then(|value| value.to_str().ok());
    let said = said.and_then(decoded);
    values.next().is_none() && said.is_some() && said.as_deref() == expected
}

/// Whether a value is said by these words.
fn is_said(value: &RawValue, words: &str) -> bool {
    match text(value) {
        Some(text) => text == words,
        None => value.get() == words && !value.get().starts_with(['{', '[']),
    }
}

fn decoded(said: &str) -> Option<Cow<'_, str>> {
    let inner = said
        .strip_prefix(ENCODED.0)
        .and_then(|said| said.strip_suffix(ENCODED.1));
    let Some(inner) = inner else {
        return Some(Cow::Borrowed(said));
    };
    let bytes = STANDARD.decode(inner).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn encoded(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| (b'!'..=b'~').contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) && !text.starts_with(ENCODED.0) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}{}{}", ENCODED.0, STANDARD.encode(text), ENCODED.1))
}

#[cfg(test)]
mod tests;
