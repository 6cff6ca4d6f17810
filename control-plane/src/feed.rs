//! How a replica learns what any replica has done.
//!
//! ```text
//! comes from: a transaction that raised a revision, here or elsewhere
//!   NOTIFY (a hint) or 250 ms --> Pulse reads every revision --> a Feed whose revision moved loads --> `watch`
//! goes to: every stream that is subscribed
//! ```
//!
//! **Invariant**: what is published was read from the primary; a lost notification costs at most one poll. First sync,
//! update, restart and a second replica are this one path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::SharedClock;
use futures_util::future::poll_fn;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::database::{Database, DatabaseError, FeedName, unsigned};

/// How long a replica may go without looking.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long one look may take.
const READ_MAX: Duration = Duration::from_secs(2);
/// How long one load may take: a database that vanished in the middle of it must not stop the feed for good.
const LOAD_MAX: Duration = Duration::from_secs(15);

/// Every feed's revision, as the primary had them at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulse {
    revisions: BTreeMap<&'static str, u64>,
    /// Just before the read was sent, on the boot clock; 0: never yet.
    pub read_at_boot_ms: u64,
}

impl Pulse {
    /// A feed's revision.
    pub fn revision(&self, feed: FeedName) -> u64 {
        self.revisions.get(feed.as_str()).copied().unwrap_or_default()
    }
}

/// Follows the revisions until `stop`; the receiver changes with every successful read.
pub fn follow_revisions(
    database: Database,
    clock: SharedClock,
    stop: CancellationToken,
) -> watch::Receiver<Pulse> {
    let (sender, receiver) = watch::channel(Pulse::default());
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            let followed = stop
                .run_until_cancelled(follow_on_one_connection(&database, &clock, &sender))
                .await;
            if let Some(Err(error)) = followed {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "lost the database; looking again"
                );
            }
            stop.run_until_cancelled(sleep(POLL_INTERVAL)).await;
        }
    });
    receiver
}

/// Publishes `load`'s value for every revision of any of `feeds`, latest wins. `load` gets the value before, so that a log can be
/// read from where it ended. A load that fails is tried again with the next pulse; the value before stands.
pub fn spawn_feed<T, L, F>(
    feeds: &'static [FeedName],
    first: T,
    mut pulse: watch::Receiver<Pulse>,
    stop: CancellationToken,
    load: L,
) -> watch::Receiver<Arc<T>>
where
    T: Send + Sync + 'static,
    L: Fn(Arc<T>) -> F + Send + 'static,
    F: Future<Output = Result<T, DatabaseError>> + Send,
{
    let (sender, receiver) = watch::channel(Arc::new(first));
    tokio::spawn(async move {
        let mut loaded = None;
        while let Some(Ok(())) = stop.run_until_cancelled(pulse.changed()).await {
            let revisions: Vec<u64> = {
                let pulse = pulse.borrow_and_update();
                feeds.iter().map(|feed| pulse.revision(*feed)).collect()
            };
            if loaded.as_ref() == Some(&revisions) {
                continue;
            }
            let before = sender.borrow().clone();
            let loading = timeout(LOAD_MAX, load(before)).await;
            match loading.unwrap_or(Err(DatabaseError::ReadTimedOut)) {
                Ok(value) => {
                    debug!(?feeds, ?revisions, "loaded");
                    loaded = Some(revisions);
                    sender.send_replace(Arc::new(value));
                }
                Err(error) => warn!(?feeds, error = &error as &dyn std::error::Error, "load failed"),
            }
        }
    });
    receiver
}

async fn follow_on_one_connection(
    database: &Database,
    clock: &SharedClock,
    sender: &watch::Sender<Pulse>,
) -> Result<(), DatabaseError> {
    let (client, mut hints) = listen(database).await?;
    loop {
        let read_at_boot_ms = clock.boot_ms();
        let revisions = timeout(READ_MAX, read_revisions(&client))
            .await
            .map_err(|_| DatabaseError::ReadTimedOut)??;
        sender.send_replace(Pulse {
            revisions,
            read_at_boot_ms,
        });
        // A closed channel is a closed connection, which the next read reports.
        let _hint_or_poll = timeout(POLL_INTERVAL, hints.recv()).await;
        if client.is_closed() {
            return Err(DatabaseError::ConnectionClosed);
        }
    }
}

/// A connection of our own, never from the pool: a pooled one would be given away with its LISTEN.
async fn listen(database: &Database) -> Result<(Client, mpsc::Receiver<()>), DatabaseError> {
    let (client, mut connection) = database.connect().await?;
    // One waiting hint stands for any number.
    let (hint, hints) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message {
                let _already_waiting = hint.try_send(());
            }
        }
    });
    timeout(
        READ_MAX,
        client.batch_execute("-- revision.listen\nLISTEN checkrein"),
    )
    .await
    .map_err(|_| DatabaseError::ReadTimedOut)??;
    Ok((client, hints))
}

async fn read_revisions(client: &Client) -> Result<BTreeMap<&'static str, u64>, DatabaseError> {
    let rows = client
        .query("-- revision.list\nSELECT feed, value FROM revision", &[])
        .await?;
    let known = [
        FeedName::Policy,
        FeedName::Fleet,
        FeedName::Task,
        FeedName::Hold,
        FeedName::Agent,
    ];
    let value_of = |feed: FeedName| {
        let row = rows.iter().find(|row| row.get::<_, &str>(0) == feed.as_str())?;
        Some((feed.as_str(), unsigned(row.get(1))))
    };
    Ok(known.into_iter().filter_map(value_of).collect())
}
