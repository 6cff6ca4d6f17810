//! A server over HTTP for a client over stdio, beside others that are started for it.
//!
//! **Invariant**: what a server is told is told as the era wants it that is spoken. A server that has forgotten its session gets another one
//! before it is asked anything else.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{HeaderMap, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::LAST_LINES_MAX;
use super::super::answers::READY;
use super::super::methods::Era;
use super::super::pause::Pause;
use super::super::session::{Session, Terms};
use super::super::several::{GATHER_MAX, Several};
use super::super::stateless;
use super::super::tag;
use super::super::wire::{Message, revision};
use super::place::Place;
use super::sessions::carry;
use super::upstream::{REVISION, Upstream};
use super::{DoorError, Remote};

/// So many lines wait for the server.
const QUEUE: usize = 16;

/// Where such a server is.
#[derive(Debug, Clone)]
pub(in crate::surface::mcp) struct Reached(Place);

/// Such a server, for as long as its client is there.
pub(in crate::surface::mcp) struct Beside {
    pub(in crate::surface::mcp) at: usize,
    pub(in crate::surface::mcp) reached: Reached,
    pub(in crate::surface::mcp) several: Arc<Several>,
    pub(in crate::surface::mcp) session: Arc<Session>,
    /// What is said to it.
    pub(in crate::surface::mcp) lines: mpsc::Receiver<String>,
    pub(in crate::surface::mcp) closing: CancellationToken,
}

impl Reached {
    pub(in crate::surface::mcp) fn new(remote: &Remote) -> Result<Self, DoorError> {
        Place::new(&remote.url, remote.ca.as_deref(), remote.headers.as_deref()).map(Self)
    }

    /// With a session of its own.
    fn in_session(&self) -> Arc<Upstream> {
        Arc::new(Upstream::new(self.0.clone(), HeaderMap::new(), false))
    }

    /// Without one.
    fn stateless(&self) -> Arc<Upstream> {
        let mut told = HeaderMap::new();
        told.insert(REVISION, HeaderValue::from_static(stateless::REVISION));
        Arc::new(Upstream::new(self.0.clone(), told, true))
    }
}

impl Beside {
    /// Carries what is said, until the client has gone.
    pub(in crate::surface::mcp) async fn carry(mut self) {
        let (stateless, closing) = (self.reached.stateless(), self.closing.clone());
        let mut pause = Pause::default();
        let mut open = self.reached.in_session();
        loop {
            let begun = Instant::now();
            let spoken = closing
                .run_until_cancelled(Box::pin(self.speak(&open, &stateless)))
                .await;
            if spoken.is_none() {
                // What is under way was given up with the session.
                drop(timeout(LAST_LINES_MAX, open.end()).await);
                return self.session.lose_server().await;
            }
            self.several.lose(self.at).await;
            let mut lived = begun.elapsed();
            open = loop {
                let alone = pause.after(lived);
                match closing.run_until_cancelled(self.open_after(alone)).await {
                    None => return,
                    Some(Some(open)) => break open,
                    Some(None) => {
                        warn!(
                            server = self.several.name(self.at),
                            "a server gives no other session"
                        );
                    }
                }
                lived = Duration::ZERO;
            };
            info!(
                server = self.several.name(self.at),
                "a server that had forgotten its session has another"
            );
        }
    }

    /// Tells the server what is said to it, until it has forgotten the session.
    async fn speak(&mut self, open: &Arc<Upstream>, stateless: &Arc<Upstream>) {
        let (to_open, for_open) = mpsc::channel(QUEUE);
        let (to_stateless, for_stateless) = mpsc::channel(QUEUE);
        let (session, lines) = (&self.session, &mut self.lines);
        let in_session = carry(for_open, Arc::downgrade(session), Arc::clone(open));
        let without = carry(for_stateless, Arc::downgrade(session), Arc::clone(stateless));
        let carries = async { tokio::join!(in_session, without) };
        let tells = async {
            while let Some(line) = lines.recv().await {
                let queue = match session.spoken.now() {
                    Era::Handshake => &to_open,
                    Era::Stateless => &to_stateless,
                };
                let begins = is_ready(&line);
                drop(queue.send(line).await);
                if begins {
                    listen(Arc::clone(open), Arc::clone(session));
                }
            }
        };
        tokio::select! {
            _ = carries => {}
            () = tells => {}
            () = open.lost.cancelled() => {}
        }
    }

    /// Begins another session when the server was left alone for so long; none: it gives none.
    async fn open_after(&mut self, alone: Duration) -> Option<Arc<Upstream>> {
        let Self {
            at,
            reached,
            several,
            session,
            lines,
            ..
        } = self;
        let begins = async {
            sleep(alone).await;
            let open = reached.in_session();
            let mut is_greeted = false;
            while let Some(greeting) = several.regain(*at, is_greeted) {
                greet(session, &open, several, &greeting).await?;
                is_greeted = true;
            }
            Some(open)
        };
        let open = tokio::select! {
            open = begins => open?,
            () = async { while lines.recv().await.is_some() {} } => return None,
        };
        listen(Arc::clone(&open), Arc::clone(session));
        several.tell_changed().await;
        Some(open)
    }
}

/// Says to a server what the client said when it began, in a session whose answers are for us alone.
async fn greet(session: &Session, open: &Arc<Upstream>, several: &Several, greeting: &str) -> Option<()> {
    let (to_client, _nobody) = mpsc::channel(QUEUE);
    let (to_server, for_server) = mpsc::channel(QUEUE);
    let terms = Terms {
        era: Some(Era::Handshake),
        ..session.terms.clone()
    };
    let ours = Arc::new(Session::new(terms, (to_client, to_server), &tag()));
    let carries = tokio::spawn(carry(for_server, Arc::downgrade(&ours), Arc::clone(open)));
    let answer = ours.ask_server_within(GATHER_MAX, "initialize", greeting).await;
    let answer = answer.as_deref().and_then(revision);
    let is_understood = answer.is_some_and(|revision| several.is_as_new(&revision));
    if is_understood {
        Arc::clone(open).tell(ours, READY.to_owned()).await;
    }
    carries.abort();
    is_understood.then_some(())
}

/// Hears what the server says by itself, for as long as the session is there.
fn listen(open: Arc<Upstream>, session: Arc<Session>) {
    tokio::spawn(async move {
        tokio::select! {
            heard = open.listen(&session) => if let Err(error) = heard {
                debug!(%error, "the server says nothing by itself");
            },
            () = session.gone.cancelled() => {}
            () = open.lost.cancelled() => {}
        }
    });
}

/// Whether the client has begun with this.
fn is_ready(line: &str) -> bool {
    matches!(Message::parse(line), Ok(Message::Notification { method, .. }) if method == "notifications/initialized")
}
