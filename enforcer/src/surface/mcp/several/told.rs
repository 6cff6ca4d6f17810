//! What the sessions of several servers say to the client, as it hears it.
//!
//! **Invariant**: an id of one server's is the id of no other's; what its client answers finds back to it alone.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::super::answers;
use super::super::methods::Era;
use super::super::session::{ToClient, request_id};
use super::super::wire::{Answered, Id, Members, Message, text};
use super::named::joined;
use super::{Part, Several};

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
                None => told.about,
            };
            let told = ToClient {
                line: self.heard(at, told.line),
                about,
                answers: told.answers,
            };
            drop(self.client.send(told).await);
        }
    }

    /// A line of one server's, as the client hears it.
    fn heard(&self, at: usize, line: String) -> String {
        let part = &self.parts[at];
        let changed = match Message::parse(&line) {
            Ok(Message::Request { id, method, params }) => {
                let params = params.map_or("{}", |params| params.get());
                Some(answers::request(&theirs(at, &id), &method, params))
            }
            Ok(Message::Notification { method, params }) => {
                if method.ends_with("/list_changed") {
                    part.owned.forget();
                }
                let id = request_id(params).filter(|_| method == "notifications/cancelled");
                id.map(|id| answers::cancelled(&theirs(at, &id)))
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
        let (at, own) = name.split_once(':')?;
        let part = self.parts.get(at.parse::<usize>().ok()?)?;
        Some((part, Id::parse(own)?))
    }
}

/// The id of a server's request, as its client gets it.
fn theirs(at: usize, id: &Id) -> Id {
    Id::Text(format!("{at}:{id}"))
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
