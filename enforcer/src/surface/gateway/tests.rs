//! Nobody speaks for agents but who is named for it.

use checkrein_proto::decision::v1::AuthorizeRequest;
use checkrein_proto::decision::v1::gate_service_client::GateServiceClient;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tonic::Code;
use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::config::Gateway;
use crate::fixture::{AGENT, Bench, Ca};
use crate::surface::tests::empty;
use crate::surface::{Listening, Surfaces};

const EDGE: &str = "spiffe://acme.example/enforcer/edge";
const INGRESS: &str = "spiffe://acme.example/gateway/ingress";

async fn socket(bench: &Bench, uid: Option<u32>) -> (TempDir, Surfaces, UnixStream) {
    let place = tempfile::tempdir().unwrap();
    let gateway = Gateway {
        path: Some(place.path().join("gateway.sock")),
        uid,
        ..Gateway::default()
    };
    let authority = Ca::new();
    let identity = authority.source(&place, EDGE);
    let mut surfaces = empty();
    surfaces
        .serve_gateway(bench.gate.clone(), identity, &gateway)
        .await
        .unwrap();
    let stream = UnixStream::connect(gateway.path.unwrap()).await.unwrap();
    (place, surfaces, stream)
}

/// The first line of the answer to a request in HTTP/1.1 for nothing that there is.
async fn greeted(mut stream: UnixStream) -> String {
    stream
        .write_all(b"GET /nothing HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn on_a_socket_the_gateways_user_is_heard_and_nobody_else() {
    let bench = Bench::new();
    let (_place, _surfaces, stream) = socket(&bench, None).await;
    assert_eq!(greeted(stream).await, "HTTP/1.1 404 Not Found");
    let another = rustix::process::getuid().as_raw() + 1;
    let (_place, _surfaces, stream) = socket(&bench, Some(another)).await;
    assert_eq!(greeted(stream).await, "HTTP/1.1 403 Forbidden");
}

#[tokio::test]
async fn on_a_port_the_named_are_heard_and_nobody_else_though_the_ca_vouches_for_them() {
    let bench = Bench::new();
    let authority = Ca::new();
    let place = tempfile::tempdir().unwrap();
    let identity = authority.source(&place, EDGE);
    let gateway = Gateway {
        address: Some("127.0.0.1:0".parse().unwrap()),
        callers: vec![INGRESS.parse().unwrap()],
        ..Gateway::default()
    };
    let mut surfaces = empty();
    surfaces
        .serve_gateway(bench.gate.clone(), identity, &gateway)
        .await
        .unwrap();
    let Listening::Tcp(address) = surfaces.listening()[0].clone() else {
        panic!("no port")
    };
    let asked = async |id: &str| {
        let tls = ClientTlsConfig::new()
            .ca_certificate(authority.pem())
            .domain_name("localhost")
            .identity(authority.issue(id));
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
        let answer = GateServiceClient::new(channel)
            .authorize(AuthorizeRequest::default())
            .await;
        answer.unwrap_err().code()
    };
    // The gate itself is for agents, who come in elsewhere.
    assert_eq!(asked(INGRESS).await, Code::Unimplemented);
    for stranger in [
        AGENT,
        EDGE,
        "spiffe://acme.example/gateway/other",
        "spiffe://other.example/gateway/ingress",
    ] {
        assert_eq!(asked(stranger).await, Code::PermissionDenied, "{stranger}");
    }
}
