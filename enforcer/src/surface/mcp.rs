//! MCP over stdio and over HTTP: whatever a client wants of a server is decided.
//!
//! | file | what it does |
//! |---|---|
//! | `wire` | lines, and the messages on them |
//! | `methods` | what a method is to us |
//! | `session`, `client`, `requests` | who says what to whom, and who waits |
//! | `call`, `held` | a call is decided, made, held, answered |
//! | `forms` | how a client is told that its call waits |
//! | `several`, `together`, `pause` | one client before several servers; how soon one that has gone is begun with again |
//! | `listing`, `tools` | tools as they are defined, and which are shown |
//! | `answers` | what we say ourselves |
//! | `stateless`, `spoken` | what is different from the revision 2026-07-28 on, and which of the two eras is spoken |
//! | `http` | the same for a server over HTTP |
//! | `posted` | a message that a gateway shows |
//! | `inventory` | what a server has, for whoever writes a catalog |
//! | `server`, `name`, `grant` | the server's process, and what a catalog calls it; what calls are presented with |
//!
//! **Invariant**: it only translates. Without a permit of the gate nothing is asked of the server but what uses nothing it has.

mod answers;
mod call;
mod client;
mod forms;
#[cfg(test)]
mod fuzz;
mod grant;
mod held;
mod http;
mod inventory;
mod listing;
mod methods;
mod name;
mod pause;
pub(in crate::surface) mod posted;
mod requests;
mod server;
mod session;
mod several;
mod spoken;
mod stateless;
mod together;
mod tools;
mod wire;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::id::random_bytes;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::gate::Gate;
use client::ToClient;
use forms::Forms;
pub use grant::{GrantSource, NoGrant};
use held::HeldCalls;
pub use http::{DoorError, McpDoor, Proxied, Remote};
pub use inventory::{Inventory, InventoryError, Whereabouts};
pub use name::{InvalidServerName, ServerName};
use session::{Session, Terms};
pub use together::Together;

/// So many lines wait for a reader at most; then whoever writes them waits.
const QUEUE: usize = 8;
/// When the client has said its last, calls under way may take so long to be answered.
const LAST_CALLS_MAX: Duration = Duration::from_secs(5);
/// And the client so long to read what is left.
const LAST_LINES_MAX: Duration = Duration::from_secs(2);

/// An MCP server, and how what is wanted of it is decided.
#[derive(Debug, Clone)]
pub struct Wrapped {
    /// What the catalog calls the server.
    pub name: ServerName,
    /// What starts it.
    pub command: Vec<OsString>,
    /// What calls are presented with.
    pub grant: GrantSource,
    /// How long a call waits for people before its client is told that it waits.
    pub patience: Duration,
    /// Where people find the console, and the directory of the key that signs what clients bring back of links to it; none: no links.
    pub console: Option<(String, PathBuf)>,
}

/// A server that can't be started, or reached.
#[derive(Debug, Error)]
pub enum McpError {
    /// It can't be started.
    #[error("can't start `{}`", command.display())]
    Start {
        /// What was to be started.
        command: OsString,
        /// Why it can't be.
        source: io::Error,
    },
    /// Nobody knows where it is, or whom to trust there.
    #[error(transparent)]
    Reach(#[from] DoorError),
}

impl Wrapped {
    /// Starts the server and stands between it and a client, until one of the two ends or `stop` is cancelled. Gives the exit code of
    /// the server.
    pub async fn run(
        self,
        gate: Gate,
        (reader, writer): (
            impl AsyncRead + Unpin + Send + 'static,
            impl AsyncWrite + Unpin + Send + 'static,
        ),
        stop: CancellationToken,
    ) -> Result<u8, McpError> {
        let (child, stdin, stdout) = server::start(&self.command)?;
        let (to_client, for_client) = mpsc::channel(QUEUE);
        let (to_server, for_server) = mpsc::channel(QUEUE);
        let tag = tag();
        let gate_clock = gate.clock();
        let terms = Terms {
            gate,
            name: self.name,
            era: None,
            grant: self.grant,
            patience: self.patience,
            definitions: Arc::default(),
            held: Arc::new(HeldCalls::new(&tag)),
            forms: Forms::of(gate_clock, self.console.as_ref()),
        };
        let session = Arc::new(Session::new(terms, (to_client, to_server), &tag));
        let (last_to_server, last_to_client) = (CancellationToken::new(), CancellationToken::new());
        let writes = tokio::spawn(write_all(for_client, writer, last_to_client.clone()));
        tokio::spawn(write_all(for_server, stdin, last_to_server.clone()));
        let mut hears_client = tokio::spawn(Arc::clone(&session).hear_client(reader));
        let mut hears_server = tokio::spawn(Arc::clone(&session).hear_server(stdout));
        tokio::select! {
            _ = &mut hears_client => last_calls(&session, &stop).await,
            _ = &mut hears_server => {}
            () = stop.cancelled() => {}
        }
        session.gone.cancel();
        last_to_server.cancel();
        let code = server::end(child, &stop).await;
        hears_client.abort();
        if !hears_server.is_finished() && timeout(LAST_LINES_MAX, hears_server).await.is_err() {
            debug!("the server's output is still open after its end");
        }
        session.tasks.close();
        if timeout(LAST_CALLS_MAX, session.tasks.wait()).await.is_err() {
            warn!("calls were still under way; nobody knows how they ended");
        }
        last_to_client.cancel();
        if timeout(LAST_LINES_MAX, writes).await.is_err() {
            debug!("the client does not read what was left");
        }
        Ok(code)
    }
}

/// The client says nothing more: calls under way are answered, within a bound, and what waits for people goes on without it.
async fn last_calls(session: &Session, stop: &CancellationToken) {
    session.leaving.cancel();
    session.tasks.close();
    tokio::select! {
        waited = timeout(LAST_CALLS_MAX, session.tasks.wait()) => drop(waited),
        () = stop.cancelled() => {}
    }
}

/// Begins the ids that are made for one client, and nobody guesses.
fn tag() -> String {
    format!("mcp-{:032x}", u128::from_be_bytes(random_bytes()))
}

/// Writes what is queued, in order, until nothing more will come; then closes.
async fn write_all(
    mut queue: mpsc::Receiver<impl Into<String>>,
    mut writer: impl AsyncWrite + Unpin,
    last: CancellationToken,
) {
    loop {
        let line = tokio::select! {
            biased;
            line = queue.recv() => line,
            () = last.cancelled() => None,
        };
        let Some(line) = line else { break };
        if let Err(error) = wire::write_line(&mut writer, line.into()).await {
            debug!(%error, "nobody reads any more");
            break;
        }
    }
    // Its reader is told that this was all.
    drop(writer.shutdown().await);
}

impl From<ToClient> for String {
    /// On one line there is one client, and all of it is read in order.
    fn from(told: ToClient) -> Self {
        told.line
    }
}
