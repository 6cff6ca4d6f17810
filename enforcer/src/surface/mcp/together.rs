//! Several MCP servers over stdio that one client starts as one.
//!
//! **Invariant**: a server that ends takes along what is its own; the client is told, and the others go on.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::forms::Forms;
use super::held::HeldCalls;
use super::several::Several;
use super::spoken::Spoken;
use super::{
    GrantSource, LAST_CALLS_MAX, LAST_LINES_MAX, McpError, QUEUE, ServerName, Session, Terms, server, tag,
    write_all,
};
use crate::child::Child;
use crate::gate::Gate;

/// Several MCP servers, and how what is wanted of them is decided.
#[derive(Debug, Clone)]
pub struct Together {
    /// What the catalog calls each, and what starts it.
    pub servers: Vec<(ServerName, Vec<OsString>)>,
    /// What calls are presented with.
    pub grant: GrantSource,
    /// How long a call waits for people before its client is told that it waits.
    pub patience: Duration,
    /// Where people find the console, and the directory of the key that signs what clients bring back of links to it; none: no links.
    pub console: Option<(String, PathBuf)>,
}

/// One that was started.
struct Started {
    name: ServerName,
    session: Arc<Session>,
    child: Child,
    pipes: Option<(ChildStdin, ChildStdout)>,
    told: Option<(mpsc::Receiver<super::ToClient>, mpsc::Receiver<String>)>,
    last: CancellationToken,
}

impl Together {
    /// Starts the servers and stands between them and a client, until it or all of them end or `stop` is cancelled. Gives our exit code.
    pub async fn run(
        self,
        gate: Gate,
        (reader, writer): (
            impl AsyncRead + Unpin + Send + 'static,
            impl AsyncWrite + Unpin + Send + 'static,
        ),
        stop: CancellationToken,
    ) -> Result<u8, McpError> {
        let spoken = Arc::new(Spoken::new(None));
        let forms = Forms::of(gate.clock(), self.console.as_ref());
        let started: Result<Vec<Started>, McpError> = self
            .servers
            .iter()
            .map(|(name, command)| self.start((&gate, &spoken, &forms), name, command))
            .collect();
        let mut started = started?;
        let (to_client, for_client) = mpsc::channel(QUEUE);
        let parts = started
            .iter()
            .map(|one| (one.name.clone(), Arc::clone(&one.session)));
        let several = Several::new(parts.collect(), (spoken, None), to_client, &tag());
        let (several, empty) = (Arc::new(several), Arc::new(Notify::new()));
        let mut heard = Vec::new();
        for (at, one) in started.iter_mut().enumerate() {
            let (Some((stdin, stdout)), Some((queue, for_server))) = (one.pipes.take(), one.told.take())
            else {
                continue;
            };
            tokio::spawn(Arc::clone(&several).bring(at, queue));
            tokio::spawn(write_all(for_server, stdin, one.last.clone()));
            let (session, several, empty) =
                (Arc::clone(&one.session), Arc::clone(&several), Arc::clone(&empty));
            heard.push(tokio::spawn(async move {
                session.hear_server(stdout).await;
                several.lose(at).await;
                if several.is_empty() {
                    empty.notify_one();
                }
            }));
        }
        let last_to_client = CancellationToken::new();
        let writes = tokio::spawn(write_all(for_client, writer, last_to_client.clone()));
        let mut hears_client = tokio::spawn(Arc::clone(&several).hear_client(reader));
        tokio::select! {
            _ = &mut hears_client => last_calls(&several, &started, &stop).await,
            () = empty.notified() => {}
            () = stop.cancelled() => {}
        }
        hears_client.abort();
        let stop = &stop;
        let ending = started.into_iter().map(|one| async move {
            one.session.gone.cancel();
            one.last.cancel();
            server::end(one.child, stop).await;
            one.session
        });
        let sessions = join_all(ending).await;
        let settled = join_all(sessions.iter().map(|session| async {
            session.tasks.close();
            session.tasks.wait().await;
        }));
        if timeout(LAST_CALLS_MAX, settled).await.is_err() {
            warn!("calls were still under way; nobody knows how they ended");
        }
        for heard in heard {
            heard.abort();
        }
        last_to_client.cancel();
        if timeout(LAST_LINES_MAX, writes).await.is_err() {
            debug!("the client does not read what was left");
        }
        Ok(0)
    }

    fn start(
        &self,
        (gate, spoken, forms): (&Gate, &Arc<Spoken>, &Forms),
        name: &ServerName,
        command: &[OsString],
    ) -> Result<Started, McpError> {
        let (child, stdin, stdout) = server::start(command)?;
        let (to_client, queue) = mpsc::channel(QUEUE);
        let (to_server, for_server) = mpsc::channel(QUEUE);
        let tag = tag();
        let terms = Terms {
            gate: gate.clone(),
            name: name.clone(),
            era: None,
            grant: self.grant.clone(),
            patience: self.patience,
            definitions: Arc::default(),
            held: Arc::new(HeldCalls::new(&tag)),
            forms: forms.of_another(gate.clock()),
        };
        let session = Session::new(terms, (to_client, to_server), &tag);
        Ok(Started {
            name: name.clone(),
            session: Arc::new(session.speaking(Arc::clone(spoken))),
            child,
            pipes: Some((stdin, stdout)),
            told: Some((queue, for_server)),
            last: CancellationToken::new(),
        })
    }
}

/// The client says nothing more: calls under way are answered, within a bound, and what waits for people goes on without it.
async fn last_calls(several: &Several, started: &[Started], stop: &CancellationToken) {
    several.leaving.cancel();
    several.tasks.close();
    let last = async {
        several.tasks.wait().await;
        join_all(started.iter().map(|one| async {
            one.session.leaving.cancel();
            one.session.tasks.close();
            one.session.tasks.wait().await;
        }))
        .await;
    };
    tokio::select! {
        waited = timeout(LAST_CALLS_MAX, last) => drop(waited),
        () = stop.cancelled() => {}
    }
}
