//! Messages on their way: claimed for a while, carried, and written down as what came of it.
//!
//! **Invariant**: no transaction is open while a receiver is waited for. A replica that dies with messages in hand leaves them
//! to others when its lease ends; each try is counted before it is made, so that none is tried for ever.

use std::time::Duration;

use futures_util::future::join_all;
use tracing::{debug, warn};

use super::channel::{Courier, Failure, Telling};
use super::message::{Facts, Message};
use super::post::DELIVERY_MAX;
use super::retry::{ATTEMPTS_MAX, wait_after};
use super::store::{self, Due};
use super::{Kind, Notifier};
use crate::database::DatabaseError;

/// So many messages of a channel are under way at once from one replica.
const CLAIM_MAX: i64 = 4;
/// So much is kept of why a try failed.
const WHY_CHARS_MAX: usize = 500;
/// How long they are a replica's own: longer than any delivery.
const LEASE: Duration = DELIVERY_MAX.saturating_mul(4);

impl Notifier {
    /// Delivers what is due on a channel, up to a bound. Returns how many messages were taken in hand.
    pub async fn deliver(&self, channel: &str) -> Result<usize, DatabaseError> {
        match self.courier(channel) {
            Some(courier) => self.deliver_by(courier).await,
            None => Ok(0),
        }
    }

    pub(super) fn courier(&self, channel: &str) -> Option<&Courier> {
        self.couriers
            .iter()
            .find(|courier| courier.channel.name == channel)
    }

    pub(super) async fn deliver_by(&self, courier: &Courier) -> Result<usize, DatabaseError> {
        let tx = self.database.begin("notification.claim").await?;
        let channel = &courier.channel;
        let due = store::claim(&tx, &channel.name, self.clock.wall_ms(), LEASE, CLAIM_MAX).await?;
        let is_off = !due.is_empty() && store::is_off(&tx, &channel.name, channel.fingerprint()).await?;
        tx.commit().await?;
        let outcomes = join_all(due.iter().map(|due| self.deliver_one(courier, due, is_off))).await;
        outcomes.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(due.len())
    }

    async fn deliver_one(&self, courier: &Courier, due: &Due, is_off: bool) -> Result<(), DatabaseError> {
        let carried = if is_off {
            Err(Failure::Never(
                "the channel is off since its receiver answered 410 Gone: `notification test` turns it on"
                    .to_owned(),
            ))
        } else if due.attempt > ATTEMPTS_MAX {
            Err(Failure::Never("every try ended without a word".to_owned()))
        } else {
            match &due.says {
                Ok(says) => {
                    let message = self.message(due, says);
                    let telling = self.telling(&due.recipient);
                    courier.carry(&message, &telling, self.clock.wall_ms()).await
                }
                Err(why) => {
                    let channel = &courier.channel.name;
                    warn!(channel, id = %due.id, why, "a message is passed over");
                    Err(Failure::Later(why.clone(), None))
                }
            }
        };
        self.write_down(courier, due, carried).await
    }

    pub(super) fn telling<'a>(&'a self, recipient: &'a str) -> Telling<'a> {
        Telling {
            source: &self.source,
            recipient,
            within: self.delivery_max,
        }
    }

    fn message(&self, due: &Due, (kind, facts): &(Kind, Facts)) -> Message {
        Message {
            id: due.id,
            kind: *kind,
            happened_ms: due.happened_ms,
            facts: facts.clone(),
            link: self
                .console_url
                .as_ref()
                .map(|console| format!("{console}/holds/{}", due.hold)),
        }
    }

    async fn write_down(
        &self,
        courier: &Courier,
        due: &Due,
        carried: Result<(), Failure>,
    ) -> Result<(), DatabaseError> {
        let (channel, id) = (&courier.channel, due.id);
        let now_ms = self.clock.wall_ms();
        let tx = self.database.begin("notification.write_down").await?;
        match carried {
            Ok(()) => {
                debug!(channel = channel.name, %id, "delivered");
                store::end(&tx, due, "sent", "", now_ms).await?;
            }
            Err(Failure::Later(why, asked)) => {
                let why = cut(why);
                let age = Duration::from_millis(now_ms.saturating_sub(due.made_ms));
                if let Some(wait) = wait_after(due.attempt, age, asked) {
                    debug!(channel = channel.name, %id, why, "not delivered; trying again");
                    store::postpone(&tx, due, &why, now_ms, wait).await?;
                } else {
                    warn!(channel = channel.name, %id, why, "given up");
                    store::end(&tx, due, "dead", &why, now_ms).await?;
                }
            }
            Err(Failure::Never(why)) => {
                let why = cut(why);
                warn!(channel = channel.name, %id, why, "given up");
                store::end(&tx, due, "dead", &why, now_ms).await?;
            }
            Err(Failure::Gone(why)) => {
                warn!(channel = channel.name, %id, why, "channel turned off");
                store::turn_off(&tx, &channel.name, channel.fingerprint(), now_ms).await?;
                store::end(&tx, due, "dead", &why, now_ms).await?;
            }
        }
        tx.commit().await
    }

    /// Deletes what is old, and gives up what waits for a channel that no replica has.
    pub async fn sweep(&self) -> Result<u64, DatabaseError> {
        let tx = self.database.begin("notification.sweep").await?;
        let cleared = store::sweep(&tx, self.clock.wall_ms()).await?;
        tx.commit().await?;
        Ok(cleared)
    }
}

fn cut(why: String) -> String {
    if why.len() <= WHY_CHARS_MAX {
        return why;
    }
    why.chars().take(WHY_CHARS_MAX).collect()
}
