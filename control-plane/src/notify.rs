//! Notifications: people are told of holds where they are, and come to a page to look and answer.
//!
//! ```text
//! comes from: hold_event, in its order --> gather: an event, and a row for each channel that hears of it
//!             deadlines, revoked standing approvals /        |
//!             moments at which a further group is asked    /
//! goes to: one courier for each channel: claims rows with a lease, delivers, writes down what came of it
//! ```
//!
//! Any number of replicas share the work. A message is delivered at least once, with one id in every try.
//!
//! **Invariant**: telling people decides nothing. It reads what became of holds after that was committed, holds no lock of
//! theirs, and no hold waits for it; a channel that is slow or broken delays itself alone.

mod address;
mod api;
mod channel;
mod deliver;
mod email;
mod further;
mod gather;
mod kind;
mod message;
mod post;
mod retry;
mod secret;
mod settings;
mod slack;
mod store;
mod teams;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::SharedClock;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{Database, DatabaseError};
use crate::hold::HoldNews;
use channel::Courier;
use checkrein_http::InvalidCa;
use post::DELIVERY_MAX;

pub use kind::{InvalidKind, Kind};
pub use secret::SecretError;
pub use settings::{InvalidChannel, InvalidNotifications, Notifications};

/// How long until it is looked at again whether something is due, if nobody says that something is new.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often what is old is cleared away.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Tells people.
#[derive(Debug, Clone)]
pub struct Notifier {
    database: Database,
    clock: SharedClock,
    /// Who tells, in events: the SPIFFE ID of control planes.
    source: Arc<str>,
    /// Where links lead.
    console_url: Option<Arc<str>>,
    remind_before: Duration,
    /// How long one delivery may take.
    delivery_max: Duration,
    couriers: Arc<[Courier]>,
}

impl Notifier {
    /// Over this database; without channels nobody is told, and what is left can be seen all the same.
    pub fn new(
        database: Database,
        clock: SharedClock,
        trust_domain: &str,
        notifications: Option<Notifications>,
    ) -> Result<Self, InvalidCa> {
        let source = format!("spiffe://{trust_domain}/control-plane");
        let (console_url, remind_before, channels) = match notifications {
            Some(given) => (given.console_url, given.remind_before, given.channels),
            None => (None, Duration::ZERO, Vec::new()),
        };
        let couriers: Vec<Courier> = channels.into_iter().map(Courier::new).collect::<Result<_, _>>()?;
        Ok(Self {
            database,
            clock,
            source: source.into(),
            console_url: console_url.map(Into::into),
            remind_before,
            delivery_max: DELIVERY_MAX,
            couriers: couriers.into(),
        })
    }

    /// The same, but that one delivery may take no longer than this, and never longer than usual.
    #[must_use]
    pub fn delivering_within(mut self, bound: Duration) -> Self {
        self.delivery_max = bound.min(DELIVERY_MAX);
        self
    }

    /// Tells people until `stop`: gathers whenever `holds` has news, and has each channel's courier on its way by itself.
    pub fn start(&self, holds: watch::Receiver<Arc<HoldNews>>, stop: &CancellationToken) {
        if self.couriers.is_empty() {
            return;
        }
        let (woken, wake) = watch::channel(());
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(self.clone().gather_on(holds, woken)),
        );
        for index in 0..self.couriers.len() {
            let rounds = self.clone().deliver_on(index, wake.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(rounds));
        }
        tokio::spawn(stop.clone().run_until_cancelled_owned(self.clone().sweep_on()));
    }

    async fn gather_on(self, mut holds: watch::Receiver<Arc<HoldNews>>, woken: watch::Sender<()>) {
        loop {
            match self.gather().await {
                Ok(0) => {}
                Ok(_) => {
                    woken.send_replace(());
                    continue;
                }
                Err(error) => failed(&error, "what people are to be told was not gathered"),
            }
            // Deadlines come near without news.
            let _news_or_not = timeout(LOOK_INTERVAL, holds.changed()).await;
        }
    }

    async fn deliver_on(self, index: usize, mut wake: watch::Receiver<()>) {
        loop {
            match self.deliver_by(&self.couriers[index]).await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => failed(&error, "a channel's messages were not looked at"),
            }
            let _woken_or_not = timeout(LOOK_INTERVAL, wake.changed()).await;
        }
    }

    async fn sweep_on(self) {
        loop {
            match self.sweep().await {
                Ok(cleared) => info!(cleared, "old notifications cleared away"),
                Err(error) => failed(&error, "old notifications were not cleared away"),
            }
            sleep(SWEEP_INTERVAL).await;
        }
    }
}

fn failed(error: &DatabaseError, what: &'static str) {
    warn!(error = error as &dyn std::error::Error, "{what}");
}

#[cfg(test)]
mod tests;
