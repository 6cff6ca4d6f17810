//! What a server has: asked of one that is started for it, and ended, or of one over HTTP.
//!
//! **Invariant**: a tool's definition is given as the server said it, byte for byte, because its hash is what is accepted.

mod way;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::time::Duration;

use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::timeout;
use tracing::debug;

use super::answers;
use super::http::{DoorError, Remote};
use super::listing::{PAGES_MAX, Page};
use super::methods::Era;
use super::stateless::listing;
use super::wire::{Answered, Id, Members, Message};
use way::Way;

/// A server that has not begun after this, a download included, does not begin.
const BEGIN_MAX: Duration = Duration::from_mins(2);
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// One that does not take leave in this time is left all the same; one that was started has ended by then.
const LEAVE_MAX: Duration = Duration::from_secs(10);
/// One that is silent for so long to a question of the other era does not speak it.
const OTHER_ERA_MAX: Duration = Duration::from_secs(10);
const HELLO: &str = concat!(
    r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"checkrein-enforcer","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}"#
);
const DISCOVER: &str = "server/discover";
const LISTEN: &str = "subscriptions/listen";

/// What a server says it has.
#[derive(Debug)]
pub struct Inventory {
    /// The definitions of its tools, each the JSON that it gave.
    pub tools: Vec<String>,
    /// The other methods that a call of it can be of.
    pub methods: Vec<&'static str>,
}

/// A server that does not say it.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// It can't be started, or spoken to.
    #[error("the server can't be started, or does not listen")]
    Process(#[from] io::Error),
    /// It does not answer.
    #[error("the server does not answer `{0}` in time")]
    Late(&'static str),
    /// It has ended, or says what is no message.
    #[error(
        "the server ended before it answered `{0}`, or says what is no message; does it write its log to standard output?"
    )]
    Silent(&'static str),
    /// It answers with an error.
    #[error("the server answers `{0}` with an error: {1}")]
    Error(&'static str, String),
    /// It answers something else than what was asked.
    #[error("the server's answer to `{0}` can't be read in one way")]
    Unreadable(&'static str),
    /// Over HTTP, it answers with a status alone.
    #[error("the server answers `{0}` with {1}; what it wants to be shown goes into a file of headers")]
    Refused(&'static str, String),
    /// Over HTTP, it is not reached.
    #[error("the server is not asked `{0}`: {1}")]
    Unreached(&'static str, String),
    /// It can't be asked over HTTP.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// Nobody could say which of them is called.
    #[error("the server defines the tool `{0}` twice")]
    Twice(String),
}

/// Where a server is to be found.
#[derive(Debug, Clone)]
pub enum Whereabouts {
    /// It is started for this, by this, and ended.
    Started(Vec<OsString>),
    /// It is there, over HTTP.
    At(Remote),
}

struct Server {
    way: Way,
    asked: i64,
}

impl Inventory {
    /// Asks a server.
    pub async fn of(server: &Whereabouts) -> Result<Self, InventoryError> {
        let (mut found, tells_changes) = with(server, async |server| {
            let (era, about) = server.begin().await?;
            server.inventory(era, &about).await
        })
        .await?;
        if tells_changes && !found.methods.contains(&LISTEN) && speaks_without_session(server).await {
            found.methods.push(LISTEN);
        }
        Ok(found)
    }
}

/// Goes to a server for this, and leaves it.
async fn with<T>(
    server: &Whereabouts,
    asks: impl AsyncFnOnce(&mut Server) -> Result<T, InventoryError>,
) -> Result<T, InventoryError> {
    let way = Way::to(server)?;
    let mut server = Server { way, asked: 0 };
    let found = asks(&mut server).await;
    if timeout(LEAVE_MAX, server.way.end()).await.is_err() {
        debug!("a server does not take leave; it was left");
    }
    found
}

/// Whether a server that knows the handshake would do without: it is asked anew, because how it is asked first decides what it speaks.
async fn speaks_without_session(server: &Whereabouts) -> bool {
    let params = listing(Era::Stateless, None);
    let discovered = with(server, async |server| {
        server.way.speak(Era::Stateless);
        server.ask(DISCOVER, &params, OTHER_ERA_MAX).await
    });
    discovered.await.is_ok()
}

impl Server {
    /// How it is spoken to, and what it says of itself.
    async fn begin(&mut self) -> Result<(Era, String), InventoryError> {
        match self.ask("initialize", HELLO, BEGIN_MAX).await {
            Ok(about) => {
                const READIES: &str = "notifications/initialized";
                let told = timeout(ANSWER_MAX, self.way.tell(answers::READY.to_owned(), READIES)).await;
                told.map_err(|_| InventoryError::Late(READIES))??;
                Ok((Era::Handshake, about))
            }
            Err(refused @ (InventoryError::Error(..) | InventoryError::Refused(..))) => {
                let params = listing(Era::Stateless, None);
                self.way.speak(Era::Stateless);
                let discovered = self.ask(DISCOVER, &params, ANSWER_MAX).await;
                discovered
                    .map(|about| (Era::Stateless, about))
                    .map_err(|_| refused)
            }
            Err(error) => Err(error),
        }
    }

    /// What it has; and whether it may tell that this has changed.
    async fn inventory(&mut self, era: Era, about: &str) -> Result<(Inventory, bool), InventoryError> {
        let unreadable = InventoryError::Unreadable(match era {
            Era::Handshake => "initialize",
            Era::Stateless => DISCOVER,
        });
        let about = Members::parse(about).ok();
        let capabilities = about.and_then(|about| Members::parse(about.get("capabilities")?.get()).ok());
        let capabilities = capabilities.ok_or(unreadable)?;
        let has = |name: &str| capabilities.get(name).is_some();
        let tells = |name: &str| {
            let capability = capabilities
                .get(name)
                .and_then(|has| Members::parse(has.get()).ok());
            let says = |what: &str| Some(capability.as_ref()?.get(what)?.get() == "true");
            says("listChanged") == Some(true) || says("subscribe") == Some(true)
        };
        let tells_changes = ["tools", "prompts", "resources"].into_iter().any(tells);
        let mut methods = Vec::new();
        if has("resources") {
            methods.extend(["resources/list", "resources/templates/list", "resources/read"]);
            if era == Era::Handshake {
                methods.extend(["resources/subscribe", "resources/unsubscribe"]);
            }
        }
        if has("prompts") {
            methods.extend(["prompts/list", "prompts/get"]);
        }
        if era == Era::Stateless && tells_changes {
            methods.push(LISTEN);
        }
        let tools = if has("tools") {
            self.tools(era).await?
        } else {
            Vec::new()
        };
        Ok((Inventory { tools, methods }, tells_changes))
    }

    async fn tools(&mut self, era: Era) -> Result<Vec<String>, InventoryError> {
        const LIST: &str = "tools/list";
        let (mut tools, mut names) = (Vec::new(), BTreeSet::new());
        let mut params = listing(era, None);
        for _ in 0..PAGES_MAX {
            let result = self.ask(LIST, &params, ANSWER_MAX).await?;
            let page = Page::parse(&result).map_err(|_| InventoryError::Unreadable(LIST))?;
            for tool in page.tools() {
                if !names.insert(tool.name.clone()) {
                    return Err(InventoryError::Twice(tool.name.clone()));
                }
                tools.push(tool.raw.to_owned());
            }
            match page.next {
                Some(next) => params = listing(era, Some(next.get())),
                None => return Ok(tools),
            }
        }
        Err(InventoryError::Unreadable(LIST))
    }

    async fn ask(
        &mut self,
        method: &'static str,
        params: &str,
        patience: Duration,
    ) -> Result<String, InventoryError> {
        self.asked += 1;
        let id = Id::Number(self.asked);
        let line = answers::request(&id, method, params);
        let answer = timeout(patience, self.way.answer(&id, line, method)).await;
        let line = answer.map_err(|_| InventoryError::Late(method))??;
        match Message::parse(&line) {
            Ok(Message::Response {
                answer: Answered::Result(result),
                ..
            }) => Ok(result.get().to_owned()),
            Ok(Message::Response {
                answer: Answered::Error(error),
                ..
            }) => Err(InventoryError::Error(method, RawValue::get(error).to_owned())),
            _ => Err(InventoryError::Silent(method)),
        }
    }
}

#[cfg(test)]
mod tests;
