//! The control plane is whoever the CA certified as one, and nobody else it certified.

use std::error::Error;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::{Channel, Server, ServerTlsConfig};

use super::*;
use crate::config::Config;
use crate::control_plane::{Endpoints, InvalidReplica};
use crate::fixture::Ca;
use crate::identity::Source;

const EDGE: &str = "spiffe://acme.example/enforcer/edge";

/// What an enforcer gets that connects to somebody serving under this name, with that one's CA.
async fn connect(served_by: Identity, ca: &Ca) -> Result<Channel, InvalidReplica> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let router = Server::builder()
        .tls_config(
            ServerTlsConfig::new()
                .identity(served_by)
                .client_ca_root(ca.pem()),
        )
        .unwrap()
        .add_routes(Routes::default());
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    let place = tempfile::tempdir().unwrap();
    let config = ca.config(&place, EDGE, &url);
    let of_files = Source::read(config.files()).unwrap();
    let of_files = connect_as(of_files, &config).await;
    // An identity that a SPIFFE agent gives believes the same.
    let given = connect_as(ca.given(EDGE), &config).await;
    assert_eq!(of_files.is_ok(), given.is_ok(), "{of_files:?} {given:?}");
    given
}

async fn connect_as(identity: Source, config: &Config) -> Result<Channel, InvalidReplica> {
    let endpoints = Endpoints::new(config, identity).unwrap();
    endpoints.connect(&*endpoints.identity().await).await
}

#[tokio::test]
async fn an_enforcer_of_the_same_ca_that_serves_a_control_plane_is_refused() {
    let ca = Ca::new();
    let replica = ca.issue("spiffe://acme.example/control-plane/replica-1");
    connect(replica, &ca).await.unwrap();
    for role in ["enforcer/other", "agent/billing", "operator/olga"] {
        let impostor = ca.issue(&format!("spiffe://acme.example/{role}"));
        let refused = connect(impostor, &ca).await.unwrap_err();
        let causes = std::iter::successors(refused.source(), |error| (**error).source());
        let told: Vec<String> = causes.map(ToString::to_string).collect();
        assert!(
            told.iter()
                .any(|cause| cause.contains(role) && cause.contains("no control plane")),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn a_control_plane_that_another_ca_certified_is_refused() {
    let other = Ca::new().issue("spiffe://acme.example/control-plane/replica-1");
    connect(other, &Ca::new()).await.unwrap_err();
}
