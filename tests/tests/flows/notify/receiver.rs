//! A real receiver of webhooks: HTTP/1.1 on the loopback, plain or over TLS, that answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

use checkrein_tests::WAIT_MAX;

/// One request, as it came.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// What the next request is answered.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// A status, and a header line or none.
    Status(u16, &'static str),
    /// A redirect.
    To(String),
    /// Nothing, for ever.
    Silence,
    /// More and more, for ever.
    Endless,
}

/// A running receiver. What it is not told, it answers 204.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    /// The CA of its certificate.
    pub(super) ca: Option<PathBuf>,
    requests: mpsc::UnboundedReceiver<Received>,
    replies: Replies,
}

/// What the next requests are answered, each at once or when that is said.
type Replies = Arc<Mutex<VecDeque<(Reply, Option<oneshot::Receiver<()>>)>>>;

impl Receiver {
    /// In the clear.
    pub(super) async fn plain() -> Self {
        Self::start(None, None).await
    }

    /// Over TLS, as `localhost`; the certificate of its CA is written to the directory.
    pub(super) async fn secure(directory: &Path) -> Self {
        let (ca, config) = certified(directory);
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), Some(ca)).await
    }

    async fn start(tls: Option<TlsAcceptor>, ca: Option<PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let replies = Replies::default();
        let told = Arc::clone(&replies);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, told, tls) = (sender.clone(), Arc::clone(&told), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, sender, told).await,
                        Some(tls) => {
                            // Whoever does not trust us goes away.
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, sender, told).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            ca,
            requests,
            replies,
        }
    }

    pub(super) fn will(&self, reply: Reply) {
        self.replies.lock().unwrap().push_back((reply, None));
    }

    /// The same, but not before it is told to.
    pub(super) fn will_when_told(&self, reply: Reply) -> oneshot::Sender<()> {
        let (tell, told) = oneshot::channel();
        self.replies.lock().unwrap().push_back((reply, Some(told)));
        tell
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(WAIT_MAX, self.requests.recv()).await;
        next.unwrap().unwrap()
    }

    /// Whether there is none.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

impl Received {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// A fresh CA, and what a server that it certified as `localhost` needs.
pub(super) fn certified(directory: &Path) -> (PathBuf, ServerConfig) {
    let (ca, certificate, key) = certificate();
    let file = directory.join("receiver-ca.pem");
    std::fs::write(&file, ca).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (file, config)
}

/// The CA in PEM, and a certificate of `localhost` by it with its key.
pub(super) fn certificate() -> (String, rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    (ca.pem(), certificate, key)
}

async fn answer<S>(stream: S, sender: mpsc::UnboundedSender<Received>, replies: Replies)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    let Some(received) = read(&mut stream).await else {
        return;
    };
    let reply = replies.lock().unwrap().pop_front();
    // A test that has ended listens no more.
    let _ended = sender.send(received);
    let (reply, told) = reply.unwrap_or((Reply::Status(204, ""), None));
    if let Some(told) = told {
        let _told_or_ended = told.await;
    }
    let head = match reply {
        Reply::Status(status, header) => format!("HTTP/1.1 {status} X\r\n{header}content-length: 0\r\n\r\n"),
        Reply::To(url) => format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n"),
        Reply::Silence => return std::future::pending().await,
        Reply::Endless => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
    };
    let is_endless = head.contains("chunked");
    let _gone = stream.write_all(head.as_bytes()).await;
    while is_endless && stream.write_all(b"5\r\nagain\r\n").await.is_ok() {
        tokio::task::yield_now().await;
    }
    let _gone = stream.flush().await;
}

async fn read<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<Received> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received {
        path,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}
