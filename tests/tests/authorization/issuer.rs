//! A stand-in for an OIDC issuer and for the authority of a SPIFFE trust domain: it signs what a test asks for, answers the
//! two documents by plain HTTP on the loopback, and gives for any code what a test put there. It signs nobody in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::signer::{Signer, now_s};

/// A running stand-in.
pub(crate) struct Issuer {
    pub(crate) url: String,
    pub(crate) signer: Signer,
    /// Whether it also lists its second key, as after a rotation.
    pub(crate) rotated: Arc<AtomicBool>,
    pub(crate) second: Signer,
    desk: Arc<Desk>,
}

/// Where codes are given for tokens.
#[derive(Default)]
struct Desk {
    answer: Mutex<(u16, String)>,
    asked: Mutex<Option<String>>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (signer, second) = (Signer::new("first"), Signer::new("second"));
        let rotated = Arc::new(AtomicBool::new(false));
        let discovery = json!({
            "issuer": url, "jwks_uri": format!("{url}/keys"), "authorization_endpoint": format!("{url}/auth?realm=acme"),
            "token_endpoint": format!("{url}/token"), "token_endpoint_auth_methods_supported": ["client_secret_post"],
        })
        .to_string();
        let desk = Arc::new(Desk::default());
        let at_desk = Arc::clone(&desk);
        let before = json!({"keys": [signer.public("sig")]}).to_string();
        let after = json!({"keys": [second.public("sig")]}).to_string();
        let has_rotated = Arc::clone(&rotated);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keys = if has_rotated.load(Ordering::SeqCst) {
                    &after
                } else {
                    &before
                };
                answer(stream, &discovery, keys, &at_desk).await;
            }
        });
        Self {
            url,
            signer,
            rotated,
            second,
            desk,
        }
    }

    /// What is answered from now on to whoever brings a code.
    pub(crate) fn gives(&self, status: u16, body: &Value) {
        *self.desk.answer.lock().unwrap() = (status, body.to_string());
    }

    /// The last request of whoever brought one; none: nobody did.
    pub(crate) fn asked(&self) -> Option<String> {
        self.desk.asked.lock().unwrap().clone()
    }

    /// Claims of a person that are good for a few minutes.
    pub(crate) fn claims(&self, name: &str, groups: &[&str]) -> Value {
        json!({
            "iss": self.url, "aud": ["checkrein", "other"], "sub": "0815", "preferred_username": name, "groups": groups,
            "iat": now_s(), "exp": now_s() + 300,
        })
    }
}

async fn answer(mut stream: TcpStream, discovery: &str, keys: &str, desk: &Desk) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let (status, document) = if request.starts_with("POST /token ") {
        *desk.asked.lock().unwrap() = Some(request);
        desk.answer.lock().unwrap().clone()
    } else if request.starts_with("GET /keys ") {
        (200, keys.to_owned())
    } else {
        (200, discovery.to_owned())
    };
    let length = document.len();
    let answer =
        format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{document}");
    let _gone = stream.write_all(answer.as_bytes()).await;
}

/// A whole request, with its body.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let (mut request, mut buffer) = (String::new(), [0; 1_024]);
    loop {
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(request);
            }
        }
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.push_str(std::str::from_utf8(&buffer[..read]).unwrap()),
            _ => return None,
        }
    }
}
