//! One client before several servers: it sees one server, which has what they all have.
//!
//! ```text
//! client --line--> client_said --to whom it names--> session of that server ---> gate ---> server
//!                       |------to them all---------> sessions, and their answers are put together
//! ```
//!
//! **Invariant**: it only finds out whom a message is for, and names things so that no two are the same. Whatever goes to a server goes
//! through the session that stands before that server, which decides; a server that ends takes along what is its own and nothing else.

mod asking;
mod gathered;
mod named;
mod owners;
mod part;
mod subscribed;
mod told;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::answers::{self, INTERNAL, INVALID_PARAMS, INVALID_REQUEST, UNKNOWN_METHOD};
use super::client::{Client, ToClient};
use super::methods::Era;
use super::name::ServerName;
use super::requests::GivenUp;
use super::session::{Brought, Session, request_id};
use super::spoken::Spoken;
use super::stateless::{Envelope, NotOfIt};
use super::wire::{Id, Line, Lines, Message, shown};
use part::Part;
use subscribed::{LISTEN, Subscriptions};

/// What is asked of all servers is waited for so long; clients give up after 60 seconds, many of them, and one server is not to cost them
/// the others.
pub(super) const GATHER_MAX: Duration = Duration::from_secs(45);

/// One client and several servers.
#[derive(Debug)]
pub(super) struct Several {
    parts: Vec<Part>,
    spoken: Arc<Spoken>,
    /// One era is spoken, whatever the client begins with.
    is_fixed: bool,
    /// Begins the ids of what is asked of servers here, and is not guessed.
    tag: String,
    client: Client,
    state: Mutex<State>,
    pub(super) tasks: TaskTracker,
    /// The client says nothing more, and hears nothing of changes.
    pub(super) leaving: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    made: u64,
    /// What was asked of one server for a request of the client's.
    asked: HashMap<Id, Question>,
    /// Requests of the client's that are asked of several.
    gathering: HashMap<Id, CancellationToken>,
    subscriptions: Subscriptions,
    /// What the client began with, if that is a handshake, and the revision that it was told.
    greeting: Option<String>,
    revision: Option<String>,
}

#[derive(Debug)]
struct Question {
    /// Of which server.
    at: usize,
    of: Id,
    answer: oneshot::Sender<String>,
}

/// A request of the client's.
struct Asked<'a> {
    id: Id,
    era: Era,
    method: String,
    params: Option<&'a RawValue>,
    brought: Brought,
}

impl Several {
    /// Before these servers, whose sessions say to us what they say to their client and know what is spoken, too. Each is believed to speak
    /// this era; none: that is found out.
    pub(super) fn new(
        parts: Vec<(ServerName, Arc<Session>)>,
        (spoken, era): (Arc<Spoken>, Option<Era>),
        client: mpsc::Sender<ToClient>,
        tag: &str,
    ) -> Self {
        let part = |(at, (name, session))| Part::new((at, name), session, era);
        Self {
            parts: parts.into_iter().enumerate().map(part).collect(),
            is_fixed: spoken.is_decided(),
            spoken,
            tag: format!("{tag}-all"),
            client: Client::new(client),
            state: Mutex::default(),
            tasks: TaskTracker::new(),
            leaving: CancellationToken::new(),
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
            Err(error) => return self.client.refuse(None, error.code(), &error.to_string()).await,
        };
        match Message::parse(&line) {
            Ok(Message::Request { id, method, params }) => {
                let era = match self.hears(&method, params) {
                    Ok(era) => era,
                    Err(not) => {
                        let free = Some(&id).filter(|id| !self.is_in_use(id));
                        return self.client.refuse_revision(free, &not).await;
                    }
                };
                let asked = Asked {
                    id,
                    era,
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
                self.client.refuse(None, error.code(), &error.to_string()).await;
            }
        }
    }

    async fn client_asked(self: &Arc<Self>, asked: Asked<'_>) {
        let id = asked.id.clone();
        if self.is_in_use(&id) {
            let words = format!("the id {id} is in use; a request needs one of its own until it is answered");
            return self.client.refuse(None, INVALID_REQUEST, &words).await;
        }
        match (asked.era, asked.method.as_str()) {
            (Era::Handshake, "ping") => self.client.answer(&id, answers::result(&id, "{}")).await,
            (Era::Handshake, "initialize" | "logging/setLevel")
            | (Era::Stateless, "server/discover")
            | (_, "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list") => {
                self.gather(asked).await;
            }
            (_, "tools/call" | "prompts/get" | "resources/read" | "completion/complete")
            | (Era::Stateless, "tasks/get" | "tasks/update" | "tasks/cancel")
            | (Era::Handshake, "resources/subscribe" | "resources/unsubscribe") => self.route(asked).await,
            (Era::Stateless, LISTEN) => self.subscribe(asked).await,
            (_, method) => {
                let words = format!("there is no method `{}` before several servers", shown(method));
                self.client.refuse(Some(&id), UNKNOWN_METHOD, &words).await;
            }
        }
    }

    /// Which era a request of the client is of.
    fn hears(&self, method: &str, params: Option<&RawValue>) -> Result<Era, NotOfIt> {
        let era = self.spoken.hears(method, params)?;
        if era == Era::Stateless {
            Envelope::of(params).check()?;
        }
        Ok(era)
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
        let era = self.spoken.now();
        for part in self.living().filter(|part| part.known(era) == Some(true)) {
            part.session
                .client_said(Line::Text(line.to_owned()), Brought::default())
                .await;
        }
    }

    /// Gives a request to the server that it is about.
    async fn route(self: &Arc<Self>, asked: Asked<'_>) {
        match named::own(&self.parts, &asked.method, asked.params) {
            Some(Ok((part, params))) if part.known(asked.era).is_some() => {
                return self.give(part, asked, &params).await;
            }
            Some(Err(words)) => return self.client.refuse(Some(&asked.id), INVALID_PARAMS, &words).await,
            _ => {}
        }
        let Some(cancelled) = self.begin(&asked.id).await else {
            return;
        };
        let several = Arc::clone(self);
        let (id, era, method, brought) = (asked.id, asked.era, asked.method, asked.brought);
        let params = asked.params.map(ToOwned::to_owned);
        self.tasks.spawn(async move {
            let asked = Asked {
                id: id.clone(),
                era,
                method,
                params: params.as_deref(),
                brought,
            };
            let found = cancelled.run_until_cancelled(several.find(&asked)).await;
            several.state().gathering.remove(&id);
            match found {
                Some(Ok((part, params))) => several.give(part, asked, &params).await,
                Some(Err(words)) => several.client.refuse(Some(&id), INVALID_PARAMS, &words).await,
                None => {}
            }
        });
    }

    /// The server that a request is about, once it is known what it speaks; and the parameters as it reads them.
    async fn find(&self, asked: &Asked<'_>) -> Result<(&Part, String), String> {
        let found = match named::own(&self.parts, &asked.method, asked.params) {
            Some(named) => named,
            None => owners::find(&self.parts, asked.era, &asked.method, asked.params).await,
        };
        if let Ok((part, _)) = &found {
            part.understands(asked.era).await;
        }
        found
    }

    async fn give(&self, part: &Part, asked: Asked<'_>, params: &str) {
        let words = if part.is_away() {
            format!(
                "the server `{}` has ended, and is started again; try again later",
                part.name
            )
        } else if part.known(asked.era) == Some(true) {
            let line = answers::request(&asked.id, &asked.method, params);
            return part.session.client_said(Line::Text(line), asked.brought).await;
        } else {
            format!(
                "the server `{}` does not speak the revision of this request",
                part.name
            )
        };
        self.client.refuse(Some(&asked.id), INTERNAL, &words).await;
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
        part.leave();
        part.session.lose_server().await;
        self.tell_changed().await;
    }

    /// A server that has ended answers again. Not yet, if it must first be greeted as the others were; then with this.
    pub(super) fn regain(&self, at: usize, is_greeted: bool) -> Option<String> {
        let state = self.state();
        if !is_greeted && state.greeting.is_some() {
            return state.greeting.clone();
        }
        // A client that begins now finds it among the others.
        self.parts[at].begin_again(is_greeted);
        None
    }

    /// Whether a client that was told a revision understands one who answers with this.
    pub(super) fn is_as_new(&self, revision: &str) -> bool {
        let state = self.state();
        // Dates sort as texts do.
        state.revision.as_deref().is_none_or(|told| told <= revision)
    }

    /// What the catalog calls one of them.
    pub(super) fn name(&self, at: usize) -> &str {
        self.parts[at].name.as_str()
    }

    /// Tells the client that the lists have changed, if it has begun.
    pub(super) async fn tell_changed(&self) {
        let has_begun = self.state().greeting.is_some();
        for list in ["tools", "resources", "prompts"] {
            let method = format!("notifications/{list}/list_changed");
            if has_begun {
                self.client.tell(None, answers::notification(&method, "{}")).await;
            } else {
                self.tell_subscribers(&method).await;
            }
        }
    }

    fn living(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| !part.is_away())
    }

    fn is_in_use(&self, id: &Id) -> bool {
        let is_gathered = self.state().gathering.contains_key(id);
        is_gathered || self.parts.iter().any(|part| !part.session.requests.is_free(id))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
