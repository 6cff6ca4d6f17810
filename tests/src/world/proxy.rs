//! A wire that can be cut: a TCP relay between an enforcer and a replica.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Relays to one address until it is cut, and again when it is healed.
#[derive(Debug)]
pub struct Cut {
    /// Where to connect instead.
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Cut {
    /// A whole wire to `target`.
    pub async fn before(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (whole, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = state.clone();
                tokio::spawn(async move {
                    if !*state.borrow_and_update() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(target).await else {
                        return;
                    };
                    tokio::select! {
                        _ended = copy_bidirectional(&mut near, &mut far) => {}
                        _cut = state.wait_for(|whole| !whole) => {}
                    }
                });
            }
        });
        Ok(Self { address, whole })
    }

    /// Ends every connection, and lets none through.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets connections through again.
    pub fn heal(&self) {
        self.whole.send_replace(true);
    }
}
