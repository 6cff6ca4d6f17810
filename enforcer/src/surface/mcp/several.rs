//! One client before several servers: it sees one server, which has what they all have.
//!
//! ```text
//! client --line--> client_said --to whom it names--> session of that server ---> gate ---> server
//!                       |------to them all---------> sessions, and their answers are put together
//! ```
//!
//! **Invariant**: it only finds out whom a message is for, and names things so that no two are the same. Whatever goes to a server goes
//! through the session that stands before that server, which decides; a server that ends takes along what is its own and nothing else.

mod gathered;
mod named;
mod owners;
mod told;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::value::RawValue;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::answers::{self, INTERNAL, INVALID_PARAMS, INVALID_REQUEST, UNKNOWN_METHOD};
use super::methods::Era;
use super::name::ServerName;
use super::requests::{GivenUp, REQUESTS_MAX};
use super::session::{Brought, Session, ToClient, request_id};
use super::wire::{Id, Line, Lines, Message, shown};
use owners::Owned;

/// What is asked of all servers is waited for so long; clients give up after 60 seconds, many of them, and one server is not to cost them
/// the others.
const GATHER_MAX: Duration = Duration::from_secs(45);

/// One client and several servers.
#[derive(Debug)]
pub(super) struct Several {
    parts: Vec<Part>,
    era: Era,
    /// Begins the ids of what is asked of servers here, and is not guessed.
    tag: String,
    client: mpsc::Sender<ToClient>,
    state: Mutex<State>,
    pub(super) tasks: TaskTracker,
}

/// One of the servers.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: ServerName,
    pub(super) session: Arc<Session>,
    /// It answers nothing any more.
    ended: CancellationToken,
    owned: Owned,
}

#[derive(Debug, Default)]
struct State {
    made: u64,
    /// What was asked of one server for a request of the client's.
    asked: HashMap<Id, Question>,
    /// Requests of the client's that are asked of several.
    gathering: HashMap<Id, CancellationToken>,
}

#[derive(Debug)]
struct Question {
    of: Id,
    answer: oneshot::Sender<String>,
}

/// A request of the client's.
struct Asked<'a> {
    id: Id,
    method: String,
    params: Option<&'a RawValue>,
    brought: Brought,
}

impl Several {
    /// Before these servers, whose sessions say to us what they say to their client.
    pub(super) fn new(
        parts: Vec<(ServerName, Arc<Session>)>,
        era: Era,
        client: mpsc::Sender<ToClient>,
        tag: &str,
    ) -> Self {
        let part = |(name, session)| Part {
            name,
            session,
            ended: CancellationToken::new(),
            owned: Owned::default(),
        };
        Self {
            parts: parts.into_iter().map(part).collect(),
            era,
            tag: format!("{tag}-all"),
            client,
            state: Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Reads what the client says, until it says nothing more.
    pub(super) async fn hear_client(self: Arc<Self>, reader: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(reader);
        while let Ok(Some(line)) = lines.next().await {
            self.client_said(line, Brought::default()).await;
        }
    }

    /// Takes a line of the client.
    pub(super) async fn client_said(self: &Arc<Self>, line: Line, brought: Brought) {
        let line = match line.text() {
            Ok(line) => line,
            Err(error) => return self.refuse(None, error.code(), &error.to_string()).await,
        };
        match Message::parse(&line) {
            Ok(Message::Request { id, method, params }) => {
                let asked = Asked {
                    id,
                    method,
                    params,
                    brought,
                };
                self.client_asked(asked).await;
            }
            Ok(Message::Notification { method, params }) => self.client_noted(&method, params, &line).await,
            Ok(Message::Response { id, answer }) => {
                let Some((part, id)) = self.named_part(&id) else {
                    return info!(%id, "the client answered what nobody asked; dropped");
                };
                let line = told::response(&id, answer);
                part.session.client_said(Line::Text(line), brought).await;
            }
            Err(error) => {
                self.refuse(None, error.code(), &error.to_string()).await;
            }
        }
    }

    async fn client_asked(self: &Arc<Self>, asked: Asked<'_>) {
        let id = asked.id.clone();
        if self.is_in_use(&id) {
            let words = format!("the id {id} is in use; a request needs one of its own until it is answered");
            return self.refuse(None, INVALID_REQUEST, &words).await;
        }
        match (self.era, asked.method.as_str()) {
            (Era::Handshake, "ping") => self.answer(&id, answers::result(&id, "{}")).await,
            (Era::Handshake, "initialize" | "logging/setLevel")
            | (Era::Stateless, "server/discover")
            | (_, "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list") => {
                self.gather(asked).await;
            }
            (_, "tools/call" | "prompts/get") => self.route(asked, "name").await,
            (Era::Stateless, "tasks/get" | "tasks/update" | "tasks/cancel") => {
                self.route(asked, "taskId").await;
            }
            (_, "resources/read" | "completion/complete")
            | (Era::Handshake, "resources/subscribe" | "resources/unsubscribe") => self.find(asked).await,
            (_, method) => {
                let words = format!("there is no method `{}` before several servers", shown(method));
                self.refuse(Some(&id), UNKNOWN_METHOD, &words).await;
            }
        }
    }

    async fn client_noted(&self, method: &str, params: Option<&RawValue>, line: &str) {
        match method {
            "notifications/initialized" | "notifications/roots/list_changed" => {}
            "notifications/cancelled" => {
                if let Some(id) = request_id(params)
                    && let Some(gathering) = self.state().gathering.get(&id)
                {
                    return gathering.cancel();
                }
            }
            // Of which server's request a progress is can't be told.
            _ => {
                return info!(
                    method = shown(method),
                    "a notification of the client goes no further"
                );
            }
        }
        for part in self.living() {
            part.session
                .client_said(Line::Text(line.to_owned()), Brought::default())
                .await;
        }
    }

    /// Asks every server, and answers with what they said, put together.
    async fn gather(self: &Arc<Self>, asked: Asked<'_>) {
        let Some(cancelled) = self.begin(&asked.id).await else {
            return;
        };
        let (several, id) = (Arc::clone(self), asked.id);
        let (method, brought) = (asked.method, asked.brought);
        let params = asked
            .params
            .map_or_else(|| "{}".to_owned(), |params| params.get().to_owned());
        self.tasks.spawn(async move {
            let told = several.gathered(&id, &method, &params, &brought);
            let told = cancelled.run_until_cancelled(told).await;
            several.give_up_parts_of(&id).await;
            several.state().gathering.remove(&id);
            if let Some(told) = told {
                several.answer(&id, told).await;
            }
        });
    }

    /// Gives a request to the server whose resource it is about, or whose prompt.
    async fn find(self: &Arc<Self>, asked: Asked<'_>) {
        let Some(cancelled) = self.begin(&asked.id).await else {
            return;
        };
        let several = Arc::clone(self);
        let (id, method, brought) = (asked.id, asked.method, asked.brought);
        let params = asked.params.map(ToOwned::to_owned);
        self.tasks.spawn(async move {
            let asked = Asked {
                id: id.clone(),
                method,
                params: params.as_deref(),
                brought,
            };
            let found = owners::find(&several.parts, several.era, &asked.method, asked.params);
            let found = cancelled.run_until_cancelled(found).await;
            several.state().gathering.remove(&id);
            match found {
                Some(Ok((part, params))) => several.give(part, asked, &params).await,
                Some(Err(words)) => several.refuse(Some(&id), INVALID_PARAMS, &words).await,
                None => {}
            }
        });
    }

    /// A request that we look after, until it is given up; none, if there is no room for it.
    async fn begin(&self, id: &Id) -> Option<CancellationToken> {
        let cancelled = CancellationToken::new();
        let has_room = {
            let mut state = self.state();
            let has_room = state.gathering.len() < REQUESTS_MAX;
            if has_room {
                state.gathering.insert(id.clone(), cancelled.clone());
            }
            has_room
        };
        if !has_room {
            let words = format!("{REQUESTS_MAX} requests are under way; ask again when one has ended");
            self.refuse(Some(id), INTERNAL, &words).await;
        }
        has_room.then_some(cancelled)
    }

    async fn gathered(&self, id: &Id, method: &str, params: &str, brought: &Brought) -> String {
        if let Some(list) = gathered::list(method) {
            let pages = self.living().map(|part| async move {
                let items = self.pages(part, id, (method, list), params, brought).await;
                (part, items)
            });
            return gathered::lists(self.era, (id, list), join_all(pages).await);
        }
        let said = self.living().map(|part| async move {
            let said = self.part_says(part, id, method, params, brought).await;
            (part.name.as_str(), said)
        });
        gathered::said(id, method, &join_all(said).await)
    }

    /// One server's list, however many pages it has.
    async fn pages(
        &self,
        part: &Part,
        id: &Id,
        (method, list): (&str, &'static str),
        params: &str,
        brought: &Brought,
    ) -> gathered::Pages {
        let mut pages = gathered::Pages::default();
        let mut params = params.to_owned();
        while let Some(said) = self.part_says(part, id, method, &params, brought).await {
            match pages.take(&said, list, &params) {
                Some(next) => params = next,
                None => break,
            }
        }
        pages
    }

    /// What one server says to a request that we make of it for the client; none: nothing.
    async fn part_says(
        &self,
        part: &Part,
        of: &Id,
        method: &str,
        params: &str,
        brought: &Brought,
    ) -> Option<String> {
        let (answer, said) = oneshot::channel();
        let id = {
            let mut state = self.state();
            state.made += 1;
            let id = Id::Text(format!("{}-{}", self.tag, state.made));
            let of = of.clone();
            state.asked.insert(id.clone(), Question { of, answer });
            id
        };
        let line = answers::request(&id, method, params);
        part.session.client_said(Line::Text(line), brought.clone()).await;
        let said = tokio::select! {
            said = timeout(GATHER_MAX, said) => said.ok().and_then(Result::ok),
            () = part.ended.cancelled() => None,
        };
        if said.is_none() {
            self.state().asked.remove(&id);
            let given_up = Line::Text(answers::cancelled(&id));
            part.session.client_said(given_up, Brought::default()).await;
            warn!(server = %part.name, method, "a server does not answer, and is left out");
        }
        said
    }

    /// Tells servers that what they were asked for this request is not waited for any more.
    async fn give_up_parts_of(&self, of: &Id) {
        let given_up: Vec<Id> = {
            let mut state = self.state();
            let gone = state.asked.extract_if(|_, question| question.of == *of);
            gone.map(|(id, _)| id).collect()
        };
        for id in given_up {
            for part in self.living() {
                let line = Line::Text(answers::cancelled(&id));
                part.session.client_said(line, Brought::default()).await;
            }
        }
    }

    /// Gives a request to the server that a member of its parameters names.
    async fn route(&self, asked: Asked<'_>, member: &str) {
        match named::own(&self.parts, asked.params, member) {
            Ok((part, params)) => self.give(part, asked, &params).await,
            Err(words) => self.refuse(Some(&asked.id), INVALID_PARAMS, &words).await,
        }
    }

    async fn give(&self, part: &Part, asked: Asked<'_>, params: &str) {
        if part.ended.is_cancelled() {
            let words = format!("the server `{}` has ended", part.name);
            return self.refuse(Some(&asked.id), INTERNAL, &words).await;
        }
        let line = answers::request(&asked.id, &asked.method, params);
        part.session.client_said(Line::Text(line), asked.brought).await;
    }

    /// The client does not wait for a request any more; where a server is to be told so by whoever carries its lines.
    pub(super) fn give_up(&self, id: &Id) -> Vec<usize> {
        if let Some(gathering) = self.state().gathering.get(id) {
            gathering.cancel();
        }
        let told = self.parts.iter().enumerate();
        let told = told.filter(|(_, part)| part.session.requests.give_up(id) == GivenUp::TellServer);
        told.map(|(at, _)| at).collect()
    }

    /// A server answers nothing any more: what is its own goes, and the client is told that the lists have changed.
    pub(super) async fn lose(&self, at: usize) {
        let part = &self.parts[at];
        warn!(server = %part.name, "a server has ended; what is its own is gone");
        part.ended.cancel();
        for list in ["tools", "resources", "prompts"] {
            let line = format!(r#"{{"jsonrpc":"2.0","method":"notifications/{list}/list_changed"}}"#);
            self.tell(None, line).await;
        }
    }

    /// Whether no server is left.
    pub(super) fn is_empty(&self) -> bool {
        self.living().next().is_none()
    }

    fn living(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| !part.ended.is_cancelled())
    }

    fn is_in_use(&self, id: &Id) -> bool {
        let is_gathered = self.state().gathering.contains_key(id);
        is_gathered || self.parts.iter().any(|part| !part.session.requests.is_free(id))
    }

    async fn refuse(&self, id: Option<&Id>, code: i64, words: &str) {
        info!(code, words, "a line of the client is refused");
        let line = answers::error(id, code, words, None);
        match id {
            Some(id) => self.answer(id, line).await,
            None => self.tell(None, line).await,
        }
    }

    async fn answer(&self, id: &Id, line: String) {
        let told = ToClient {
            line,
            about: Some(id.clone()),
            answers: true,
        };
        drop(self.client.send(told).await);
    }

    async fn tell(&self, about: Option<Id>, line: String) {
        let told = ToClient {
            line,
            about,
            answers: false,
        };
        drop(self.client.send(told).await);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
