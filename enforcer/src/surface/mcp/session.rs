//! One client and one server: what each says, and where it goes.
//!
//! ```text
//! client --line--> client_said --passes--> server
//!                       |------decided---> call ---> gate ---> server
//! client <--line-- server_said <--------- server
//! ```
//!
//! **Invariant**: what goes on goes on byte for byte; what is decided is decided by the gate alone; what is neither goes nowhere, and
//! whoever asked is told.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::answers::{self, INTERNAL, INVALID_REQUEST, UNKNOWN_METHOD};
use super::call::{self, Call};
use super::forms::{self, Forms, Takes};
use super::grant::{GrantSource, Presented};
use super::held::HeldCalls;
use super::listing::{DEFINED_MAX, Definitions};
use super::methods::{self, ClientMethod, Era};
use super::name::ServerName;
use super::requests::{GivenUp, Goes, NotBegun, REQUESTS_MAX, Requests};
use super::spoken::Spoken;
use super::stateless::{self, NotOfIt};
use super::tools;
use super::wire::{Id, LINE_BYTES_MAX, Line, Lines, Members, Message, shown};
use crate::gate::Gate;

/// A server that does not list its tools in this time does not list them.
const LISTING_MAX: Duration = Duration::from_secs(10);

/// What sessions of one caller with one server share.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) gate: Gate,
    /// The catalog's name of the server.
    pub(super) name: ServerName,
    /// None: the client says which is spoken.
    pub(super) era: Option<Era>,
    /// What calls are presented with that bring no grant of their own.
    pub(super) grant: GrantSource,
    /// How long a call waits for people before its client is told that it waits.
    pub(super) patience: Duration,
    pub(super) definitions: Arc<Definitions>,
    pub(super) held: Arc<HeldCalls>,
    /// What a client can be given while its call waits.
    pub(super) forms: Forms,
}

/// One client, one server, and the gate between them.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) terms: Terms,
    pub(super) spoken: Arc<Spoken>,
    pub(super) requests: Requests,
    /// What the client said when the session began that it takes.
    pub(super) takes: OnceLock<Takes>,
    /// Whatever is looked after here.
    pub(super) tasks: TaskTracker,
    /// The client says nothing more: what waits for people is answered as it stands.
    pub(super) leaving: CancellationToken,
    /// The client has gone: nobody waits for anything.
    pub(super) gone: CancellationToken,
    client: mpsc::Sender<ToClient>,
    server: mpsc::Sender<String>,
}

/// A line for the client.
#[derive(Debug)]
pub(super) struct ToClient {
    pub(super) line: String,
    /// The request of the client's that it belongs to; none: to none, or nobody knows.
    pub(super) about: Option<Id>,
    /// It is the answer to that request.
    pub(super) answers: bool,
}

/// What a line of the client came with.
#[derive(Debug, Clone, Default)]
pub(super) struct Brought {
    /// A grant for this line alone.
    pub(super) grant: Option<Arc<str>>,
    /// Nobody is there any more to read an answer.
    pub(super) left: CancellationToken,
}

/// A request of the client that somebody here looks after. Ends with whoever does.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) session: Arc<Session>,
    pub(super) id: Id,
    pub(super) era: Era,
    pub(super) cancelled: CancellationToken,
    pub(super) brought: Brought,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.session.requests.end(&self.id);
    }
}

impl UnderWay {
    /// Answers, unless nobody waits for it any more.
    pub(super) async fn answer(&self, line: String) {
        if !self.cancelled.is_cancelled() {
            let line = match self.era {
                Era::Handshake => line,
                Era::Stateless => stateless::complete(line),
            };
            self.session.answer_client(&self.id, line).await;
        }
    }

    /// What the call is presented with.
    pub(super) async fn presented(&self) -> Presented {
        match &self.brought.grant {
            Some(grant) => Presented {
                grant: grant.as_ref().to_owned(),
                note: None,
            },
            None => self.session.terms.grant.now().await,
        }
    }

    /// Whether somebody waits for the answer.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.cancelled.is_cancelled() && !self.brought.left.is_cancelled()
    }
}

impl Session {
    /// `tag` begins the ids of what is asked of the server here, and must not be guessed.
    pub(super) fn new(
        terms: Terms,
        (client, server): (mpsc::Sender<ToClient>, mpsc::Sender<String>),
        tag: &str,
    ) -> Self {
        Self {
            spoken: Arc::new(Spoken::new(terms.era)),
            terms,
            requests: Requests::new(tag),
            takes: OnceLock::new(),
            tasks: TaskTracker::new(),
            leaving: CancellationToken::new(),
            gone: CancellationToken::new(),
            client,
            server,
        }
    }

    /// The same, of a client that speaks with others of its servers too.
    pub(super) fn speaking(self, spoken: Arc<Spoken>) -> Self {
        Self { spoken, ..self }
    }

    /// Reads what the client says, until it says nothing more.
    pub(super) async fn hear_client(self: Arc<Self>, reader: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(reader);
        loop {
            match lines.next().await {
                Ok(Some(line)) => self.client_said(line, Brought::default()).await,
                Ok(None) => return,
                Err(error) => {
                    warn!(%error, "the client can't be read any more");
                    return;
                }
            }
        }
    }

    /// Reads what the server says, until it says nothing more.
    pub(super) async fn hear_server(self: Arc<Self>, reader: impl AsyncRead + Unpin) {
        self.hear_lines(Lines::new(reader)).await;
        self.lose_server().await;
    }

    /// The same, without the end.
    pub(super) async fn hear_lines(&self, mut lines: Lines<impl AsyncRead + Unpin>) {
        loop {
            match lines.next().await {
                Ok(Some(line)) => self.server_said(line, None).await,
                Ok(None) => return,
                Err(error) => return warn!(%error, "the server can't be read any more"),
            }
        }
    }

    /// The server answers again; what it was is not known any more.
    pub(super) fn regain_server(&self) {
        self.terms.definitions.forget();
        self.requests.regain();
    }

    /// The server answers nothing any more.
    pub(super) async fn lose_server(&self) {
        for id in self.requests.lose() {
            let lost = answers::error(Some(&id), INTERNAL, "the server ended before it answered", None);
            self.answer_client(&id, lost).await;
        }
    }

    /// Tells the client something that belongs to one of its requests, or to none.
    pub(super) async fn tell_client(&self, about: Option<&Id>, line: String) {
        let line = ToClient {
            line,
            about: about.cloned(),
            answers: false,
        };
        // Nobody is there to be told if it fails.
        drop(self.client.send(line).await);
    }

    async fn answer_client(&self, id: &Id, line: String) {
        let line = ToClient {
            line,
            about: Some(id.clone()),
            answers: true,
        };
        drop(self.client.send(line).await);
    }

    pub(super) async fn tell_server(&self, line: String) {
        // Whoever waits for its answer is told that it has gone.
        drop(self.server.send(line).await);
    }

    /// Asks the server something of our own; none: it has gone, or did not answer in time.
    pub(super) async fn ask_server(&self, method: &str, params: &str) -> Option<String> {
        self.ask_server_within(LISTING_MAX, method, params).await
    }

    /// The same, with another patience.
    pub(super) async fn ask_server_within(
        &self,
        patience: Duration,
        method: &str,
        params: &str,
    ) -> Option<String> {
        let (id, reply) = self.requests.own();
        self.tell_server(answers::request(&id, method, params)).await;
        let reply = timeout(patience, reply).await;
        self.requests.end(&id);
        reply.ok()?.ok()
    }

    /// Takes a line of the client.
    pub(super) async fn client_said(self: &Arc<Self>, line: Line, brought: Brought) {
        let line = match line.text() {
            Ok(line) => line,
            Err(error) => return self.refuse(None, error.code(), &error.to_string()).await,
        };
        match Message::parse(&line) {
            Ok(Message::Request { id, method, params }) => {
                let era = match self.spoken.hears(&method, params) {
                    Ok(era) => era,
                    Err(not) => return self.none_of_it(&id, &not).await,
                };
                if era == Era::Stateless {
                    self.terms.definitions.live_for(DEFINED_MAX);
                }
                if method == "initialize" {
                    self.takes.get_or_init(|| Takes::at_first(params));
                }
                let asked = (id, shown(&method), era.of_client(&method));
                let call = match asked.2 {
                    Some(known @ (ClientMethod::CallsTool | ClientMethod::Decided { .. })) => {
                        let server = self.terms.name.as_str();
                        Some(Call::read((server, era), &method, known, params))
                    }
                    _ => None,
                };
                self.client_asked(asked, era, call, (line, brought)).await;
            }
            Ok(Message::Notification { method, params }) => {
                let gives_up = (method == "notifications/cancelled").then(|| request_id(params));
                let given_up = match gives_up {
                    Some(Some(id)) => self.requests.give_up(&id),
                    Some(None) => GivenUp::Unknown,
                    None => GivenUp::TellServer,
                };
                if given_up == GivenUp::TellServer && methods::client_may_notify(&method) {
                    self.tell_server(line).await;
                } else {
                    debug!(
                        method = shown(&method),
                        "a notification of the client goes no further"
                    );
                }
            }
            Ok(Message::Response { id, .. }) => {
                if self.requests.server_has(&id) {
                    self.tell_server(line).await;
                } else if !self.requests.client_has(&id) {
                    info!(%id, "the client answered what nobody asked; dropped");
                }
            }
            Err(error) => {
                // An answer under the id of another request would be taken for that one's.
                let id = readable_id(&line).filter(|id| self.requests.is_free(id));
                self.refuse(id.as_ref(), error.code(), &error.to_string()).await;
            }
        }
    }

    async fn client_asked(
        self: &Arc<Self>,
        (id, method, known): (Id, String, Option<ClientMethod>),
        era: Era,
        call: Option<Result<Call, answers::Instead>>,
        (line, brought): (String, Brought),
    ) {
        let begun = match known {
            None if self.requests.is_free(&id) => {
                let words = format!("there is no method `{method}`");
                return self.refuse(Some(&id), UNKNOWN_METHOD, &words).await;
            }
            None => Err(NotBegun::InUse),
            Some(ClientMethod::Passes) => self.requests.pass(&id).map(|()| None),
            Some(_) => self.requests.follow(&id, &self.gone).map(Some),
        };
        let cancelled = match begun {
            Ok(cancelled) => cancelled,
            Err(NotBegun::InUse) => {
                let words =
                    format!("the id {id} is in use; a request needs one of its own until it is answered");
                return self.refuse(None, INVALID_REQUEST, &words).await;
            }
            Err(NotBegun::TooMany) => {
                let words = format!("{REQUESTS_MAX} requests are under way; ask again when one has ended");
                return self.refuse(Some(&id), INTERNAL, &words).await;
            }
        };
        let Some(cancelled) = cancelled else {
            return self.tell_server(line).await;
        };
        let under_way = UnderWay {
            session: Arc::clone(self),
            id,
            era,
            cancelled,
            brought,
        };
        match call {
            None if known == Some(ClientMethod::AsksTask) => {
                drop(self.tasks.spawn(forms::about_task(under_way, line)));
            }
            None if known == Some(ClientMethod::Discovers) => {
                drop(self.tasks.spawn(forms::discover(under_way, line)));
            }
            None => drop(self.tasks.spawn(tools::list(under_way, line))),
            Some(Ok(call)) => drop(self.tasks.spawn(call::answer(under_way, call, line))),
            Some(Err(instead)) => {
                let refused = instead.answer(&under_way.id, answers::Shape::Plain);
                under_way.answer(refused).await;
            }
        }
    }

    /// Takes a line of the server, which it said on the way to an answer, or by itself.
    pub(super) async fn server_said(&self, line: Line, about: Option<&Id>) {
        let line = match line {
            Line::Text(line) => line,
            Line::TooLong { head, tail } => return self.server_said_too_much(&head, &tail).await,
            Line::NotText => return warn!("the server wrote a line that is not UTF-8; dropped"),
        };
        match Message::parse(&line) {
            Ok(Message::Response { id, .. }) => match self.requests.answered(&id) {
                Goes::ToClient => self.answer_client(&id, line).await,
                // Whoever asked may have gone.
                Goes::Here(reply) => drop(reply.send(line)),
                Goes::Nowhere => info!(%id, "the server answered what nobody waits for; dropped"),
            },
            Ok(Message::Request { id, method, .. }) => self.server_asked(id, &method, (line, about)).await,
            Ok(Message::Notification { method, params }) => {
                if method == "notifications/tools/list_changed" {
                    self.terms.definitions.forget();
                }
                if method == "notifications/cancelled"
                    && let Some(id) = request_id(params)
                {
                    self.requests.server_has(&id);
                }
                if self.spoken.now().server_may_notify(&method) {
                    self.tell_client(about, line).await;
                } else {
                    info!(
                        method = shown(&method),
                        "an unknown notification of the server; dropped"
                    );
                }
            }
            Err(error) => warn!(%error, "the server wrote a line that is no message; dropped"),
        }
    }

    async fn server_asked(&self, id: Id, method: &str, (line, about): (String, Option<&Id>)) {
        let era = self.spoken.now();
        if era == Era::Stateless {
            return warn!(%id, "in this revision a server asks nothing by itself; dropped");
        }
        let refused = if era.server_may_ask(method) {
            match self.requests.server_asks(&id) {
                Ok(()) => return self.tell_client(about, line).await,
                Err(NotBegun::InUse) => {
                    return warn!(%id, "the server asked under an id that is in use; dropped");
                }
                Err(NotBegun::TooMany) => {
                    let words = format!("{REQUESTS_MAX} requests wait for the client");
                    answers::error(Some(&id), INTERNAL, &words, None)
                }
            }
        } else {
            let words = format!("there is no method `{}`", shown(method));
            answers::error(Some(&id), UNKNOWN_METHOD, &words, None)
        };
        self.tell_server(refused).await;
    }

    /// Whoever waits for an answer that is too long is told so, as far as the line shows who that is.
    async fn server_said_too_much(&self, head: &[u8], tail: &[u8]) {
        warn!("the server wrote a line of more than {LINE_BYTES_MAX} bytes; dropped");
        let id = [tail, head].into_iter().find_map(Id::at_the_edge_of);
        let Some(id) = id else { return };
        let words = format!("the server's answer has more than {LINE_BYTES_MAX} bytes");
        let told = answers::error(Some(&id), INTERNAL, &words, None);
        self.server_failed(&id, told).await;
    }

    /// The server will not answer, and may have done what it was asked.
    pub(super) async fn server_broke_off(&self, id: &Id, words: &str) {
        match self.requests.answered(id) {
            Goes::ToClient => {
                let told = answers::error(Some(id), INTERNAL, words, None);
                self.answer_client(id, told).await;
            }
            // Whoever made a call is told by this that nobody knows how it ended.
            Goes::Here(reply) => drop(reply),
            Goes::Nowhere => {}
        }
    }

    /// Whoever waits for the server's answer gets this instead.
    pub(super) async fn server_failed(&self, id: &Id, told: String) {
        match self.requests.answered(id) {
            Goes::ToClient => self.answer_client(id, told).await,
            Goes::Here(reply) => drop(reply.send(told)),
            Goes::Nowhere => {}
        }
    }

    /// A request that is of no revision that is spoken here.
    async fn none_of_it(&self, id: &Id, not: &NotOfIt) {
        // An answer under the id of another request would be taken for that one's.
        let id = Some(id).filter(|id| self.requests.is_free(id));
        info!(code = not.code, not.words, "a request of the client is refused");
        let refused = answers::error(id, not.code, &not.words, not.data.as_ref());
        self.tell_client(None, refused).await;
    }

    async fn refuse(&self, id: Option<&Id>, code: i64, words: &str) {
        info!(code, words, "a line of the client is refused");
        let refused = answers::error(id, code, words, None);
        match id {
            Some(id) => self.answer_client(id, refused).await,
            None => self.tell_client(None, refused).await,
        }
    }
}

/// Which request a cancellation is about.
pub(super) fn request_id(params: Option<&RawValue>) -> Option<Id> {
    let params = Members::parse(params?.get()).ok()?;
    Id::parse(params.get("requestId")?.get())
}

/// The id of a line that is no message, if it has one all the same.
fn readable_id(line: &str) -> Option<Id> {
    Id::parse(Members::parse(line).ok()?.get("id")?.get())
}
