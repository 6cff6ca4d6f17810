//! TLS towards Postgres: encrypted, and the server verified against the one CA that was named.
//!
//! Our own hundred lines over the TLS that is here anyway. There is no encryption without verification: it would look like
//! safety and give anybody in between the database.
//!
//! **Invariant**: with a CA named, not a byte but the request for TLS goes out in the clear.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use super::DatabaseError;

/// Whom we believe to be the database.
#[derive(Debug, Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

/// A connection about to be encrypted.
pub(super) struct Connector {
    config: Arc<ClientConfig>,
    host: String,
}

/// An encrypted connection.
#[derive(Debug)]
pub struct Encrypted<S>(tokio_rustls::client::TlsStream<S>);

impl Tls {
    /// Believes servers that this CA certified, PEM, and sets what `config` must do so; none: connections are plain.
    pub(super) fn apply(
        ca: Option<&[u8]>,
        config: &mut tokio_postgres::Config,
    ) -> Result<Self, DatabaseError> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(pem) => {
                let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).flatten().collect();
                let (believed, _) = roots.add_parsable_certificates(certificates);
                if believed == 0 {
                    return Err(DatabaseError::InvalidCa);
                }
                config.ssl_mode(SslMode::Require);
            }
            None if config.get_ssl_mode() == SslMode::Require => return Err(DatabaseError::NoCa),
            None => {
                config.ssl_mode(SslMode::Disable);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| DatabaseError::InvalidCa)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Encrypted<S>;
    type TlsConnect = Connector;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Connector> {
        // Asked for before it is known whether there will be TLS: a unix socket has no host name.
        Ok(Connector {
            config: Arc::clone(&self.0),
            host: host.to_owned(),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connector {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Encrypted<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        async move {
            let host = ServerName::try_from(self.host).map_err(io::Error::other)?;
            let connector = TlsConnector::from(self.config);
            Ok(Encrypted(connector.connect(host, stream).await?))
        }
        .boxed()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
