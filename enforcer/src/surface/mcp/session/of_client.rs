//! What a client says: it passes, is decided, or goes nowhere.

use std::sync::Arc;

use tracing::{debug, info};

use super::super::answers::{self, INTERNAL, INVALID_REQUEST, UNKNOWN_METHOD};
use super::super::call::{self, Call};
use super::super::forms::{self, Takes};
use super::super::listing::DEFINED_MAX;
use super::super::methods::{self, ClientMethod, Era};
use super::super::requests::{GivenUp, NotBegun, REQUESTS_MAX};
use super::super::tools;
use super::super::wire::{Id, Line, Members, Message, shown};
use super::{Brought, Session, UnderWay, request_id};

impl Session {
    /// Takes a line of the client.
    pub(in crate::surface::mcp) async fn client_said(self: &Arc<Self>, line: Line, brought: Brought) {
        let line = match line.text() {
            Ok(line) => line,
            Err(error) => return self.client.refuse(None, error.code(), &error.to_string()).await,
        };
        match Message::parse(&line) {
            Ok(Message::Request { id, method, params }) => {
                let era = match self.spoken.hears(&method, params) {
                    Ok(era) => era,
                    Err(not) => {
                        let free = Some(&id).filter(|id| self.requests.is_free(id));
                        return self.client.refuse_revision(free, &not).await;
                    }
                };
                if era == Era::Stateless {
                    self.terms.definitions.live_for(DEFINED_MAX);
                }
                if method == "initialize" {
                    self.takes.get_or_init(|| Takes::at_first(params));
                }
                let asked = (id, shown(&method), era.of_client(&method));
                let call = match asked.2 {
                    Some(known @ (ClientMethod::CallsTool | ClientMethod::Decided { .. })) => {
                        let server = self.terms.name.as_str();
                        Some(Call::read((server, era), &method, known, params))
                    }
                    _ => None,
                };
                self.client_asked(asked, era, call, (line, brought)).await;
            }
            Ok(Message::Notification { method, params }) => {
                let gives_up = (method == "notifications/cancelled").then(|| request_id(params));
                let given_up = match gives_up {
                    Some(Some(id)) => self.requests.give_up(&id),
                    Some(None) => GivenUp::Unknown,
                    None => GivenUp::TellServer,
                };
                if given_up == GivenUp::TellServer && methods::client_may_notify(&method) {
                    self.tell_server(line).await;
                } else {
                    debug!(
                        method = shown(&method),
                        "a notification of the client goes no further"
                    );
                }
            }
            Ok(Message::Response { id, .. }) => {
                if self.requests.server_has(&id) {
                    self.tell_server(line).await;
                } else if !self.requests.client_has(&id) {
                    info!(%id, "the client answered what nobody asked; dropped");
                }
            }
            Err(error) => {
                // An answer under the id of another request would be taken for that one's.
                let id = readable_id(&line).filter(|id| self.requests.is_free(id));
                self.client
                    .refuse(id.as_ref(), error.code(), &error.to_string())
                    .await;
            }
        }
    }

    async fn client_asked(
        self: &Arc<Self>,
        (id, method, known): (Id, String, Option<ClientMethod>),
        era: Era,
        call: Option<Result<Call, answers::Instead>>,
        (line, brought): (String, Brought),
    ) {
        let begun = match known {
            None if self.requests.is_free(&id) => {
                let words = format!("there is no method `{method}`");
                return self.client.refuse(Some(&id), UNKNOWN_METHOD, &words).await;
            }
            None => Err(NotBegun::InUse),
            Some(ClientMethod::Passes) => self.requests.pass(&id).map(|()| None),
            Some(_) => self.requests.follow(&id, &self.gone).map(Some),
        };
        let cancelled = match begun {
            Ok(cancelled) => cancelled,
            Err(NotBegun::InUse) => {
                let words =
                    format!("the id {id} is in use; a request needs one of its own until it is answered");
                return self.client.refuse(None, INVALID_REQUEST, &words).await;
            }
            Err(NotBegun::TooMany) => {
                let words = format!("{REQUESTS_MAX} requests are under way; ask again when one has ended");
                return self.client.refuse(Some(&id), INTERNAL, &words).await;
            }
        };
        let Some(cancelled) = cancelled else {
            return self.tell_server(line).await;
        };
        let under_way = UnderWay {
            session: Arc::clone(self),
            id,
            era,
            cancelled,
            brought,
        };
        match call {
            None if known == Some(ClientMethod::AsksTask) => {
                drop(self.tasks.spawn(forms::about_task(under_way, line)));
            }
            None if known == Some(ClientMethod::Discovers) => {
                drop(self.tasks.spawn(forms::discover(under_way, line)));
            }
            None => drop(self.tasks.spawn(tools::list(under_way, line))),
            Some(Ok(call)) => drop(self.tasks.spawn(call::answer(under_way, call, line))),
            Some(Err(instead)) => {
                let refused = instead.answer(&under_way.id, answers::Shape::Plain);
                under_way.answer(refused).await;
            }
        }
    }
}

/// The id of a line that is no message, if it has one all the same.
fn readable_id(line: &str) -> Option<Id> {
    Id::parse(Members::parse(line).ok()?.get("id")?.get())
}
