//! What lies between enforcers and the control plane: questions on their way, answers on theirs, and whatever loses them.
//!
//! **Invariant**: nothing arrives by itself. Each question waits until the schedule says what becomes of it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::oneshot;

use super::primary::{Answer, Primary, Question, Then};
use super::schedule::ENFORCERS;
use crate::control_plane::{
    AskError, Authority, Confirm, Confirmation, Consume, Consumption, Note, Noted, OpenHold, Opened,
};

/// The control plane and everything on its way to it or from it.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) primary: Primary,
    pub(super) is_cut: [bool; ENFORCERS],
    /// By the grant of each call, which is its own: the call, and the epoch of the grant.
    pub(super) calls: HashMap<String, (usize, u64)>,
    asks: Vec<Ask>,
    /// Calls that were not answered something.
    pub(super) unanswered: Vec<bool>,
}

#[derive(Debug)]
struct Ask {
    enforcer: usize,
    call: usize,
    epoch: u64,
    question: Question,
    /// What there was when it was asked.
    then: Then,
    answer: Option<Result<Answer, AskError>>,
    /// Gone once nobody waits.
    reply: Option<oneshot::Sender<Result<Answer, AskError>>>,
}

/// What one enforcer has of it.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) enforcer: usize,
    pub(super) wire: Arc<Mutex<Wire>>,
}

impl Wire {
    pub(super) fn new(primary: Primary) -> Self {
        Self {
            primary,
            is_cut: [false; ENFORCERS],
            calls: HashMap::new(),
            asks: Vec::new(),
            unanswered: Vec::new(),
        }
    }

    /// Whether this call waits for an answer.
    pub(super) fn waits(&self, call: usize) -> bool {
        self.asks
            .iter()
            .any(|ask| ask.call == call && ask.reply.is_some())
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.waiting().is_empty()
    }

    pub(super) fn serve(&mut self, at: u8) {
        let unserved = self.those(|ask| ask.reply.is_some() && ask.answer.is_none());
        if let Some(at) = around(&unserved, at) {
            self.serve_one(at);
        }
    }

    pub(super) fn repeat(&mut self, at: u8) {
        // An approval is never presented twice.
        let repeated = self.those(|ask| {
            ask.reply.is_some() && ask.answer.is_some() && !matches!(ask.question, Question::Consume(_))
        });
        if let Some(at) = around(&repeated, at) {
            self.serve_one(at);
        }
    }

    /// Gives the call that was answered.
    pub(super) fn answer(&mut self, at: u8) -> Option<usize> {
        let at = around(&self.waiting(), at)?;
        if self.asks[at].answer.is_none() {
            self.serve_one(at);
        }
        let ask = &mut self.asks[at];
        let (answer, reply) = (ask.answer.clone()?, ask.reply.take()?);
        if answer.is_err() {
            self.unanswered[ask.call] = true;
        }
        drop(reply.send(answer));
        Some(ask.call)
    }

    /// Gives the call whose enforcer waits no longer.
    pub(super) fn lose(&mut self, at: u8) -> Option<usize> {
        let at = around(&self.waiting(), at)?;
        self.lose_one(at, AskError::Deadline)
    }

    pub(super) fn late(&mut self, at: u8) {
        let late = self.those(|ask| ask.reply.is_none() && ask.answer.is_none());
        if let Some(at) = around(&late, at) {
            self.serve_one(at);
        }
    }

    /// Loses what is on its way from this enforcer and to it, or all there is.
    pub(super) fn lose_all(&mut self, of: Option<usize>) -> Vec<usize> {
        let lost = self.those(|ask| ask.reply.is_some() && of.is_none_or(|of| of == ask.enforcer));
        let lost = lost.into_iter();
        lost.filter_map(|at| self.lose_one(at, AskError::NotConnected))
            .collect()
    }

    fn lose_one(&mut self, at: usize, why: AskError) -> Option<usize> {
        let ask = &mut self.asks[at];
        let reply = ask.reply.take()?;
        self.unanswered[ask.call] = true;
        drop(reply.send(Err(why)));
        Some(ask.call)
    }

    fn serve_one(&mut self, at: usize) {
        let ask = &mut self.asks[at];
        ask.answer = Some(self.primary.serve(&ask.question, ask.epoch, &ask.then));
    }

    fn waiting(&self) -> Vec<usize> {
        self.those(|ask| ask.reply.is_some())
    }

    fn those(&self, is: impl Fn(&Ask) -> bool) -> Vec<usize> {
        let those = self.asks.iter().enumerate().filter(|(_, ask)| is(ask));
        those.map(|(at, _)| at).collect()
    }
}

/// Of these, the one that a step names.
pub(super) fn around<T: Copy>(those: &[T], at: u8) -> Option<T> {
    let at = usize::from(at).checked_rem(those.len())?;
    those.get(at).copied()
}

impl Link {
    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap()
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Answer, AskError>> {
        let presented = match &question {
            Question::Note(note) => &note.presented,
            Question::Confirm(ask) => &ask.presented,
            Question::Open(ask) => &ask.presented,
            Question::Consume(ask) => &ask.presented,
        };
        let mut wire = self.wire();
        let (call, epoch) = wire.calls[&**presented];
        if wire.is_cut[self.enforcer] {
            wire.unanswered[call] = true;
            return ready(Err(AskError::NotConnected)).boxed();
        }
        let (reply, answer) = oneshot::channel();
        let then = wire.primary.now();
        wire.asks.push(Ask {
            enforcer: self.enforcer,
            call,
            epoch,
            question,
            then,
            answer: None,
            reply: Some(reply),
        });
        async move { answer.await.unwrap_or(Err(AskError::NotConnected)) }.boxed()
    }
}

impl Authority for Link {
    fn confirm(&self, ask: Confirm) -> BoxFuture<'_, Result<Confirmation, AskError>> {
        let answer = self.ask(Question::Confirm(ask));
        async move {
            match answer.await? {
                Answer::Confirmed(confirmation) => Ok(confirmation),
                other => panic!("{other:?}"),
            }
        }
        .boxed()
    }

    fn open_hold(&self, ask: OpenHold) -> BoxFuture<'_, Result<Opened, AskError>> {
        let answer = self.ask(Question::Open(Box::new(ask)));
        async move {
            match answer.await? {
                Answer::Opened(opened) => Ok(opened),
                other => panic!("{other:?}"),
            }
        }
        .boxed()
    }

    fn consume(&self, ask: Consume) -> BoxFuture<'_, Result<Consumption, AskError>> {
        let answer = self.ask(Question::Consume(ask));
        async move {
            match answer.await? {
                Answer::Consumed(consumption) => Ok(consumption),
                other => panic!("{other:?}"),
            }
        }
        .boxed()
    }

    fn note(&self, ask: Note) -> BoxFuture<'_, Result<Noted, AskError>> {
        let answer = self.ask(Question::Note(ask));
        async move {
            match answer.await? {
                Answer::Noted(noted) => Ok(noted),
                other => panic!("{other:?}"),
            }
        }
        .boxed()
    }

    fn is_connected(&self) -> bool {
        !self.wire().is_cut[self.enforcer]
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("enforcer", &self.enforcer)
            .finish_non_exhaustive()
    }
}
