//! One of several servers, and what is known of it.
//!
//! **Invariant**: a server is asked nothing in an era that it does not speak: a request of one is not turned into one of the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio_util::sync::CancellationToken;
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
    /// It answers nothing any more.
    pub(super) ended: CancellationToken,
    pub(super) owned: Owned,
    speaks: Mutex<Speaks>,
    /// Held by whoever asks what it speaks.
    asking: tokio::sync::Mutex<()>,
}

/// What a server was seen to speak; none: nobody has seen it.
#[derive(Debug, Clone, Copy, Default)]
struct Speaks {
    handshake: Option<bool>,
    stateless: Option<bool>,
}

impl Part {
    /// Where one era is spoken from the start, each server is believed to speak it.
    pub(super) fn new((at, name): (usize, ServerName), session: Arc<Session>, era: Option<Era>) -> Self {
        let speaks = Speaks {
            handshake: None,
            stateless: era.map(|era| era == Era::Stateless),
        };
        Self {
            at,
            name,
            session,
            ended: CancellationToken::new(),
            owned: Owned::default(),
            speaks: Mutex::new(speaks),
            asking: tokio::sync::Mutex::default(),
        }
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
            () = self.ended.cancelled() => false,
        };
        if !self.ended.is_cancelled() {
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
