//! What goes to a server, written down on its way.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Stands before a server, and changes nothing.
pub(super) struct Tap {
    pub(super) port: u16,
    got: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    pub(super) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, server, Arc::clone(&hears)));
            }
        });
        Self { port, got }
    }

    /// All of it.
    pub(super) fn got(&self) -> String {
        String::from_utf8(self.got.lock().unwrap().clone()).unwrap()
    }

    /// How many calls of a tool there are in it.
    pub(super) fn calls(&self, tool: &str) -> usize {
        self.got().matches(&format!("\"name\":\"{tool}\"")).count()
    }
}

async fn carry(client: TcpStream, server: u16, got: Arc<Mutex<Vec<u8>>>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    let (mut hears, mut says) = client.into_split();
    let (mut answers, mut asks) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut answers, &mut says).await });
    let mut part = [0; 4096];
    while let Ok(read @ 1..) = hears.read(&mut part).await {
        // Before it goes on: what the server did is in here.
        got.lock().unwrap().extend_from_slice(&part[..read]);
        if asks.write_all(&part[..read]).await.is_err() {
            return;
        }
    }
}
