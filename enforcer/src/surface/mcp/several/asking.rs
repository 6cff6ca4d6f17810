//! What is asked of every server for one request of the client's.
//!
//! **Invariant**: what a server does not answer in time costs the others nothing; what the client gives up is given up at every server
//! that was asked.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::super::answers::{self, INTERNAL, UNKNOWN_METHOD};
use super::super::methods::Era;
use super::super::requests::REQUESTS_MAX;
use super::super::session::Brought;
use super::super::wire::{Id, Line, Message, revision};
use super::part::{Part, discovers};
use super::{Asked, GATHER_MAX, Question, Several, gathered};

impl Several {
    /// Asks every server, and answers with what they said, put together.
    pub(super) async fn gather(self: &Arc<Self>, asked: Asked<'_>) {
        let Some(cancelled) = self.begin(&asked.id).await else {
            return;
        };
        let (several, id) = (Arc::clone(self), asked.id);
        let (method, brought, era) = (asked.method, asked.brought, asked.era);
        let params = asked
            .params
            .map_or_else(|| "{}".to_owned(), |params| params.get().to_owned());
        if method == "initialize" {
            self.state().greeting = Some(params.clone());
        }
        self.tasks.spawn(async move {
            let told = several.gathered(era, (&id, &method), &params, &brought);
            let told = cancelled.run_until_cancelled(told).await;
            if let (Some(told), "initialize") = (&told, method.as_str()) {
                several.state().revision = revision(told);
            }
            several.give_up_parts_of(&id).await;
            several.state().gathering.remove(&id);
            if let Some(told) = told {
                several.client.answer(&id, told).await;
            }
        });
    }

    /// A request that we look after, until it is given up; none, if there is no room for it.
    pub(super) async fn begin(&self, id: &Id) -> Option<CancellationToken> {
        let cancelled = CancellationToken::new();
        let has_room = {
            let mut state = self.state();
            let has_room = state.gathering.len() < REQUESTS_MAX;
            if has_room {
                state.gathering.insert(id.clone(), cancelled.clone());
            }
            has_room
        };
        if !has_room {
            let words = format!("{REQUESTS_MAX} requests are under way; ask again when one has ended");
            self.client.refuse(Some(id), INTERNAL, &words).await;
        }
        has_room.then_some(cancelled)
    }

    async fn gathered(&self, era: Era, (id, method): (&Id, &str), params: &str, brought: &Brought) -> String {
        if let Some(list) = gathered::list(method) {
            let pages = self.living().map(|part| async move {
                let pages = if part.understands(era).await {
                    self.pages(part, id, (method, list), params, brought).await
                } else {
                    gathered::Pages::default()
                };
                (part, pages)
            });
            return gathered::lists(era, (id, list), join_all(pages).await);
        }
        let is_first = matches!(method, "initialize" | "server/discover");
        let asked = self
            .living()
            .filter(|part| is_first || part.known(era) == Some(true));
        let said = asked.map(|part| async move {
            let said = self.part_says(part, id, method, params, brought).await;
            (part, said)
        });
        let all = join_all(said).await;
        if is_first && let Err(words) = self.note_eras(era, &all) {
            return answers::error(Some(id), UNKNOWN_METHOD, &words, None);
        }
        let named: Vec<(&str, Option<String>)> = all
            .into_iter()
            .map(|(part, said)| (part.name.as_str(), said))
            .collect();
        gathered::said(id, method, &named)
    }

    /// Takes up who speaks what its client begins with. One that begins without a handshake is told to go back to it, unless every server
    /// does without: then it finds those that have only that.
    fn note_eras(&self, era: Era, all: &[(&Part, Option<String>)]) -> Result<(), String> {
        for (part, said) in all.iter().filter(|(part, _)| !part.is_away()) {
            let does = said.as_deref().is_some_and(|said| match era {
                Era::Handshake => Message::result(said).is_some(),
                Era::Stateless => discovers(said),
            });
            part.note(era, does);
        }
        let speaks = |part: &&Part| !part.is_away() && part.known(era) == Some(true);
        let without = self.parts.iter().filter(|part| !speaks(part));
        let without: Vec<&str> = without.map(|part| part.name.as_str()).collect();
        if era == Era::Handshake || self.is_fixed || without.is_empty() {
            return Ok(());
        }
        Err(format!(
            "there is no `server/discover` before {}; begin with `initialize`, which they may know",
            without.join(" and ")
        ))
    }

    /// One server's list, however many pages it has.
    async fn pages(
        &self,
        part: &Part,
        id: &Id,
        (method, list): (&str, &'static str),
        params: &str,
        brought: &Brought,
    ) -> gathered::Pages {
        let mut pages = gathered::Pages::default();
        let mut params = params.to_owned();
        while let Some(said) = self.part_says(part, id, method, &params, brought).await {
            match pages.take(&said, list, &params) {
                Some(next) => params = next,
                None => break,
            }
        }
        pages
    }

    /// What one server says to a request that we make of it for the client; none: nothing.
    async fn part_says(
        &self,
        part: &Part,
        of: &Id,
        method: &str,
        params: &str,
        brought: &Brought,
    ) -> Option<String> {
        let (id, said) = self.question(part, of);
        let line = answers::request(&id, method, params);
        part.session.client_said(Line::Text(line), brought.clone()).await;
        let said = tokio::select! {
            said = timeout(GATHER_MAX, said) => said.ok().and_then(Result::ok),
            () = part.goes() => None,
        };
        if said.is_none() {
            self.state().asked.remove(&id);
            let given_up = Line::Text(answers::cancelled(&id));
            part.session.client_said(given_up, Brought::default()).await;
            warn!(server = %part.name, method, "a server does not answer, and is left out");
        }
        said
    }

    /// A request of one server for this one of the client's: its id, and where the answer will come.
    pub(super) fn question(&self, part: &Part, of: &Id) -> (Id, oneshot::Receiver<String>) {
        let (answer, said) = oneshot::channel();
        let mut state = self.state();
        state.made += 1;
        let id = Id::Text(format!("{}-{}", self.tag, state.made));
        let (at, of) = (part.at, of.clone());
        state.asked.insert(id.clone(), Question { at, of, answer });
        (id, said)
    }

    /// Tells servers that what they were asked for this request is not waited for any more.
    pub(super) async fn give_up_parts_of(&self, of: &Id) {
        let given_up: Vec<Id> = {
            let mut state = self.state();
            let gone = state.asked.extract_if(|_, question| question.of == *of);
            gone.map(|(id, _)| id).collect()
        };
        for id in given_up {
            for part in self.living() {
                let line = Line::Text(answers::cancelled(&id));
                part.session.client_said(line, Brought::default()).await;
            }
        }
    }
}
