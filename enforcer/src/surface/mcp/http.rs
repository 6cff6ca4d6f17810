//! MCP over Streamable HTTP: a door before a server, and whatever is wanted of it is decided.
//!
//! | file | what it does |
//! |---|---|
//! | `door` | who comes in |
//! | `post`, `streams`, `events` | a message in; answers out, as JSON or events |
//! | `sessions` | what clients have opened |
//! | `stateless` | requests that need no session |
//! | `upstream`, `place` | the server behind, and where it is |
//! | `asked` | one that we ask ourselves |
//! | `beside` | one for a client over stdio |
//! | `secret` | what nobody guesses |
//!
//! **Invariant**: it only carries. What a message says is heard by a session, as over stdio, and decided by the gate.

mod asked;
mod beside;
mod door;
mod events;
#[cfg(test)]
mod fuzz;
mod place;
mod post;
mod secret;
mod sessions;
mod stateless;
mod streams;
mod upstream;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use checkrein_http::InvalidCa;
use checkrein_shared::SharedClock;
use checkrein_shared::identity::SpiffeId;
use thiserror::Error;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tracing::error;

use super::forms::{Forms, Links};
use super::grant::GrantSource;
use super::held::HeldCalls;
use super::listing::{DEFINED_MAX, Definitions};
use super::methods::Era;
use super::name::ServerName;
use super::session::{Brought, Terms};
use super::tag;
use super::wire::{Line, Message};
use crate::config::Config;
use crate::enforcer::Enforcer;
use crate::gate::Gate;
use crate::surface::bearer::Bearers;
use crate::surface::{Speaks, SurfaceError, Surfaces};
pub(super) use asked::{Asked, Heard};
pub(super) use beside::{Beside, Reached};
use door::{Door, Known};
use place::Place;
use sessions::{Open, Sessions};
use stateless::{Callers, Said};
use upstream::{REVISION, SESSION};

/// Revisions in which a session is begun by a handshake.
const HANDSHAKES: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// MCP servers over HTTP, and how what is wanted of them is decided.
#[derive(Debug, Clone)]
pub struct Proxied {
    /// One, or several that clients see as one.
    pub servers: Vec<Remote>,
    /// Where clients come in.
    pub listen: SocketAddr,
    /// What calls are presented with that bring no grant of their own.
    pub grant: GrantSource,
    /// How long a call waits for people before its client is told that it waits.
    pub patience: Duration,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Remote {
    /// What the catalog calls the server.
    pub name: ServerName,
    /// Where it is.
    pub url: String,
    /// The CA of its certificate, PEM; absent: those of this machine.
    pub ca: Option<PathBuf>,
    /// What we show it ourselves, a header a line.
    pub headers: Option<PathBuf>,
}

/// A door that is open.
#[derive(Debug)]
pub struct McpDoor {
    /// The issuer's keys are followed for as long as the door is open.
    _issuer: DropGuard,
    surfaces: Surfaces,
    front: Arc<Front>,
    /// Where clients find it.
    pub url: String,
}

/// A door that can't be opened.
#[derive(Debug, Error)]
pub enum DoorError {
    /// Not where a server is.
    #[error("`{0}` is no http or https URL of a server, without user and fragment")]
    Upstream(String),
    /// A certificate can't be verified.
    #[error("the CA to verify the server, or the issuer of tokens, by can't be used")]
    Ca(#[from] InvalidCa),
    /// What to show it can't be read.
    #[error("`{}` holds no headers: expected a line `Name: value` for each", .0.display())]
    Headers(PathBuf),
    /// Nobody is named.
    #[error(
        "nobody says which agent comes in on this machine: name it under `[in_process]`; `checkrein fleet add NAME --in-process AGENT` writes such a config"
    )]
    Nobody,
    /// The secret of the address can't be kept.
    #[error("can't keep the secret of the address in `{}`", path.display())]
    Secret {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The key that signs what clients bring back can't be kept.
    #[error("can't keep the key that signs what clients bring back of links, in the enforcer's directory")]
    Links(#[source] io::Error),
    /// It can't be listened on.
    #[error(transparent)]
    Surface(#[from] SurfaceError),
}

/// What every request needs.
#[derive(Debug)]
struct Front {
    door: Door,
    gate: Gate,
    servers: Vec<(ServerName, Place)>,
    grant: GrantSource,
    patience: Duration,
    sessions: Sessions,
    callers: Callers,
    forms: Forms,
    clock: SharedClock,
}

impl Proxied {
    /// Opens the door.
    pub async fn open(self, enforcer: &Enforcer, config: &Config) -> Result<McpDoor, DoorError> {
        let place = |one: Remote| {
            let place = Place::new(&one.url, one.ca.as_deref(), one.headers.as_deref());
            place.map(|place| (one.name, place))
        };
        let servers = self.servers.into_iter().map(place).collect::<Result<_, _>>()?;
        let is_local = self.listen.ip().is_loopback();
        let stop = CancellationToken::new();
        let (clock, speaks) = (Arc::clone(&enforcer.parts.clock), Speaks::HttpToStrangers);
        let (door, speaks) = if let Some(oauth) = &config.oauth {
            let bearers = Bearers::start(oauth.clone(), clock, &stop)?;
            let path = bearers.path().into();
            (Door::Bearer { path, bearers }, speaks)
        } else if is_local {
            let agent = config.in_process.as_ref().ok_or(DoorError::Nobody)?.agent.clone();
            let kept = secret::kept(&config.directory).map_err(|source| DoorError::Secret {
                path: config.directory.join(secret::FILE),
                source,
            });
            let path = format!("/{}/mcp", kept?).into();
            (Door::Secret { path, agent }, speaks)
        } else {
            (Door::Certificate { path: "/mcp".into() }, Speaks::Http)
        };
        let path = door.path().to_owned();
        let clock = Arc::clone(&enforcer.parts.clock);
        let links = config.console_url.as_deref().map(|console| {
            let links = Links::open(console, &config.directory, Arc::clone(&clock));
            links.map(Arc::new).map_err(DoorError::Links)
        });
        let forms = Forms {
            tasks: None,
            links: links.transpose()?,
        };
        let front = Arc::new(Front {
            door,
            gate: enforcer.gate(),
            servers,
            grant: self.grant,
            patience: self.patience,
            sessions: Sessions::default(),
            callers: Callers::default(),
            forms,
            clock,
        });
        let mut routes = Routes::default();
        *routes.axum_router_mut() = Router::new().fallback(asked).with_state(Arc::clone(&front));
        let mut surfaces = Surfaces::none();
        let identity = (!is_local).then(|| (enforcer.identity().clone(), speaks));
        let address = surfaces.serve_http(self.listen, routes, identity).await?;
        let scheme = if is_local { "http" } else { "https" };
        Ok(McpDoor {
            _issuer: stop.drop_guard(),
            surfaces,
            front,
            url: format!("{scheme}://{address}{path}"),
        })
    }
}

impl McpDoor {
    /// Serves until it is told to stop; then calls under way may finish, within a bound.
    pub async fn serve(self, stop: CancellationToken) {
        stop.cancelled().await;
        self.front.sessions.end_all();
        self.surfaces.close().await;
    }
}

/// Whatever is asked for.
async fn asked(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let known = match front.door.known(&head).await {
        Ok(known) => known,
        Err(refusal) => return *refusal,
    };
    let session = post::text(&head.headers, &SESSION);
    if head.method != Method::POST && post::text(&head.headers, &REVISION) == super::stateless::REVISION {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")]).into_response();
    }
    match head.method {
        Method::POST => match post::message(&head.headers, body).await {
            Ok(line) => front.hear(known, &head.headers, line).await,
            Err(refusal) => refusal,
        },
        Method::GET => match front.sessions.of(session, &known.caller.agent) {
            Some(open) => post::stand(open),
            None => unknown_session(session),
        },
        Method::DELETE if front.sessions.end(session, &known.caller.agent) => StatusCode::OK.into_response(),
        Method::DELETE => unknown_session(session),
        _ => (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, POST, DELETE")]).into_response(),
    }
}

/// Whoever has none begins one; whoever names one that is not theirs has none.
fn unknown_session(id: &str) -> Response {
    if id.is_empty() {
        let words = "name your session in `Mcp-Session-Id`; `initialize` begins one";
        return (StatusCode::BAD_REQUEST, words).into_response();
    }
    (StatusCode::NOT_FOUND, "there is no such session; begin another").into_response()
}

impl Front {
    async fn hear(&self, known: Known, headers: &HeaderMap, line: String) -> Response {
        let message = match Message::parse(&line) {
            Ok(message) => message,
            Err(error) => return post::no_message(&error),
        };
        match stateless::said(headers, &message) {
            Some(Ok(said)) => return self.answer(known, said, line).await,
            Some(Err(refusal)) => return *refusal,
            None => {}
        }
        let revision = post::text(headers, &REVISION);
        if !revision.is_empty() && !HANDSHAKES.contains(&revision) {
            let words = format!("`MCP-Protocol-Version` is none of {}", HANDSHAKES.join(", "));
            return (StatusCode::BAD_REQUEST, words).into_response();
        }
        if let Message::Request { id, method, .. } = &message
            && method == "initialize"
        {
            let id = id.clone();
            return self.begin(known, id, line).await;
        }
        let session = post::text(headers, &SESSION);
        let Some(open) = self.sessions.of(session, &known.caller.agent) else {
            return unknown_session(session);
        };
        if let Message::Request { id, .. } = &message {
            let id = id.clone();
            return post::ask(open, id, line, known.grant, None).await;
        }
        let cancelled = post::cancelled(&message);
        open.said(Line::Text(line), Brought::default()).await;
        if let Some(id) = cancelled {
            open.streams.close(&id);
        }
        StatusCode::ACCEPTED.into_response()
    }

    /// Answers a request that needs no session.
    async fn answer(&self, known: Known, said: Said, line: String) -> Response {
        let agent = known.caller.agent.clone();
        let known_as = (self.servers.len(), &self.clock);
        let Some((shared, room)) = self.callers.enter(&agent, known_as) else {
            return stateless::full(&said.id);
        };
        let servers = self
            .servers
            .iter()
            .zip(&shared.servers)
            .map(|((name, place), own)| {
                let terms = Terms {
                    era: Some(Era::Stateless),
                    definitions: Arc::clone(&own.definitions),
                    held: Arc::clone(&own.held),
                    forms: Forms {
                        tasks: Some(Arc::clone(&own.tasks)),
                        ..self.forms.clone()
                    },
                    ..self.terms(&known, name)
                };
                (terms, place.clone())
            });
        let open = Open::new(agent, servers.collect(), &said.told, true);
        post::ask(open, said.id, line, known.grant, Some(room)).await
    }

    /// Begins a session.
    async fn begin(&self, known: Known, id: super::wire::Id, line: String) -> Response {
        let agent = known.caller.agent.clone();
        let servers = self
            .servers
            .iter()
            .map(|(name, place)| (self.terms(&known, name), place.clone()));
        let open = Open::new(agent, servers.collect(), &HeaderMap::new(), false);
        let begun = Arc::clone(&open);
        if let Err(open) = self.sessions.add(open) {
            open.end();
            return post::full(&id);
        }
        let agent: SpiffeId = known.caller.agent;
        let mut response = post::ask(Arc::clone(&begun), id, line, known.grant, None).await;
        match HeaderValue::from_str(&begun.id) {
            Ok(session) => drop(response.headers_mut().insert(SESSION, session)),
            Err(error) => {
                error!(%error, "a session can't be named");
                self.sessions.end(&begun.id, &agent);
            }
        }
        response
    }

    fn terms(&self, known: &Known, name: &ServerName) -> Terms {
        Terms {
            gate: self.gate.for_caller(known.caller.clone()),
            name: name.clone(),
            era: Some(Era::Handshake),
            grant: self.grant.clone(),
            patience: self.patience,
            definitions: Arc::new(Definitions::known_for(DEFINED_MAX)),
            held: Arc::new(HeldCalls::new(&tag())),
            forms: self.forms.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
