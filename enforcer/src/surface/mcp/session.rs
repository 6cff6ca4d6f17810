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

mod of_client;
mod of_server;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::answers;
use super::client::{Client, ToClient};
use super::forms::{Forms, Takes};
use super::grant::{GrantSource, Presented};
use super::held::HeldCalls;
use super::listing::Definitions;
use super::methods::Era;
use super::name::ServerName;
use super::requests::Requests;
use super::spoken::Spoken;
use super::stateless;
use super::wire::{Id, Lines, Members};
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
    pub(super) client: Client,
    server: mpsc::Sender<String>,
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
            self.session.client.answer(&self.id, line).await;
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
            client: Client::new(client),
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
}

/// Which request a cancellation is about.
pub(super) fn request_id(params: Option<&RawValue>) -> Option<Id> {
    let params = Members::parse(params?.get()).ok()?;
    Id::parse(params.get("requestId")?.get())
}
