//! Connections of browsers: with TLS or, on a loopback address, without.
//!
//! **Invariant**: there is a bound to how many there are, to how long one may take to say what it wants, and to how long they
//! may take to end once the replica stops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Console;

/// Connections at once; who comes after waits in the listener's own queue.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long the head of a request may take.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Requests of one connection at once.
const STREAMS_MAX: u32 = 64;
/// How long connections may take to end after we say stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// A machine out of descriptors gets a moment before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection that comes now is offered.
pub(crate) type Offer = Box<dyn FnMut() -> TlsAcceptor + Send>;

/// Serves the console on `listener` until `stop`; without TLS where there is no offer.
pub(crate) async fn serve(
    console: Console,
    listener: TcpListener,
    mut offer: Option<Offer>,
    stop: CancellationToken,
) {
    let router = console.router();
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let ending = GracefulShutdown::new();
    let next = async || {
        let permit = Arc::clone(&connections).acquire_owned().await;
        let accepted = listener.accept().await;
        permit
            .map_err(io::Error::other)
            .and_then(|permit| Ok((permit, accepted?)))
    };
    while let Some(accepted) = stop.run_until_cancelled(next()).await {
        let (permit, (stream, peer)) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the console can't accept"
                );
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let acceptor = offer.as_mut().map(|offer| offer());
        let router = router.clone().layer(axum::Extension(Peer(peer.ip())));
        let watcher = ending.watcher();
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = greet(stream, acceptor, router, watcher).await {
                debug!(%error, "a browser's connection ended");
            }
        });
    }
    if timeout(DRAIN_MAX, ending.shutdown()).await.is_err() {
        warn!("some browsers did not end in time");
    }
}

/// From where a request came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) std::net::IpAddr);

type Watcher = hyper_util::server::graceful::Watcher;

async fn greet(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    watcher: Watcher,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match acceptor {
        Some(acceptor) => {
            let shaken = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await;
            let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            talk(stream, router, watcher).await
        }
        None => talk(stream, router, watcher).await,
    }
}

async fn talk<S>(stream: S, router: Router, watcher: Watcher) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(HEAD_MAX))
        .max_concurrent_streams(STREAMS_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    watcher
        .watch(connection.into_owned())
        .await
        .map_err(io::Error::other)
}
