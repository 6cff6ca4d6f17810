//! Handshakes on a port, each with the identity that is in use when it begins.
//!
//! **Invariant**: no handshake keeps another waiting, each has a deadline, and a connection without a certificate of the CA is
//! not spoken to.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tracing::{debug, warn};

use super::incoming::Counted;
use crate::identity::Source;
use crate::tls::Tls;

/// Longest handshake of a caller; until it is done nobody knows who takes the place.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// Connections that wait to be served.
const CONNECTIONS_WAITING_MAX: usize = 16;
/// A machine out of descriptors gets a moment before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is spoken once the handshake is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Grpc,
    /// gRPC, and HTTP of either version.
    Http,
    /// The same, with callers who show no certificate: something else must say who they are.
    HttpToStrangers,
}

type Encrypted = TlsStream<Counted<TcpStream>>;

/// Shakes hands with whoever comes in, for as long as somebody serves them. There are as many handshakes as places.
pub(super) fn encrypted(
    incoming: impl Stream<Item = io::Result<Counted<TcpStream>>> + Send + 'static,
    identity: Source,
    speaks: Speaks,
) -> ReceiverStream<io::Result<Encrypted>> {
    let (sender, receiver) = mpsc::channel(CONNECTIONS_WAITING_MAX);
    tokio::spawn(async move {
        let mut incoming = Box::pin(incoming);
        loop {
            let came = tokio::select! {
                () = sender.closed() => return,
                came = incoming.next() => came,
            };
            match came {
                Some(Ok(stream)) => {
                    let acceptor = TlsAcceptor::from(speaks.config(&identity.current()));
                    tokio::spawn(greet(stream, acceptor, sender.clone()));
                }
                Some(Err(error)) => {
                    warn!(error = &error as &dyn std::error::Error, "can't accept");
                    sleep(ACCEPT_PAUSE).await;
                }
                None => return,
            }
        }
    });
    ReceiverStream::new(receiver)
}

impl Speaks {
    fn config(self, identity: &Tls) -> Arc<ServerConfig> {
        let both = |server: &ServerConfig| {
            let mut both = server.clone();
            both.alpn_protocols.push(b"http/1.1".to_vec());
            Arc::new(both)
        };
        match self {
            Self::Grpc => identity.server(),
            Self::Http => both(&identity.server()),
            Self::HttpToStrangers => both(&identity.server_of_strangers()),
        }
    }
}

async fn greet(
    stream: Counted<TcpStream>,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<io::Result<Encrypted>>,
) {
    match timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
        // A surface that has closed serves nobody.
        Ok(Ok(stream)) => drop(sender.send(Ok(stream)).await),
        Ok(Err(error)) => debug!(%error, "handshake failed"),
        Err(_) => debug!("handshake took too long"),
    }
}
