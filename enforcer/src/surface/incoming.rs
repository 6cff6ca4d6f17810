//! The connections of one listener, counted.
//!
//! **Invariant**: a listener has at most [`CONNECTIONS_MAX`] connections, handshakes included; one more is closed at once, so
//! that a caller who opens connections without end takes neither memory nor file descriptors from the others' decisions. Who
//! is known to be a stranger is told so on one of few places of their own, and takes none of the agent's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;
use tracing::warn;

/// Connections of one listener; one more is closed.
pub(super) const CONNECTIONS_MAX: usize = 1_024;

/// Connections of those who will be refused; one more is closed.
pub(super) const STRANGERS_MAX: usize = 16;

/// A connection, and its place among those of its listener.
#[derive(Debug)]
pub(super) struct Counted<C> {
    connection: C,
    _place: OwnedSemaphorePermit,
}

/// Lets in what comes while there is a place for it.
pub(super) fn bounded<C>(
    incoming: impl Stream<Item = io::Result<C>>,
    is_stranger: impl Fn(&C) -> bool,
) -> impl Stream<Item = io::Result<Counted<C>>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    incoming.filter_map(move |came| {
        let connection = match came {
            Ok(connection) => connection,
            Err(error) => return Some(Err(error)),
        };
        let places = if is_stranger(&connection) {
            &strangers
        } else {
            &places
        };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            warn!("too many connections; another is closed");
            return None;
        };
        Some(Ok(Counted {
            connection,
            _place: place,
        }))
    })
}

impl<C: Connected> Connected for Counted<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.connection.connect_info()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Counted<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Counted<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
