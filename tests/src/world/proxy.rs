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
    state: watch::Sender<Wire>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Whole,
    Mute,
    Cut,
}

impl Cut {
    /// A whole wire to `target`.
    pub async fn before(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, state) = watch::channel(Wire::Whole);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = state.clone();
                tokio::spawn(async move {
                    if *state.borrow_and_update() != Wire::Whole {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(target).await else {
                        return;
                    };
                    tokio::select! {
                        _ended = copy_bidirectional(&mut near, &mut far) => return,
                        _broken = state.wait_for(|wire| *wire != Wire::Whole) => {}
                    }
                    // Until it is cut, each end only finds the other slow.
                    let _cut = state.wait_for(|wire| *wire == Wire::Cut).await;
                });
            }
        });
        Ok(Self {
            address,
            state: sender,
        })
    }

    /// Carries nothing more in either direction and ends no connection: what was sent is worked on, and nobody hears of it.
    /// Only a cut ends this.
    pub fn mute(&self) {
        self.state.send_replace(Wire::Mute);
    }

    /// Ends every connection, and lets none through.
    pub fn cut(&self) {
        self.state.send_replace(Wire::Cut);
    }

    /// Lets connections through again.
    pub fn heal(&self) {
        self.state.send_replace(Wire::Whole);
    }
}
