//! What those who connect are shown.

use checkrein_shared::clock::{Clock, ManualClock, SystemClock};
use checkrein_shared::identity::{ControlPlaneVerifier, Role};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt;

use super::*;
use crate::server::svid::tests::Spire;

/// Longer than two thirds of a certificate's life, and shorter than all of it.
const TWO_MONTHS_MS: u64 = 61 * 24 * 60 * 60 * 1_000;

fn client(authority: &Authority) -> TlsConnector {
    let identity = authority.issue(&SystemClock, Role::Operator, "olga").unwrap();
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&authority.ca_certificate).unwrap() {
        roots.add(certificate).unwrap();
    }
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&identity.certificate).unwrap(), key)
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn a_replica_that_outlives_its_certificate_has_a_new_one_by_then() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(SystemClock.wall_ms() - TWO_MONTHS_MS);
    let authority = Arc::new(Authority::open(directory.path(), "acme.example", &clock).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hosts = vec!["localhost".to_owned()];
    let shared: SharedClock = Arc::new(clock.clone());
    let renewing = Renewing::new(
        Arc::clone(&authority),
        shared,
        "replica".to_owned(),
        hosts,
        None,
        None,
    )
    .unwrap();
    let mut connections = accept(listener, renewing);
    let client = client(&authority);
    let mut shown = async || {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = client.connect(name, stream).await.unwrap();
        let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        drop(connections.next().await.unwrap().unwrap());
        // Until the server's end has gone: it was a whole handshake.
        let _closed = stream.read(&mut [0]).await;
        leaf
    };
    let first = shown().await;
    assert_eq!(shown().await, first, "one certificate for many connections");
    clock.advance_ms(TWO_MONTHS_MS);
    let second = shown().await;
    assert_ne!(second, first);
    assert_eq!(shown().await, second);
}

#[test]
fn a_file_of_authorities_that_is_missing_empty_or_none_stops_a_start_and_changes_nothing_later() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::open(directory.path(), "acme.example", &SystemClock).unwrap());
    let file = directory.path().join("bundle.pem");
    let start = || {
        let (authority, clock) = (Arc::clone(&authority), Arc::new(SystemClock));
        Renewing::new(
            authority,
            clock,
            "replica".to_owned(),
            Vec::new(),
            Some(file.clone()),
            None,
        )
    };
    assert!(matches!(start(), Err(RunError::ClientCa { source: Some(_), .. })));
    for text in ["", "-----BEGIN CERTIFICATE-----\n", "spiffe://acme.example"] {
        std::fs::write(&file, text).unwrap();
        assert!(matches!(start(), Err(RunError::ClientCa { .. })), "{text}");
    }
    std::fs::write(&file, &authority.ca_certificate).unwrap();
    let others = &mut start().unwrap().others;
    std::fs::write(&file, "").unwrap();
    assert_eq!(others.look(u64::MAX - LOOK_MS), None);
    assert_eq!(others.pem, authority.ca_certificate);
}

/// Somebody who believes control planes of these authorities, and says so.
fn believing(pem: &str) -> TlsConnector {
    let verifier = ControlPlaneVerifier::new(pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn who_believes_the_trust_domain_alone_is_shown_the_svid_of_now_and_everybody_else_our_own() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::open(directory.path(), "acme.example", &SystemClock).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (given, svids) = tokio::sync::watch::channel(None);
    let renewing = Renewing::new(
        Arc::clone(&authority),
        Arc::new(SystemClock),
        "replica".to_owned(),
        vec!["localhost".to_owned()],
        None,
        Some(svids),
    );
    let mut connections = accept(listener, renewing.unwrap());
    let connect = async |client: &TlsConnector| {
        let stream = TcpStream::connect(address).await.unwrap();
        client
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
    };
    let leaf = |stream: &tokio_rustls::client::TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let (spire, own) = (Spire::new(), &authority.ca_certificate);
    let both = format!("{own}{}", spire.pem());

    // Nothing was given: there is our own, which the trust domain did not certify.
    connect(&believing(&spire.pem())).await.unwrap_err();
    let ours = leaf(&connect(&believing(own)).await.unwrap());
    let first = spire.served();
    let first_leaf = first.key.cert[0].to_vec();
    given.send_replace(Some(Arc::new(first)));
    let mut before = connect(&believing(&spire.pem())).await.unwrap();
    assert_eq!(leaf(&before), first_leaf);
    for client in [believing(own), believing(&both), client(&authority)] {
        assert_eq!(leaf(&connect(&client).await.unwrap()), ours);
    }
    // Rotated: whoever comes is shown the next, and the connection that there is goes on.
    let second = spire.served();
    let second_leaf = second.key.cert[0].to_vec();
    given.send_replace(Some(Arc::new(second)));
    let after = connect(&believing(&spire.pem())).await.unwrap();
    assert_eq!(leaf(&after), second_leaf);
    // The one who could believe nothing was given up; the next is whoever was first shown the SVID, after one of our own.
    drop(connections.next().await.unwrap().unwrap());
    let mut served = connections.next().await.unwrap().unwrap();
    served.write_all(b"on").await.unwrap();
    served.flush().await.unwrap();
    let mut heard = [0; 2];
    before.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"on");
}
