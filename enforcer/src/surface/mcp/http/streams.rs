//! The answers that clients read: one stream for each request, and one for what belongs to none.
//!
//! **Invariant**: an answer goes to the stream of its own request, or nowhere. A client that does not read loses its stream, and keeps
//! nobody else waiting for longer than [`SLOW_MAX`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::debug;

use super::super::client::ToClient;
use super::super::wire::Id;

/// So much waits for a reader.
const QUEUE: usize = 16;
/// A reader that takes nothing for so long has gone.
const SLOW_MAX: Duration = Duration::from_secs(5);

/// Something to be read.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) line: String,
    /// It is the answer, and the last.
    pub(super) answers: bool,
}

/// All streams of one session.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_request: HashMap<Id, mpsc::Sender<Told>>,
    standing: Option<mpsc::Sender<Told>>,
}

impl Streams {
    /// The stream of a request; none: its id is in use.
    pub(super) fn open(&self, id: &Id) -> Option<mpsc::Receiver<Told>> {
        let mut state = self.state();
        if state.by_request.get(id).is_some_and(|stream| !stream.is_closed()) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        state.by_request.insert(id.clone(), sender);
        Some(receiver)
    }

    /// The stream of what belongs to no request; none: there is one.
    pub(super) fn stand(&self) -> Option<mpsc::Receiver<Told>> {
        let mut state = self.state();
        if state.standing.as_ref().is_some_and(|stream| !stream.is_closed()) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        state.standing = Some(sender);
        Some(receiver)
    }

    /// A request has ended, answered or not.
    pub(super) fn close(&self, id: &Id) {
        self.state().by_request.remove(id);
    }

    /// Nobody reads the answer to a request any more. Another of the same id may have come meanwhile.
    pub(super) fn forget(&self, id: &Id) {
        let mut state = self.state();
        if state.by_request.get(id).is_some_and(mpsc::Sender::is_closed) {
            state.by_request.remove(id);
        }
    }

    /// Brings what a session says to where it is read, until it says nothing more.
    pub(super) async fn bring(&self, mut queue: mpsc::Receiver<ToClient>) {
        while let Some(told) = queue.recv().await {
            let Some(stream) = self.stream(&told) else {
                debug!("nobody reads what is said; dropped");
                continue;
            };
            let about = told.about;
            let told = Told {
                line: told.line,
                answers: told.answers,
            };
            if stream.send_timeout(told, SLOW_MAX).await.is_err()
                && let Some(id) = about
            {
                debug!(%id, "a reader has gone, or does not read");
                self.close(&id);
            }
        }
    }

    fn stream(&self, told: &ToClient) -> Option<mpsc::Sender<Told>> {
        let mut state = self.state();
        if told.answers {
            return state.by_request.remove(told.about.as_ref()?);
        }
        let own = told.about.as_ref().and_then(|id| state.by_request.get(id));
        let is_open = |stream: &&mpsc::Sender<Told>| !stream.is_closed();
        let standing = state.standing.as_ref().filter(is_open);
        // What belongs to a call that goes on without its request is read by whoever of the session reads at all.
        let any = || state.by_request.values().find(is_open);
        own.filter(is_open).or(standing).or_else(any).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
