//! The sessions that clients have opened, each with one of its own at the server.
//!
//! **Invariant**: a session is its caller's: nobody else is told that it exists. There are at most [`SESSIONS_MAX`], and one that nobody
//! uses ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use checkrein_shared::identity::SpiffeId;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use super::super::client::ToClient;
use super::super::methods::Era;
use super::super::requests::GivenUp;
use super::super::session::{Brought, Session, Terms};
use super::super::several::Several;
use super::super::spoken::Spoken;
use super::super::tag;
use super::super::wire::{Id, Line, Message};
use super::place::Place;
use super::secret;
use super::streams::Streams;
use super::upstream::Upstream;

/// So many sessions of all callers, and of one.
pub(super) const SESSIONS_MAX: usize = 512;
pub(super) const SESSIONS_OF_ONE_MAX: usize = 64;
/// One that nobody uses for so long is over.
const IDLE_MAX: Duration = Duration::from_hours(1);
/// So many lines wait for the server, and for readers.
const QUEUE: usize = 16;
/// The server takes what needs no answer within this.
const TAKEN_MAX: Duration = Duration::from_secs(10);

/// One session, open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: String,
    agent: SpiffeId,
    servers: Vec<Behind>,
    /// What stands before them, if they are several.
    several: Option<Arc<Several>>,
    pub(super) streams: Arc<Streams>,
    used: Mutex<Instant>,
}

/// A server, and the session with it.
#[derive(Debug)]
struct Behind {
    session: Arc<Session>,
    upstream: Arc<Upstream>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Arc<Open>>>);

impl Open {
    /// A session with these servers; it is known to nobody yet.
    pub(super) fn new(
        agent: SpiffeId,
        servers: Vec<(Terms, Place)>,
        told: &HeaderMap,
        breaks_off: bool,
    ) -> Arc<Self> {
        let (to_client, for_client) = mpsc::channel::<ToClient>(QUEUE);
        let is_one = servers.len() == 1;
        let (mut behind, mut queues, mut named) = (Vec::new(), Vec::new(), Vec::new());
        let mut era = Era::Handshake;
        for (terms, place) in servers {
            let (to_us, queue) = mpsc::channel(QUEUE);
            let to_client = if is_one { to_client.clone() } else { to_us };
            let (to_server, for_server) = mpsc::channel(QUEUE);
            let name = terms.name.clone();
            era = terms.era.unwrap_or(era);
            let tag = tag();
            let session = Arc::new(Session::new(terms, (to_client, to_server), &tag));
            let upstream = Arc::new(Upstream::new(place, told.clone(), breaks_off));
            tokio::spawn(carry(for_server, Arc::downgrade(&session), Arc::clone(&upstream)));
            named.push((name, Arc::clone(&session)));
            queues.push(queue);
            behind.push(Behind { session, upstream });
        }
        let several = (!is_one).then(|| {
            let tag = tag();
            let spoken = Arc::new(Spoken::new(Some(era)));
            Arc::new(Several::new(named, (spoken, Some(era)), to_client, &tag))
        });
        if let Some(several) = &several {
            for (at, queue) in queues.into_iter().enumerate() {
                tokio::spawn(Arc::clone(several).bring(at, queue));
            }
        }
        let open = Arc::new(Self {
            id: secret::made(),
            agent,
            servers: behind,
            several,
            streams: Arc::default(),
            used: Mutex::new(Instant::now()),
        });
        let streams = Arc::clone(&open.streams);
        tokio::spawn(async move { streams.bring(for_client).await });
        open
    }

    /// Takes a line of the client.
    pub(super) async fn said(&self, line: Line, brought: Brought) {
        match (&self.several, self.servers.as_slice()) {
            (Some(several), _) => several.client_said(line, brought).await,
            (None, [one, ..]) => one.session.client_said(line, brought).await,
            (None, []) => {}
        }
    }

    /// The client does not wait for a request any more, which is how its server hears of it.
    pub(super) fn give_up(&self, id: &Id) {
        if let Some(several) = &self.several {
            several.give_up(id);
        }
        for one in &self.servers {
            if one.session.requests.give_up(id) == GivenUp::TellServer {
                one.upstream.break_off(id);
            }
        }
    }

    /// Hears what the servers say by themselves, until they say nothing more.
    pub(super) async fn listen(&self) {
        let heard = self.servers.iter().map(|one| async {
            if let Err(error) = one.upstream.listen(&one.session).await {
                debug!(%error, "the server says nothing by itself");
            }
        });
        join_all(heard).await;
    }

    /// Resolves when it is over.
    pub(super) async fn over(&self) {
        if let Some(one) = self.servers.first() {
            one.session.gone.cancelled().await;
        }
    }

    /// It is over.
    pub(super) fn end(self: Arc<Self>) {
        for one in &self.servers {
            one.session.gone.cancel();
        }
        tokio::spawn(async move {
            // The tasks of the session end by themselves; what the server knows of it is told to go.
            let told = join_all(self.servers.iter().map(|one| one.upstream.end()));
            if timeout(TAKEN_MAX, told).await.is_err() {
                debug!("the server was not told in time that a session is over");
            }
        });
    }
}

/// Carries lines to the server, for as long as somebody may write one.
pub(super) async fn carry(
    mut lines: mpsc::Receiver<String>,
    session: std::sync::Weak<Session>,
    upstream: Arc<Upstream>,
) {
    while let Some(line) = lines.recv().await {
        let Some(session) = session.upgrade() else { return };
        let wants_answer = matches!(Message::parse(&line), Ok(Message::Request { .. }));
        let telling = Arc::clone(&upstream).tell(session, line);
        if wants_answer {
            tokio::spawn(telling);
        } else if timeout(TAKEN_MAX, telling).await.is_err() {
            // What comes after it must not wait for it.
            debug!("the server did not take a message in time");
        }
    }
}

impl Sessions {
    /// Takes one up; gives it back if there are too many.
    pub(super) fn add(&self, open: Arc<Open>) -> Result<(), Arc<Open>> {
        let mut all = self.all();
        Self::sweep(&mut all);
        let of_caller = all.values().filter(|other| other.agent == open.agent).count();
        if all.len() >= SESSIONS_MAX || of_caller >= SESSIONS_OF_ONE_MAX {
            return Err(open);
        }
        all.insert(open.id.clone(), open);
        Ok(())
    }

    /// The session of this id, if it is this caller's and the server still knows it.
    pub(super) fn of(&self, id: &str, agent: &SpiffeId) -> Option<Arc<Open>> {
        let mut all = self.all();
        Self::sweep(&mut all);
        let open = all.get(id).filter(|open| open.agent == *agent)?;
        *open.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Some(Arc::clone(open))
    }

    /// Ends the session of this id, if it is this caller's.
    pub(super) fn end(&self, id: &str, agent: &SpiffeId) -> bool {
        let mut all = self.all();
        let is_theirs = all.get(id).is_some_and(|open| open.agent == *agent);
        if is_theirs && let Some(open) = all.remove(id) {
            open.end();
        }
        is_theirs
    }

    /// Ends them all.
    pub(super) fn end_all(&self) {
        for (_, open) in self.all().drain() {
            open.end();
        }
    }

    fn sweep(all: &mut HashMap<String, Arc<Open>>) {
        let is_over = |open: &Arc<Open>| {
            let used = *open.used.lock().unwrap_or_else(PoisonError::into_inner);
            let is_idle = used.elapsed() > IDLE_MAX && Arc::strong_count(open) == 1;
            is_idle || open.servers.iter().any(|one| one.upstream.lost.is_cancelled())
        };
        for (_, open) in all.extract_if(|_, open| is_over(open)) {
            info!("a session that nobody uses, or that the server has forgotten, is over");
            open.end();
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Open>>> {
        // Nothing in here panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
