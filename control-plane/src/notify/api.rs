//! Notifications on the wire.

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::notification_service_server::NotificationService;
use checkrein_shared::id::NotificationId;
use futures_util::stream::{self, StreamExt};
use tonic::{Request, Response, Status};

use super::channel::{Courier, Failure};
use super::message::{Facts, Message};
use super::store::{self, Filter, Listed};
use super::{Kind, Notifier};
use crate::api::{
    bad_field, database_trouble, idempotency_key, next_page, not_found, page_after, page_rows, precondition,
};
use crate::caller::Caller;
use crate::database::DatabaseError;

/// So many recipients of a channel that is tried are written to at once.
const AT_ONCE_MAX: usize = 4;

#[tonic::async_trait]
impl NotificationService for Notifier {
    async fn list_notifications(
        &self,
        request: Request<wire::ListNotificationsRequest>,
    ) -> Result<Response<wire::ListNotificationsResponse>, Status> {
        let request = request.into_inner();
        let mut states = vec!["dead"];
        if !request.dead {
            states.push("waiting");
        }
        if request.sent {
            states.push("sent");
        }
        let filter = Filter {
            states,
            after: page_after(&request.page_token)?,
            rows: page_rows(request.page_size),
        };
        let tx = self.database.begin("notification.list").await.map_err(trouble)?;
        let rows = store::list(&tx, &filter).await.map_err(trouble)?;
        let token = |row: &Listed| format!("{}.{}", row.made_ms, row.id);
        Ok(Response::new(wire::ListNotificationsResponse {
            next_page_token: next_page(&rows, request.page_size, token),
            notifications: rows.into_iter().map(encode).collect(),
        }))
    }

    async fn retry_notifications(
        &self,
        request: Request<wire::RetryNotificationsRequest>,
    ) -> Result<Response<wire::RetryNotificationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = idempotency_key(&request.idempotency_key)?;
        let only = Some(&request.notification_id).filter(|id| !id.is_empty());
        let only: Option<NotificationId> = only
            .map(|id| id.parse())
            .transpose()
            .map_err(|error| bad_field("notification_id", format!("{error}")))?;
        if only.is_some() == request.all_dead {
            let why = "name one message, or set all_dead";
            return Err(bad_field("notification_id", why));
        }
        let tx = self.database.begin("notification.retry").await.map_err(trouble)?;
        if let Some(answer) = tx.answer_given(&caller.id, key).await.map_err(trouble)? {
            return Ok(Response::new(answer));
        }
        let retried = store::retry(&tx, only, self.clock.wall_ms())
            .await
            .map_err(trouble)?;
        if retried == 0 && only.is_some() {
            let why = "there is no message of that id that was given up";
            return Err(precondition("NOT_DEAD", why));
        }
        let answer = wire::RetryNotificationsResponse { retried };
        tx.remember_answer(&caller.id, key, &answer)
            .await
            .map_err(trouble)?;
        tx.commit().await.map_err(trouble)?;
        Ok(Response::new(answer))
    }

    async fn test_channel(
        &self,
        request: Request<wire::TestChannelRequest>,
    ) -> Result<Response<wire::TestChannelResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = idempotency_key(&request.idempotency_key)?;
        let Some(courier) = self.courier(&request.channel) else {
            return Err(not_found("channel", &request.channel));
        };
        let tx = self.database.begin("notification.test").await.map_err(trouble)?;
        if let Some(answer) = tx.answer_given(&caller.id, key).await.map_err(trouble)? {
            return Ok(Response::new(answer));
        }
        // Nobody waits for a receiver with a transaction in hand.
        tx.commit().await.map_err(trouble)?;
        let answer = self.test(courier).await;
        let tx = self.database.begin("notification.test").await.map_err(trouble)?;
        if answer.delivered {
            store::turn_on(&tx, &courier.channel.name)
                .await
                .map_err(trouble)?;
        }
        // Of two at once the first is remembered.
        let known = tx.answer_given(&caller.id, key).await.map_err(trouble)?;
        if let Some(known) = known {
            return Ok(Response::new(known));
        }
        tx.remember_answer(&caller.id, key, &answer)
            .await
            .map_err(trouble)?;
        tx.commit().await.map_err(trouble)?;
        Ok(Response::new(answer))
    }
}

impl Notifier {
    async fn test(&self, courier: &Courier) -> wire::TestChannelResponse {
        let now_ms = self.clock.wall_ms();
        let message = Message {
            id: NotificationId::new(&*self.clock),
            kind: Kind::Test,
            happened_ms: now_ms,
            facts: Facts::default(),
            link: None,
        };
        let recipients = courier.channel.recipients();
        let mut tries = Vec::new();
        for recipient in &recipients {
            tries.push(self.try_one(courier, &message, recipient));
        }
        let failures: Vec<Option<String>> = stream::iter(tries).buffered(AT_ONCE_MAX).collect().await;
        let failures: Vec<String> = failures.into_iter().flatten().collect();
        wire::TestChannelResponse {
            delivered: failures.is_empty(),
            error: failures.join("; "),
            notification_id: message.id.to_string(),
        }
    }

    /// Why a recipient did not get a message, if they did not.
    async fn try_one(&self, courier: &Courier, message: &Message, recipient: &str) -> Option<String> {
        let telling = self.telling(recipient);
        match courier.carry(message, &telling, self.clock.wall_ms()).await {
            Ok(()) => None,
            Err(Failure::Later(why, _) | Failure::Never(why) | Failure::Gone(why)) => {
                Some(failed(recipient, why))
            }
        }
    }
}

/// Why somebody did not get a message.
fn failed(recipient: &str, why: String) -> String {
    if recipient.is_empty() {
        why
    } else {
        format!("`{recipient}`: {why}")
    }
}

fn encode(row: Listed) -> wire::Notification {
    let state = match &*row.state {
        "waiting" => wire::NotificationState::Waiting,
        "sent" => wire::NotificationState::Sent,
        _ => wire::NotificationState::Dead,
    };
    let next_unix_ms = if state == wire::NotificationState::Waiting {
        row.next_ms
    } else {
        0
    };
    wire::Notification {
        notification_id: row.id.to_string(),
        channel: row.channel,
        recipient: row.recipient,
        event: row.kind,
        hold_id: row.hold.to_string(),
        state: state.into(),
        attempts: row.attempts,
        last_error: row.last_error,
        happened_unix_ms: row.happened_ms,
        next_unix_ms,
        ended_unix_ms: row.ended_ms.unwrap_or_default(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn trouble(error: DatabaseError) -> Status {
    database_trouble(&error)
}
