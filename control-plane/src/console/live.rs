//! What pages hear of while they are open: that a hold changed, so that they ask again. Never what it is.
//!
//! **Invariant**: a stream says nothing that a page could not have asked for at that moment, and ends with its session, with
//! the replica, or after an hour.

mod open;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use checkrein_proto::hold::v1::ListRequest;
use checkrein_shared::id::HoldId;
use serde::Deserialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Console;
use super::page::Trouble;
use super::visit::Visit;
use crate::api::bad_field;
use crate::hold::HoldNews;

use open::Place;

pub(super) use open::OpenPages;

/// A stream ends after this, and the browser begins another.
const STREAM_MAX: Duration = Duration::from_hours(1);
/// How often it is asked whether the person may still know.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// A comment now and then, so that a dead connection is noticed.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// An event waits while the browser reads the last one; what happens meanwhile is one event.
const WAITING_MAX: usize = 1;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// Only of this hold.
    hold: Option<String>,
}

/// Who listens, and for what.
struct Listener {
    visit: Visit,
    hold: Option<HoldId>,
    news: watch::Receiver<Arc<HoldNews>>,
    seen: u64,
    _place: Place,
}

/// `GET /events`
pub(super) async fn events(
    State(console): State<Console>,
    visit: Visit,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Trouble> {
    let hold = wanted.hold.as_deref().map(str::parse).transpose();
    let hold = hold.map_err(|error| bad_field("hold", format!("{error}")))?;
    let place = console.open_pages.open(visit.person()).map_err(Status::from)?;
    may_know(&visit).await?;
    let mut news = console.holds.clone();
    let seen = news.borrow_and_update().revision;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let listener = Listener {
        visit,
        hold,
        news,
        seen,
        _place: place,
    };
    let stop = console.stop.clone();
    tokio::spawn(async move { stop.run_until_cancelled(listener.listen(sender)).await });
    let events = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEPALIVE))
        .into_response())
}

impl Listener {
    async fn listen(mut self, sender: mpsc::Sender<Event>) {
        let end = Instant::now() + STREAM_MAX;
        loop {
            tokio::select! {
                () = sleep_until(end) => return,
                () = sender.closed() => return,
                changed = timeout(CHECK_INTERVAL, self.news.changed()) => {
                    if matches!(changed, Ok(Err(_))) || may_know(&self.visit).await.is_err() {
                        return;
                    }
                }
            }
            // One that was not read yet says as much as another would: nobody waits for a browser that does not read.
            if self.concerns() {
                let event = Event::default().event("holds").data("changed");
                if let Err(TrySendError::Closed(_)) = sender.try_send(event) {
                    return;
                }
            }
        }
    }

    /// Whether what happened since the last look is of what this page shows.
    fn concerns(&mut self) -> bool {
        let news = self.news.borrow_and_update();
        let since = self.seen;
        self.seen = news.revision;
        let is_whole = news
            .recent
            .front()
            .is_none_or(|first| first.revision <= since + 1);
        let mut new = news.recent.iter().filter(|event| event.revision > since);
        match self.hold {
            Some(hold) => !is_whole || new.any(|event| event.hold == hold),
            None => new.next().is_some(),
        }
    }
}

/// Whoever may list holds may know that one changed.
async fn may_know(visit: &Visit) -> Result<(), Trouble> {
    visit.again().await?;
    let one = ListRequest {
        page_size: 1,
        ..ListRequest::default()
    };
    visit.entrance.holds().list(one).await?;
    Ok(())
}
