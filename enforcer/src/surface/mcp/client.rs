//! The client, as it is spoken to: lines into one queue, in the order in which they are said.

use tokio::sync::mpsc;
use tracing::info;

use super::answers;
use super::stateless::NotOfIt;
use super::wire::Id;

/// Where what is said to it goes. Nobody is there to be told if it has gone.
#[derive(Debug)]
pub(super) struct Client(mpsc::Sender<ToClient>);

/// A line for the client.
#[derive(Debug)]
pub(super) struct ToClient {
    pub(super) line: String,
    /// The request of the client's that it belongs to; none: to none, or nobody knows.
    pub(super) about: Option<Id>,
    /// It is the answer to that request.
    pub(super) answers: bool,
}

impl Client {
    pub(super) fn new(lines: mpsc::Sender<ToClient>) -> Self {
        Self(lines)
    }

    /// Says a line as it is.
    pub(super) async fn say(&self, line: ToClient) {
        drop(self.0.send(line).await);
    }

    /// Tells it something that belongs to one of its requests, or to none.
    pub(super) async fn tell(&self, about: Option<&Id>, line: String) {
        self.say(ToClient {
            line,
            about: about.cloned(),
            answers: false,
        })
        .await;
    }

    /// Answers one of its requests.
    pub(super) async fn answer(&self, id: &Id, line: String) {
        self.say(ToClient {
            line,
            about: Some(id.clone()),
            answers: true,
        })
        .await;
    }

    /// Refuses a line of it; without an id, nobody knows which request that was, or it is none.
    pub(super) async fn refuse(&self, id: Option<&Id>, code: i64, words: &str) {
        info!(code, words, "a line of the client is refused");
        let refused = answers::error(id, code, words, None);
        match id {
            Some(id) => self.answer(id, refused).await,
            None => self.tell(None, refused).await,
        }
    }

    /// Refuses a request that is of no revision that is spoken here, under its id if that is free: an answer under the id of another request
    /// would be taken for that one's.
    pub(super) async fn refuse_revision(&self, free: Option<&Id>, not: &NotOfIt) {
        info!(code = not.code, not.words, "a request of the client is refused");
        let refused = answers::error(free, not.code, &not.words, not.data.as_ref());
        self.tell(None, refused).await;
    }
}
