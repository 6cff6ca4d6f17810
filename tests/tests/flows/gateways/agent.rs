//! An agent with a certificate, which speaks HTTP to a gateway.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

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
    /// From certificate, key and CA in a directory.
    pub(super) fn new(directory: &Path, port: u16, grant: &str) -> Self {
        let read = |name: &str| pem::parse_many(std::fs::read(directory.join(name)).unwrap()).unwrap();
        let certificates = |name: &str| {
            read(name)
                .into_iter()
                .map(|block| CertificateDer::from(block.into_contents()))
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("ca.pem"));
        let key = read("key.pem").remove(0).into_contents();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                certificates("certificate.pem").collect(),
                PrivateKeyDer::try_from(key).unwrap(),
            )
            .unwrap();
        Self {
            tls: Arc::new(tls),
            port,
            grant: Some(grant.to_owned()),
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
