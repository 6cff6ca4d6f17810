//! What a server says: an answer to whoever asked, or something on the way to one; and that it says nothing more.

use tracing::{info, warn};

use super::super::answers::{self, INTERNAL, UNKNOWN_METHOD};
use super::super::methods::Era;
use super::super::requests::{Goes, NotBegun, REQUESTS_MAX};
use super::super::wire::{Id, LINE_BYTES_MAX, Line, Message, shown};
use super::{Session, request_id};

impl Session {
    /// Takes a line of the server, which it said on the way to an answer, or by itself.
    pub(in crate::surface::mcp) async fn server_said(&self, line: Line, about: Option<&Id>) {
        let line = match line {
            Line::Text(line) => line,
            Line::TooLong { head, tail } => return self.server_said_too_much(&head, &tail).await,
            Line::NotText => return warn!("the server wrote a line that is not UTF-8; dropped"),
        };
        match Message::parse(&line) {
            Ok(Message::Response { id, .. }) => match self.requests.answered(&id) {
                Goes::ToClient => self.client.answer(&id, line).await,
                // Whoever asked may have gone.
                Goes::Here(reply) => drop(reply.send(line)),
                Goes::Nowhere => info!(%id, "the server answered what nobody waits for; dropped"),
            },
            Ok(Message::Request { id, method, .. }) => self.server_asked(id, &method, (line, about)).await,
            Ok(Message::Notification { method, params }) => {
                if method == "notifications/tools/list_changed" {
                    self.terms.definitions.forget();
                }
                if method == "notifications/cancelled"
                    && let Some(id) = request_id(params)
                {
                    self.requests.server_has(&id);
                }
                if self.spoken.now().server_may_notify(&method) {
                    self.client.tell(about, line).await;
                } else {
                    info!(
                        method = shown(&method),
                        "an unknown notification of the server; dropped"
                    );
                }
            }
            Err(error) => warn!(%error, "the server wrote a line that is no message; dropped"),
        }
    }

    async fn server_asked(&self, id: Id, method: &str, (line, about): (String, Option<&Id>)) {
        let era = self.spoken.now();
        if era == Era::Stateless {
            return warn!(%id, "in this revision a server asks nothing by itself; dropped");
        }
        let refused = if era.server_may_ask(method) {
            match self.requests.server_asks(&id) {
                Ok(()) => return self.client.tell(about, line).await,
                Err(NotBegun::InUse) => {
                    return warn!(%id, "the server asked under an id that is in use; dropped");
                }
                Err(NotBegun::TooMany) => {
                    let words = format!("{REQUESTS_MAX} requests wait for the client");
                    answers::error(Some(&id), INTERNAL, &words, None)
                }
            }
        } else {
            let words = format!("there is no method `{}`", shown(method));
            answers::error(Some(&id), UNKNOWN_METHOD, &words, None)
        };
        self.tell_server(refused).await;
    }

    /// Whoever waits for an answer that is too long is told so, as far as the line shows who that is.
    async fn server_said_too_much(&self, head: &[u8], tail: &[u8]) {
        warn!("the server wrote a line of more than {LINE_BYTES_MAX} bytes; dropped");
        let id = [tail, head].into_iter().find_map(Id::at_the_edge_of);
        let Some(id) = id else { return };
        let words = format!("the server's answer has more than {LINE_BYTES_MAX} bytes");
        let told = answers::error(Some(&id), INTERNAL, &words, None);
        self.server_failed(&id, told).await;
    }

    /// The server will not answer, and may have done what it was asked.
    pub(in crate::surface::mcp) async fn server_broke_off(&self, id: &Id, words: &str) {
        match self.requests.answered(id) {
            Goes::ToClient => {
                let told = answers::error(Some(id), INTERNAL, words, None);
                self.client.answer(id, told).await;
            }
            // Whoever made a call is told by this that nobody knows how it ended.
            Goes::Here(reply) => drop(reply),
            Goes::Nowhere => {}
        }
    }

    /// Whoever waits for the server's answer gets this instead.
    pub(in crate::surface::mcp) async fn server_failed(&self, id: &Id, told: String) {
        match self.requests.answered(id) {
            Goes::ToClient => self.client.answer(id, told).await,
            Goes::Here(reply) => drop(reply.send(told)),
            Goes::Nowhere => {}
        }
    }

    /// The server answers again; what it was is not known any more.
    pub(in crate::surface::mcp) fn regain_server(&self) {
        self.terms.definitions.forget();
        self.requests.regain();
    }

    /// The server answers nothing any more.
    pub(in crate::surface::mcp) async fn lose_server(&self) {
        for id in self.requests.lose() {
            let lost = answers::error(Some(&id), INTERNAL, "the server ended before it answered", None);
            self.client.answer(&id, lost).await;
        }
    }
}
