//! Several MCP servers that one client starts as one.
//!
//! **Invariant**: a server that ends takes along what is its own until it is started again; the client is told, and the others go on.

mod kept;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::forms::Forms;
use super::held::HeldCalls;
use super::http::{Beside, Reached};
use super::inventory::Whereabouts;
use super::listing::{DEFINED_MAX, Definitions};
use super::methods::Era;
use super::several::Several;
use super::spoken::Spoken;
use super::{
    GrantSource, LAST_CALLS_MAX, LAST_LINES_MAX, McpError, QUEUE, ServerName, Session, Terms, tag, write_all,
};
use crate::gate::Gate;
use kept::{Kept, Life};

/// Several MCP servers, and how what is wanted of them is decided.
#[derive(Debug, Clone)]
pub struct Together {
    /// What the catalog calls each, and where it is.
    pub servers: Vec<(ServerName, Whereabouts)>,
    /// What calls are presented with.
    pub grant: GrantSource,
    /// How long a call waits for people before its client is told that it waits.
    pub patience: Duration,
    /// Where people find the console, and the directory of the key that signs what clients bring back of links to it; none: no links.
    pub console: Option<(String, PathBuf)>,
    /// Clients may begin with a handshake; else 2026-07-28 alone is spoken, and servers that do not speak it are left out.
    pub handshake: bool,
}

/// How it is spoken with.
enum Speaks {
    Life(Life, Vec<OsString>),
    Reached(Reached),
}

impl Speaks {
    fn begin(server: &Whereabouts) -> Result<Self, McpError> {
        match server {
            Whereabouts::Started(command) => Ok(Self::Life(Life::begin(command)?, command.clone())),
            Whereabouts::At(remote) => Ok(Self::Reached(Reached::new(remote)?)),
        }
    }
}

/// What is known of a server's tools: over HTTP it need not tell anybody that they have changed.
fn definitions(server: &Whereabouts) -> Arc<Definitions> {
    match server {
        Whereabouts::Started(_) => Arc::default(),
        Whereabouts::At(_) => Arc::new(Definitions::known_for(DEFINED_MAX)),
    }
}

/// A session, and the queues of what is said in it to its client and to its server.
type Between = (
    Arc<Session>,
    mpsc::Receiver<super::ToClient>,
    mpsc::Receiver<String>,
);

impl Together {
    /// Starts the servers and stands between them and a client, until it ends or `stop` is cancelled. Gives our exit code.
    pub async fn run(
        self,
        gate: Gate,
        (reader, writer): (
            impl AsyncRead + Unpin + Send + 'static,
            impl AsyncWrite + Unpin + Send + 'static,
        ),
        stop: CancellationToken,
    ) -> Result<u8, McpError> {
        let begun = self.servers.iter().map(|(_, server)| Speaks::begin(server));
        let begun: Vec<Speaks> = begun.collect::<Result<_, McpError>>()?;
        let (to_client, for_client) = mpsc::channel(QUEUE);
        let only = (!self.handshake).then_some(Era::Stateless);
        let spoken = Arc::new(Spoken::new(only));
        let between = self.sessions(&gate, &spoken);
        let sessions: Vec<Arc<Session>> = between.iter().map(|one| Arc::clone(&one.0)).collect();
        let names = self.servers.iter().map(|(name, _)| name.clone());
        let parts = names.zip(sessions.iter().cloned()).collect();
        let several = Arc::new(Several::new(parts, (spoken, None), to_client, &tag()));
        let closing = CancellationToken::new();
        let mut kept = Vec::new();
        for (at, (speaks, (session, told, lines))) in begun.into_iter().zip(between).enumerate() {
            tokio::spawn(Arc::clone(&several).bring(at, told));
            let (several, closing, stop) = (Arc::clone(&several), closing.clone(), stop.clone());
            kept.push(match speaks {
                Speaks::Life(life, command) => {
                    let one = Kept {
                        at,
                        command,
                        several,
                        session,
                        lines,
                        closing,
                        stop,
                    };
                    tokio::spawn(one.keep(life))
                }
                Speaks::Reached(reached) => {
                    let one = Beside {
                        at,
                        reached,
                        several,
                        session,
                        lines,
                        closing,
                    };
                    tokio::spawn(one.carry())
                }
            });
        }
        let last_to_client = CancellationToken::new();
        let writes = tokio::spawn(write_all(for_client, writer, last_to_client.clone()));
        let mut hears_client = tokio::spawn(Arc::clone(&several).hear_client(reader));
        tokio::select! {
            _ = &mut hears_client => last_calls(&several, &sessions, &stop).await,
            () = stop.cancelled() => {}
        }
        hears_client.abort();
        for session in &sessions {
            session.gone.cancel();
        }
        closing.cancel();
        join_all(kept).await;
        let settled = join_all(sessions.iter().map(|session| async {
            session.tasks.close();
            session.tasks.wait().await;
        }));
        if timeout(LAST_CALLS_MAX, settled).await.is_err() {
            warn!("calls were still under way; nobody knows how they ended");
        }
        last_to_client.cancel();
        if timeout(LAST_LINES_MAX, writes).await.is_err() {
            debug!("the client does not read what was left");
        }
        Ok(0)
    }

    /// A session for each server.
    fn sessions(&self, gate: &Gate, spoken: &Arc<Spoken>) -> Vec<Between> {
        let forms = Forms::of(gate.clock(), self.console.as_ref());
        let session = |(name, server): &(ServerName, Whereabouts)| {
            let (to_client, queue) = mpsc::channel(QUEUE);
            let (to_server, for_server) = mpsc::channel(QUEUE);
            let tag = tag();
            let terms = Terms {
                gate: gate.clone(),
                name: name.clone(),
                era: None,
                grant: self.grant.clone(),
                patience: self.patience,
                definitions: definitions(server),
                held: Arc::new(HeldCalls::new(&tag)),
                forms: forms.of_another(gate.clock()),
            };
            let session = Session::new(terms, (to_client, to_server), &tag);
            (Arc::new(session.speaking(Arc::clone(spoken))), queue, for_server)
        };
        self.servers.iter().map(session).collect()
    }
}

/// The client says nothing more: calls under way are answered, within a bound, and what waits for people goes on without it.
async fn last_calls(several: &Several, sessions: &[Arc<Session>], stop: &CancellationToken) {
    several.leaving.cancel();
    several.tasks.close();
    let last = async {
        several.tasks.wait().await;
        join_all(sessions.iter().map(|session| async {
            session.leaving.cancel();
            session.tasks.close();
            session.tasks.wait().await;
        }))
        .await;
    };
    tokio::select! {
        waited = timeout(LAST_CALLS_MAX, last) => drop(waited),
        () = stop.cancelled() => {}
    }
}
