//! Who asked what, and waits for it.
//!
//! **Invariant**: the ids of the two directions never meet; an answer goes to whoever asked, once, and to nobody else. An id is free
//! again when its request has ended.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::wire::Id;

/// So many requests of the client may be under way at once, and so many of the server.
pub(super) const REQUESTS_MAX: usize = 256;

/// All that is under way.
#[derive(Debug)]
pub(super) struct Requests {
    /// Begins every id of our own: nobody can guess it.
    tag: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    of_client: HashMap<Id, Asked>,
    /// What we ask the server ourselves.
    ours: HashMap<Id, oneshot::Sender<String>>,
    of_server: HashSet<Id>,
    /// What we ask the client ourselves.
    of_us: HashSet<Id>,
    made: u64,
    /// The server answers nothing any more.
    ended: bool,
}

#[derive(Debug)]
enum Asked {
    /// Its answer goes on as it comes.
    Passed,
    /// Somebody here looks after it.
    Followed {
        cancelled: CancellationToken,
        reply: Option<oneshot::Sender<String>>,
    },
}

/// Why another request is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotBegun {
    InUse,
    TooMany,
}

/// Where an answer of the server goes.
#[derive(Debug)]
pub(super) enum Goes {
    ToClient,
    Here(oneshot::Sender<String>),
    Nowhere,
}

/// What becomes of a request that the client gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The server is told.
    TellServer,
    /// Whoever looks after it was told.
    Told,
    /// There is none.
    Unknown,
}

impl Requests {
    pub(super) fn new(tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            state: Mutex::default(),
        }
    }

    /// A request of the client whose answer is passed on.
    pub(super) fn pass(&self, id: &Id) -> Result<(), NotBegun> {
        self.begin(id, Asked::Passed)
    }

    /// A request of the client that somebody here looks after, until it is given up.
    pub(super) fn follow(&self, id: &Id, session: &CancellationToken) -> Result<CancellationToken, NotBegun> {
        let cancelled = session.child_token();
        let asked = Asked::Followed {
            cancelled: cancelled.clone(),
            reply: None,
        };
        self.begin(id, asked).map(|()| cancelled)
    }

    /// Whether a request of the client could have this id.
    pub(super) fn is_free(&self, id: &Id) -> bool {
        let state = self.state();
        !state.of_client.contains_key(id) && !state.ours.contains_key(id)
    }

    /// Where the server's answer to a followed request will come. It never comes if the server has ended.
    pub(super) fn reply(&self, id: &Id) -> oneshot::Receiver<String> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        if !state.ended
            && let Some(Asked::Followed { reply, .. }) = state.of_client.get_mut(id)
        {
            *reply = Some(sender);
        }
        receiver
    }

    /// A request of our own: its id, and where the answer will come.
    pub(super) fn own(&self) -> (Id, oneshot::Receiver<String>) {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        state.made += 1;
        let id = Id::Text(format!("{}-{}", self.tag, state.made));
        if !state.ended {
            state.ours.insert(id.clone(), sender);
        }
        (id, receiver)
    }

    /// A request has ended.
    pub(super) fn end(&self, id: &Id) {
        let mut state = self.state();
        if state.ours.remove(id).is_none() {
            state.of_client.remove(id);
        }
    }

    /// The server answers.
    pub(super) fn answered(&self, id: &Id) -> Goes {
        let mut state = self.state();
        if let Some(reply) = state.ours.remove(id) {
            return Goes::Here(reply);
        }
        match state.of_client.get_mut(id) {
            Some(Asked::Passed) => {
                state.of_client.remove(id);
                Goes::ToClient
            }
            Some(Asked::Followed { reply, .. }) => reply.take().map_or(Goes::Nowhere, Goes::Here),
            None => Goes::Nowhere,
        }
    }

    /// Whether somebody waits for the server's answer to this.
    pub(super) fn awaits(&self, id: &Id) -> bool {
        let state = self.state();
        state.ours.contains_key(id)
            || match state.of_client.get(id) {
                Some(Asked::Passed) => true,
                Some(Asked::Followed { reply, .. }) => reply.is_some(),
                None => false,
            }
    }

    /// The client does not wait any more.
    pub(super) fn give_up(&self, id: &Id) -> GivenUp {
        let mut state = self.state();
        match state.of_client.get(id) {
            Some(Asked::Passed) => {
                state.of_client.remove(id);
                GivenUp::TellServer
            }
            Some(Asked::Followed { cancelled, .. }) => {
                cancelled.cancel();
                GivenUp::Told
            }
            None => GivenUp::Unknown,
        }
    }

    /// The server asks; false, if it may not.
    pub(super) fn server_asks(&self, id: &Id) -> Result<(), NotBegun> {
        let mut state = self.state();
        if state.of_server.contains(id) {
            return Err(NotBegun::InUse);
        }
        if state.of_server.len() >= REQUESTS_MAX {
            return Err(NotBegun::TooMany);
        }
        state.of_server.insert(id.clone());
        Ok(())
    }

    /// The client answers, or the server does not wait any more; false, if nobody asked.
    pub(super) fn server_has(&self, id: &Id) -> bool {
        self.state().of_server.remove(id)
    }

    /// A request of our own to the client: its id. None: it has yet to answer too many.
    pub(super) fn ask_client(&self) -> Option<Id> {
        let mut state = self.state();
        if state.of_us.len() >= REQUESTS_MAX {
            return None;
        }
        state.made += 1;
        let id = Id::Text(format!("{}-{}", self.tag, state.made));
        state.of_us.insert(id.clone());
        Some(id)
    }

    /// The client answers it, or is not waited for any more; false, if we did not ask or it has answered.
    pub(super) fn client_has(&self, id: &Id) -> bool {
        self.state().of_us.remove(id)
    }

    /// The server answers nothing any more: whoever waits for it is told, and the requests that nobody looks after are given.
    pub(super) fn lose(&self) -> Vec<Id> {
        let mut state = self.state();
        state.ended = true;
        state.of_server.clear();
        state.ours.clear();
        for asked in state.of_client.values_mut() {
            if let Asked::Followed { reply, .. } = asked {
                *reply = None;
            }
        }
        let passed = state
            .of_client
            .extract_if(|_, asked| matches!(asked, Asked::Passed));
        passed.map(|(id, _)| id).collect()
    }

    /// The server answers again.
    pub(super) fn regain(&self) {
        self.state().ended = false;
    }

    fn begin(&self, id: &Id, asked: Asked) -> Result<(), NotBegun> {
        let mut state = self.state();
        if state.of_client.contains_key(id) || state.ours.contains_key(id) {
            return Err(NotBegun::InUse);
        }
        if state.of_client.len() >= REQUESTS_MAX {
            return Err(NotBegun::TooMany);
        }
        state.of_client.insert(id.clone(), asked);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
