//! The list of tools, as the server gives it and as a client gets it.
//!
//! **Invariant**: a client sees no tool that its task may not use, or that is defined otherwise than the catalog accepted.

use checkrein_shared::action::Sha256;
use tracing::warn;

use super::answers::{self, INTERNAL};
use super::listing::{PAGES_MAX, Page};
use super::session::{Session, UnderWay};
use super::stateless;
use super::wire::{Answered, Message};

/// A server whose list changes each of so many times while it comes does not list its tools.
const LISTINGS_MAX: usize = 3;

impl Session {
    /// Has the server define this tool; none: it does not.
    pub(super) async fn definition(&self, name: &str) -> Option<Sha256> {
        let definitions = &self.terms.definitions;
        if let Some(known) = definitions.of(name) {
            return Some(known);
        }
        let _asking = definitions.asking.lock().await;
        if let Some(known) = definitions.of(name) {
            return Some(known);
        }
        for _ in 0..LISTINGS_MAX {
            let asked_at = definitions.changes();
            self.ask_definitions().await?;
            // A list that changed while it came is not the list.
            if definitions.of(name).is_some() || definitions.changes() == asked_at {
                break;
            }
        }
        definitions.of(name)
    }

    async fn ask_definitions(&self) -> Option<()> {
        let (era, definitions) = (self.spoken.now(), &self.terms.definitions);
        let mut params = stateless::listing(era, None);
        for _ in 0..PAGES_MAX {
            let asked_at = definitions.changes();
            let line = self.ask_server("tools/list", &params).await?;
            let page = page(&line)?;
            definitions.note(asked_at, &page);
            match page.next {
                Some(next) => params = stateless::listing(era, Some(next.get())),
                None => break,
            }
        }
        Some(())
    }
}

/// Asks the server for a page of its tools, and gives what the task may use.
pub(super) async fn list(under_way: UnderWay, line: String) {
    let session = &under_way.session;
    let definitions = &session.terms.definitions;
    let asked_at = definitions.changes();
    let Some(reply) = asked(&under_way, line).await else {
        return;
    };
    let shown = match Message::parse(&reply) {
        Ok(Message::Response {
            answer: Answered::Error(_),
            ..
        }) => reply,
        _ => {
            if let Some(page) = page(&reply) {
                definitions.note(asked_at, &page);
                let grant = under_way.presented().await.grant;
                offered(session, &grant, &reply, &page)
            } else {
                let words = "the server's list of tools can't be read in one way";
                answers::error(Some(&under_way.id), INTERNAL, words, None)
            }
        }
    };
    under_way.answer(shown).await;
}

/// Asks the server under the client's own id; gives what it answered, or that it did not. None: nobody waits for it.
pub(super) async fn asked(under_way: &UnderWay, line: String) -> Option<String> {
    let session = &under_way.session;
    let reply = session.requests.reply(&under_way.id);
    session.tell_server(line).await;
    tokio::select! {
        reply = reply => Some(reply.unwrap_or_else(|_| {
            let words = "the server ended before it answered";
            answers::error(Some(&under_way.id), INTERNAL, words, None)
        })),
        () = under_way.cancelled.cancelled() => {
            session.tell_server(answers::cancelled(&under_way.id)).await;
            None
        }
    }
}

/// A page of tools, as far as the task may use them as they are defined now.
fn offered(session: &Session, grant: &str, line: &str, page: &Page<'_>) -> String {
    let offer = session.terms.gate.offer(grant);
    page.only(line, |tool| {
        let id = format!("{}/{}", session.terms.name, tool.name);
        let accepted = offer.as_ref().and_then(|offer| offer.definition(&id));
        if accepted.is_some_and(|accepted| accepted != tool.sha256) {
            warn!(
                tool = id,
                "the server defines it otherwise than the catalog accepted; it is not shown"
            );
        }
        accepted == Some(tool.sha256)
    })
}

/// A page, if the server's answer is one.
pub(super) fn page(line: &str) -> Option<Page<'_>> {
    let (_, result) = Message::result(line)?;
    Page::parse(result.get()).ok()
}
