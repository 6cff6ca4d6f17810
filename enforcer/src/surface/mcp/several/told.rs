//! What the sessions of several servers say to the client, as it hears it.
//!
//! **Invariant**: an id of one server's is the id of no other's; what its client answers finds back to it alone.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{debug, info};

use super::super::answers;
use super::super::client::ToClient;
use super::super::methods::Era;
use super::super::session::{Brought, request_id};
use super::super::wire::{Answered, Id, Line, Members, Message, text};
use super::Several;
use super::named::joined;
use super::part::Part;
use super::subscribed::{Heard, SAYS_SUBSCRIPTION, asked_by};

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// What a server says of a subscription.
enum Change {
    For(mpsc::Sender<Heard>, Heard),
    /// It tells nothing more to whoever asked under this id.
    Ends(Id),
    Nobodys,
}

impl Several {
    /// Brings what one session says to the client, until it says nothing more.
    pub(in crate::surface::mcp) async fn bring(
        self: Arc<Self>,
        at: usize,
        mut queue: mpsc::Receiver<ToClient>,
    ) {
        while let Some(told) = queue.recv().await {
            let asked = told.about.as_ref().and_then(|about| {
                let mut state = self.state();
                if told.answers {
                    return state
                        .asked
                        .remove(about)
                        .map(|question| (question.of, Some(question.answer)));
                }
                state.asked.get(about).map(|question| (question.of.clone(), None))
            });
            let about = match asked {
                Some((_, Some(answer))) => {
                    // Whoever asked may have gone.
                    drop(answer.send(told.line));
                    continue;
                }
                Some((of, None)) => Some(of),
                None if told.about.as_ref().is_some_and(|about| self.is_ours(about)) => {
                    debug!("what a server says to a question that was given up is nobody's; dropped");
                    continue;
                }
                None => told.about,
            };
            if self.spoken.now() == Era::Stateless
                && let Some(change) = self.change(at, &told.line)
            {
                self.pass_on(at, change).await;
                continue;
            }
            let told = ToClient {
                line: self.heard(at, told.line),
                about,
                answers: told.answers,
            };
            self.client.say(told).await;
        }
    }

    /// Whether a request was made here, and is none of the client's.
    fn is_ours(&self, id: &Id) -> bool {
        matches!(id, Id::Text(id) if id.starts_with(&self.tag))
    }

    /// What a line of one server's says of a subscription.
    fn change(&self, at: usize, line: &str) -> Option<Change> {
        let Ok(Message::Notification { method, params }) = Message::parse(line) else {
            return None;
        };
        if method.ends_with("/list_changed") {
            self.parts[at].owned.forget();
        }
        if method == "notifications/cancelled" {
            return Some(request_id(params).map_or(Change::Nobodys, Change::Ends));
        }
        let acknowledges = method == ACKNOWLEDGED;
        if !acknowledges && asked_by(&method).is_none() {
            return None;
        }
        let params = params.map_or("{}", |params| params.get());
        let of = || {
            let members = Members::parse(params).ok()?;
            let meta = Members::parse(members.get("_meta")?.get()).ok()?;
            let own = Id::parse(meta.get(SAYS_SUBSCRIPTION)?.get())?;
            let state = self.state();
            // One server says nothing about what another was asked.
            let question = state.asked.get(&own).filter(|question| question.at == at)?;
            let subscription = state.subscriptions.get(&question.of)?.clone();
            let honored = members.get("notifications").map_or("{}", |honored| honored.get());
            Some(if acknowledges {
                let honored = serde_json::from_str(honored).ok()?;
                Change::For(subscription, Heard::Acknowledged { by: at, honored })
            } else {
                let params = params.to_owned();
                Change::For(subscription, Heard::Changed { method, params })
            })
        };
        Some(of().unwrap_or(Change::Nobodys))
    }

    async fn pass_on(&self, at: usize, change: Change) {
        match change {
            // It may have ended.
            Change::For(subscription, heard) => drop(subscription.send(heard).await),
            Change::Ends(own) => {
                let is_subscription = {
                    let mut state = self.state();
                    let question = state.asked.get(&own).filter(|question| question.at == at);
                    let is_one =
                        question.is_some_and(|question| state.subscriptions.contains_key(&question.of));
                    is_one && state.asked.remove(&own).is_some()
                };
                if is_subscription {
                    let given_up = Line::Text(answers::cancelled(&own));
                    self.parts[at]
                        .session
                        .client_said(given_up, Brought::default())
                        .await;
                }
            }
            Change::Nobodys => info!("a server tells of a change that nobody asked for; dropped"),
        }
    }

    /// A line of one server's, as the client hears it.
    fn heard(&self, at: usize, line: String) -> String {
        let part = &self.parts[at];
        let changed = match Message::parse(&line) {
            Ok(Message::Request { id, method, params }) => {
                let params = params.map_or("{}", |params| params.get());
                Some(answers::request(&theirs(at, part, &id), &method, params))
            }
            Ok(Message::Notification { method, params }) => {
                if method.ends_with("/list_changed") {
                    part.owned.forget();
                }
                let id = request_id(params).filter(|_| method == "notifications/cancelled");
                id.map(|id| answers::cancelled(&theirs(at, part, &id)))
            }
            Ok(Message::Response {
                id,
                answer: Answered::Result(result),
            }) if self.spoken.now() == Era::Stateless => {
                renamed(part, result.get()).map(|result| answers::result(&id, &result))
            }
            _ => None,
        };
        changed.unwrap_or(line)
    }

    /// Whose request has this id, and what it is to that server.
    pub(super) fn named_part(&self, id: &Id) -> Option<(&Part, Id)> {
        let Id::Text(name) = id else { return None };
        let (asked, own) = name.split_once(':')?;
        let (at, life) = asked.split_once('.')?;
        let part = self.parts.get(at.parse::<usize>().ok()?)?;
        // What it asked before it began again it waits for no more.
        let is_its_own = part.life().to_string() == life;
        Some((part, Id::parse(own)?)).filter(|_| is_its_own)
    }
}

/// The id of a server's request, as its client gets it.
fn theirs(at: usize, part: &Part, id: &Id) -> Id {
    Id::Text(format!("{at}.{}:{id}", part.life()))
}

/// A result that names a task, which is one server's.
fn renamed(part: &Part, result: &str) -> Option<String> {
    let members = Members::parse(result).ok()?;
    let is_task = members.get("resultType").and_then(text).as_deref() == Some("task")
        || (members.get("status").is_some() && members.get("createdAt").is_some());
    let name = members.get("taskId").and_then(text).filter(|_| is_task)?;
    Some(members.with("taskId", &joined(&part.name, &name)))
}

/// An answer of the client's, under the id that its server knows.
pub(super) fn response(id: &Id, answer: Answered<'_>) -> String {
    match answer {
        Answered::Result(result) => answers::result(id, result.get()),
        Answered::Error(error) => answers::error_of(id, error.get()),
    }
}
