//! An agent with a certificate, which speaks HTTP to a gateway.

use std::path::Path;
use std::sync::Arc;

use checkrein_shared::identity::Role;
use checkrein_tests::World;
use pem::Pem;
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::envoy::Envoy;

/// Who it is, where the gateway is, and its grant.
#[derive(Clone)]
pub(super) struct Agent {
    tls: Arc<ClientConfig>,
    port: u16,
    grant: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Agent {
    /// Before Envoy, with a certificate of this name.
    pub(super) fn certified(world: &World, name: &str, envoy: &Envoy, grant: &str) -> Self {
        let client = world.client_config(Role::Agent, name).unwrap();
        Self::new(client.parent().unwrap(), envoy.port, grant)
    }

    /// Before Envoy, without one.
    pub(super) fn uncertified(envoy: &Envoy, grant: &str) -> Self {
        let tls = believing(&envoy.certificate).with_no_client_auth();
        Self {
            tls: Arc::new(tls),
            port: envoy.port,
            grant: Some(grant.to_owned()),
        }
    }

    /// From certificate, key and CA in a directory.
    pub(super) fn new(directory: &Path, port: u16, grant: &str) -> Self {
        let certificates = certificates(&directory.join("certificate.pem"));
        let key = blocks(&directory.join("key.pem")).remove(0);
        let tls = believing(directory)
            .with_client_auth_cert(certificates, PrivateKeyDer::try_from(key).unwrap())
            .unwrap();
        Self {
            tls: Arc::new(tls),
            port,
            grant: Some(grant.to_owned()),
        }
    }

    pub(super) fn with_grant(&self, grant: &str) -> Self {
        Self {
            grant: Some(grant.to_owned()),
            ..self.clone()
        }
    }

    pub(super) fn without_grant(&self) -> Self {
        Self {
            grant: None,
            ..self.clone()
        }
    }

    /// One request on a connection of its own.
    pub(super) async fn sends(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let mut stream = connector.connect(name, stream).await.unwrap();
        let length = body.len().to_string();
        let grant = self.grant.as_deref().map(|grant| ("checkrein-grant", grant));
        let about = [("content-type", "application/json"), ("content-length", &length)];
        let about = if body.is_empty() { &[][..] } else { &about };
        let mut lines = vec![format!("{method} {path} HTTP/1.1")];
        let fixed = [("host", "localhost"), ("connection", "close")];
        let all = fixed.iter().chain(&grant).chain(headers).chain(about);
        lines.extend(all.map(|(name, value)| format!("{name}: {value}")));
        let head = format!("{}\r\n", lines.join("\r\n"));
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        // A gateway that refuses a body does not read all of it.
        let _refused = stream.write_all(body.as_bytes()).await;
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut part).await {
            answer.extend_from_slice(&part[..read]);
        }
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{answer}"));
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}

impl Answer {
    /// The value of a header; empty, if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What stands in a file of PEM.
fn blocks(file: &Path) -> Vec<Vec<u8>> {
    let blocks = pem::parse_many(std::fs::read(file).unwrap()).unwrap();
    blocks.into_iter().map(Pem::into_contents).collect()
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    blocks(file).into_iter().map(CertificateDer::from).collect()
}

/// A client that believes the CA in this directory.
fn believing(directory: &Path) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&directory.join("ca.pem")));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}
