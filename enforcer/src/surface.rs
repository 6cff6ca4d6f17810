//! Where agents come in: a socket per agent, TCP with their certificates, or a gateway that carries their calls.
//!
//! **Invariant**: every listener knows who calls before a call reaches the gate: the socket's agent or gateway, checked by the
//! peer's user id, or the certificate's SPIFFE ID. There is no listener without one of the two.

mod again;
mod bearer;
mod body;
mod caller;
mod encrypted;
mod gateway;
mod grpc;
mod incoming;
pub(crate) mod mcp;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use checkrein_proto::decision::v1::gate_service_server::GateServiceServer;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tracing::{error, info, warn};

use crate::config::{self, Config, Tcp, UnixSocket};
use crate::enforcer::Enforcer;
use crate::gate::Gate;
use crate::identity::Source;
pub(crate) use encrypted::Speaks;
use encrypted::encrypted;
use gateway::Known;
use grpc::{GateSurface, Peer};
use incoming::{Counted, bounded};

/// Calls under way on one connection; more wait.
const CALLS_PER_CONNECTION_MAX: usize = 256;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A socket for processes of our own user: the file system keeps the others out.
const OWNER_ONLY: u32 = 0o600;
/// A socket for another user's processes, whom the file system can't name: the kernel says who connected, and that decides.
const ANYBODY: u32 = 0o666;
/// How long a stop waits for calls under way.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The listeners of an enforcer, open.
#[derive(Debug)]
pub struct Surfaces {
    stop: CancellationToken,
    servers: JoinSet<()>,
    listening: Vec<Listening>,
}

/// Where one listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    /// A socket, for one agent.
    Unix(PathBuf),
    /// A port, for agents with certificates.
    Tcp(SocketAddr),
}

/// A listener that can't be opened.
#[derive(Debug, Error)]
pub enum SurfaceError {
    /// Somebody answers there.
    #[error("`{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    /// There is a file that is no socket; it is not ours to delete.
    #[error("`{}` exists and is no socket; choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The socket can't be made.
    #[error("can't listen on `{}`", path.display())]
    Unix {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The port can't be had.
    #[error("can't listen on {address}")]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

impl Surfaces {
    /// None yet.
    pub(crate) fn none() -> Self {
        Self {
            stop: CancellationToken::new(),
            servers: JoinSet::new(),
            listening: Vec::new(),
        }
    }

    /// Opens every listener a configuration names.
    pub async fn open(enforcer: &Enforcer, config: &Config) -> Result<Self, SurfaceError> {
        let mut surfaces = Self::none();
        for socket in &config.unix {
            surfaces.serve_unix(enforcer.gate(), socket).await?;
        }
        if let Some(tcp) = &config.tcp {
            surfaces
                .serve_tcp(enforcer.gate(), enforcer.identity().clone(), tcp)
                .await?;
        }
        for gateway in &config.gateway {
            surfaces
                .serve_gateway(enforcer.gate(), enforcer.identity().clone(), gateway)
                .await?;
        }
        Ok(surfaces)
    }

    /// Where they listen.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// Takes no new calls and lets those under way finish, within a bound.
    pub async fn close(mut self) {
        self.stop.cancel();
        let finished = async { while self.servers.join_next().await.is_some() {} };
        if timeout(STOP_MAX, finished).await.is_err() {
            warn!("calls were still under way; their callers are disconnected");
        }
        for listening in &self.listening {
            if let Listening::Unix(path) = listening {
                drop(fs::remove_file(path));
            }
        }
    }

    async fn serve_unix(&mut self, gate: Gate, socket: &UnixSocket) -> Result<(), SurfaceError> {
        let (listener, uid) = listen_unix(&socket.path, socket.uid).await?;
        let peer = Peer::Unix {
            agent: socket.agent.clone(),
            uid,
        };
        let router = server().add_service(GateServiceServer::new(GateSurface { gate, peer }));
        let stop = self.stop.clone().cancelled_owned();
        let serving = router.serve_with_incoming_shutdown(of_user(listener, uid), stop);
        self.listening.push(Listening::Unix(socket.path.clone()));
        self.run(serving);
        Ok(())
    }

    async fn serve_tcp(&mut self, gate: Gate, identity: Source, tcp: &Tcp) -> Result<(), SurfaceError> {
        let (listener, address) = listen_tcp(tcp.address).await?;
        let surface = GateSurface {
            gate,
            peer: Peer::Certificate,
        };
        let router = server().add_service(GateServiceServer::new(surface));
        let stop = self.stop.clone().cancelled_owned();
        // Who calls is known only after the handshake.
        let incoming = bounded(at_once(listener), |_| false);
        let incoming = encrypted(incoming, identity, Speaks::Grpc);
        let serving = router.serve_with_incoming_shutdown(incoming, stop);
        self.listening.push(Listening::Tcp(address));
        self.run(serving);
        Ok(())
    }

    async fn serve_gateway(
        &mut self,
        gate: Gate,
        identity: Source,
        gateway: &config::Gateway,
    ) -> Result<(), SurfaceError> {
        let spoken = |known| {
            server()
                .accept_http1(true)
                .add_routes(gateway::routes(&gate, known, gateway))
        };
        if let Some(path) = &gateway.path {
            let (listener, uid) = listen_unix(path, gateway.uid).await?;
            let stop = self.stop.clone().cancelled_owned();
            let router = spoken(Known::User(uid));
            self.run(router.serve_with_incoming_shutdown(of_user(listener, uid), stop));
            self.listening.push(Listening::Unix(path.clone()));
        }
        if let Some(address) = gateway.address {
            let (listener, address) = listen_tcp(address).await?;
            let incoming = bounded(at_once(listener), |_| false);
            let incoming = encrypted(incoming, identity, Speaks::Http);
            let stop = self.stop.clone().cancelled_owned();
            let router = spoken(Known::Certified(gateway.callers.clone()));
            self.run(router.serve_with_incoming_shutdown(incoming, stop));
            self.listening.push(Listening::Tcp(address));
        }
        Ok(())
    }

    /// Serves HTTP on a port, over TLS if there is an identity for it; where callers show no certificate, whatever is served must know
    /// by itself who asks.
    pub(crate) async fn serve_http(
        &mut self,
        address: SocketAddr,
        routes: Routes,
        identity: Option<(Source, Speaks)>,
    ) -> Result<SocketAddr, SurfaceError> {
        let (listener, address) = listen_tcp(address).await?;
        let stop = self.stop.clone().cancelled_owned();
        let router = server().accept_http1(true).add_routes(routes);
        let incoming = bounded(at_once(listener), |_| false);
        match identity {
            Some((identity, speaks)) => {
                let incoming = encrypted(incoming, identity, speaks);
                self.run(router.serve_with_incoming_shutdown(incoming, stop));
            }
            None => self.run(router.serve_with_incoming_shutdown(incoming, stop)),
        }
        self.listening.push(Listening::Tcp(address));
        Ok(address)
    }

    fn run(&mut self, serving: impl Future<Output = Result<(), tonic::transport::Error>> + Send + 'static) {
        self.servers.spawn(async move {
            if let Err(error) = serving.await {
                error!(error = &error as &dyn std::error::Error, "a listener failed");
            }
        });
    }
}

impl std::fmt::Display for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "https://{address}"),
        }
    }
}

fn server() -> Server {
    Server::builder()
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

async fn listen_tcp(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SurfaceError> {
    let failed = |source| SurfaceError::Tcp { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Who comes in on a port. The end of an answer does not wait until whoever reads it has said that the rest arrived.
fn at_once(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> {
    TcpListenerStream::new(listener).map(|came| {
        let stream = came?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}

/// Who comes in on a socket for one user; others on places of their own, to be told so.
fn of_user(listener: UnixListener, uid: u32) -> impl Stream<Item = io::Result<Counted<UnixStream>>> {
    let is_stranger = move |peer: &UnixStream| peer.peer_cred().is_ok_and(|peer| peer.uid() != uid);
    bounded(UnixListenerStream::new(listener), is_stranger)
}

/// Opens a socket for a user, none: our own, in place of one that nobody listens on any more. Gives whose it is.
async fn listen_unix(path: &Path, uid: Option<u32>) -> Result<(UnixListener, u32), SurfaceError> {
    let own = rustix::process::getuid().as_raw();
    let uid = uid.unwrap_or(own);
    let mode = if uid == own { OWNER_ONLY } else { ANYBODY };
    let failed = |source| SurfaceError::Unix {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SurfaceError::NotASocket(path.to_owned()));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => return Err(SurfaceError::InUse(path.to_owned())),
        Ok(_) => {
            info!(path = %path.display(), "a socket that nobody listens on is replaced");
            fs::remove_file(path).map_err(failed)?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok((listener, uid))
}

#[cfg(test)]
mod tests;
