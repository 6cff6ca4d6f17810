//! What goes over the wire to a database that is, or is not, who it should be.

use std::time::Duration;

use checkrein_shared::clock::SystemClock;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::authority::Authority;
use crate::database::Database;

const WAIT_MAX: Duration = Duration::from_secs(30);
/// What a client asks with before it says anything else (`SSLRequest`): its length, then a number that is no version.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

fn authority() -> Authority {
    let directory = tempfile::tempdir().unwrap();
    Authority::open(directory.path(), "acme.example", &SystemClock).unwrap()
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let identity = authority
        .issue_server(&SystemClock, "database", &["localhost".to_owned()])
        .unwrap();
    let certificates = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Connects, believing `ca`, to a server that `certifier` certified; returns what the server reads inside TLS.
async fn said(ca: &Authority, certifier: &Authority) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = format!("postgres://alice@localhost:{port}/checkrein");
    let database = Database::new(&address, Some(ca.ca_certificate.as_bytes())).unwrap();
    tokio::spawn(async move { database.connect().await.map(drop) });
    let acceptor = acceptor(certifier);
    let served = async {
        let (mut stream, _) = listener.accept().await?;
        let mut request = [0; 8];
        stream.read_exact(&mut request).await?;
        assert_eq!(request, TLS_REQUEST);
        stream.write_all(b"S").await?;
        let mut stream = acceptor.accept(stream).await?;
        let mut said = vec![0; 64];
        let length = stream.read(&mut said).await?;
        said.truncate(length);
        Ok(said)
    };
    timeout(WAIT_MAX, served).await.unwrap()
}

#[tokio::test]
async fn a_database_of_the_named_ca_is_spoken_to_in_secret() {
    let ca = authority();
    let said = said(&ca, &ca).await.unwrap();
    assert!(String::from_utf8_lossy(&said).contains("alice"));
}

#[tokio::test]
async fn a_database_of_another_ca_hears_nothing() {
    let (ca, other) = (authority(), authority());
    let heard = said(&ca, &other).await;
    assert!(heard.as_ref().map_or(true, Vec::is_empty), "{heard:?}");
}

#[test]
fn encryption_without_a_ca_to_verify_by_is_refused() {
    let required = Database::new("postgres://db/checkrein?sslmode=require", None);
    assert!(matches!(required, Err(DatabaseError::NoCa)), "{required:?}");
    let empty = Database::new("postgres://db/checkrein", Some(b""));
    assert!(matches!(empty, Err(DatabaseError::InvalidCa)), "{empty:?}");
}
