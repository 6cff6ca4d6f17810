//! One of several servers, and what is known of it.
//!
//! **Invariant**: a server is asked nothing in an era that it does not speak: a request of one is not turned into one of the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;
use tracing::warn;

use super::super::methods::Era;
use super::super::name::ServerName;
use super::super::session::Session;
use super::super::stateless::{REVISION, listing};
use super::super::wire::{Members, Message};
use super::GATHER_MAX;
use super::owners::Owned;

/// One of the servers.
#[derive(Debug)]
pub(in crate::surface::mcp) struct Part {
    /// Which of them it is.
    pub(super) at: usize,
    pub(super) name: ServerName,
    pub(super) session: Arc<Session>,
    pub(super) owned: Owned,
    life: watch::Sender<Life>,
    /// Which era was spoken from the start, if one was.
    era: Option<Era>,
    speaks: Mutex<Speaks>,
    /// Held by whoever asks what it speaks.
    asking: tokio::sync::Mutex<()>,
}

/// How often a server has begun, and whether it answers nothing now.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    number: u64,
    is_away: bool,
}

/// What a server was seen to speak; none: nobody has seen it.
#[derive(Debug, Clone, Copy, Default)]
struct Speaks {
    handshake: Option<bool>,
    stateless: Option<bool>,
}

impl Speaks {
    /// Before it was seen to speak.
    fn before(era: Option<Era>) -> Self {
        Self {
            handshake: None,
            stateless: era.map(|era| era == Era::Stateless),
        }
    }
}

impl Part {
    /// Where one era is spoken from the start, each server is believed to speak it.
    pub(super) fn new((at, name): (usize, ServerName), session: Arc<Session>, era: Option<Era>) -> Self {
        Self {
            at,
            name,
            session,
            owned: Owned::default(),
            life: watch::Sender::default(),
            era,
            speaks: Mutex::new(Speaks::before(era)),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Whether it answers nothing now.
    pub(super) fn is_away(&self) -> bool {
        self.life.borrow().is_away
    }

    /// Resolves when it answers nothing.
    pub(super) async fn goes(&self) {
        self.until(|life| life.is_away).await;
    }

    /// Resolves when it answers.
    pub(super) async fn comes_back(&self) {
        self.until(|life| !life.is_away).await;
    }

    async fn until(&self, is: impl FnMut(&Life) -> bool) {
        // Whoever waits holds the sender.
        drop(self.life.subscribe().wait_for(is).await);
    }

    /// Which of its lives this is.
    pub(super) fn life(&self) -> u64 {
        self.life.borrow().number
    }

    /// It answers nothing any more.
    pub(super) fn leave(&self) {
        self.life.send_modify(|life| life.is_away = true);
    }

    /// It answers again, and need not be what it was.
    pub(super) fn begin_again(&self, is_greeted: bool) {
        self.session.regain_server();
        self.owned.forget();
        *self.seen() = Speaks {
            handshake: is_greeted.then_some(true),
            ..Speaks::before(self.era)
        };
        self.life.send_modify(|life| {
            life.number += 1;
            life.is_away = false;
        });
    }

    /// Whether it speaks this; none: it must be asked.
    pub(super) fn known(&self, era: Era) -> Option<bool> {
        let speaks = self.seen();
        match era {
            // Its client begins with the question.
            Era::Handshake => Some(speaks.handshake.unwrap_or(true)),
            Era::Stateless => speaks.stateless,
        }
    }

    /// Takes up whether it speaks this.
    pub(super) fn note(&self, era: Era, does: bool) {
        let mut speaks = self.seen();
        let known = match era {
            Era::Handshake => &mut speaks.handshake,
            Era::Stateless => &mut speaks.stateless,
        };
        if known.replace(does) != Some(does) && !does {
            let spoken = match era {
                Era::Handshake => "after a handshake",
                Era::Stateless => REVISION,
            };
            warn!(server = %self.name, spoken, "a server does not speak what its client speaks, and is left out");
        }
    }

    /// Whether it speaks this; it is asked, if nobody knows.
    pub(super) async fn understands(&self, era: Era) -> bool {
        if let Some(known) = self.known(era) {
            return known;
        }
        let _asking = self.asking.lock().await;
        if let Some(known) = self.known(era) {
            return known;
        }
        let params = listing(era, None);
        let asked = self
            .session
            .ask_server_within(GATHER_MAX, "server/discover", &params);
        let does = tokio::select! {
            said = asked => said.is_some_and(|said| discovers(&said)),
            () = self.goes() => false,
        };
        if !self.is_away() {
            self.note(era, does);
        }
        does
    }

    fn seen(&self) -> MutexGuard<'_, Speaks> {
        // Nothing in here panics halfway.
        self.speaks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this is what a server of this revision says to `server/discover`.
pub(super) fn discovers(said: &str) -> bool {
    let versions = || {
        let (_, result) = Message::result(said)?;
        let versions = Members::parse(result.get()).ok()?.get("supportedVersions")?;
        serde_json::from_str::<Vec<Value>>(versions.get()).ok()
    };
    versions().is_some_and(|versions| versions.iter().any(|version| version == REVISION))
}
