//! One `Append` stream: open, be told where to go on, send within credit, check every ack against our own chain.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use checkrein_proto::decision::v1 as wire;
use checkrein_proto::decision::v1::journal_service_client::JournalServiceClient;
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::Chain;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::{UploadError, Uploader, off_thread};
use crate::journal::{Batch, Cursor, CursorError, Journal};

const BATCH_RECORDS_MAX: usize = 512;
const BATCH_BYTES_MAX: u64 = 256 << 10;
/// So many batches are sent before an ack is needed, whatever the credit.
const BATCHES_IN_FLIGHT_MAX: usize = 8;
/// Longest silence while something is unacknowledged.
const ACK_DEADLINE: Duration = Duration::from_secs(30);

/// A stream that has been told where to go on.
struct Stream<'a> {
    uploader: &'a Uploader,
    incarnation: u64,
    requests: mpsc::Sender<wire::AppendRequest>,
    answers: Streaming<wire::AppendResponse>,
    /// Used by one thread at a time, and never by one that decides.
    cursor: Arc<Mutex<Cursor>>,
    /// Everything before was sent.
    sent: Chain,
    credit: u64,
    /// Stored by the control plane.
    acked: Chain,
    /// Sent and not acked: the chain after each batch, and its bytes.
    in_flight: VecDeque<(Chain, u64)>,
}

/// Uploads one incarnation; returns when an old one is wholly acked.
pub(super) async fn upload(
    uploader: &Uploader,
    channel: Channel,
    incarnation: u64,
) -> Result<(), UploadError> {
    let (requests, queue) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
    let open = wire::AppendOpen {
        instance_id: uploader.instance.to_string(),
        incarnation,
        whole_since: whole_since(uploader, incarnation).await?,
    };
    send(&requests, wire::append_request::Body::Open(open)).await?;
    let mut client = JournalServiceClient::new(channel);
    let answers = timeout(ACK_DEADLINE, client.append(ReceiverStream::new(queue))).await;
    let mut answers = answers.map_err(|_| UploadError::Deadline)??.into_inner();
    let first = timeout(ACK_DEADLINE, answers.message())
        .await
        .map_err(|_| UploadError::Deadline)??;
    let first = first.ok_or(UploadError::Ended)?;
    let acked = chain_of(&first)?;
    let Some(cursor) = resume(uploader, incarnation, acked).await? else {
        return Ok(());
    };
    let in_flight = VecDeque::new();
    let credit = first.credit_bytes;
    Stream {
        uploader,
        incarnation,
        requests,
        answers,
        cursor: Arc::new(Mutex::new(cursor)),
        sent: acked,
        credit,
        acked,
        in_flight,
    }
    .run()
    .await
}

/// Of all incarnations since this one, before the one that is opened now, nothing is missing.
async fn whole_since(uploader: &Uploader, incarnation: u64) -> Result<u64, UploadError> {
    let journal = Arc::clone(&uploader.journal);
    let home_since = off_thread(move || Ok(journal.home_since(incarnation)?)).await?;
    Ok(home_since.max(uploader.up_since))
}

/// Finds the place the control plane names in our own chain; none if an old incarnation has nothing more to give.
async fn resume(uploader: &Uploader, incarnation: u64, theirs: Chain) -> Result<Option<Cursor>, UploadError> {
    let journal = Arc::clone(&uploader.journal);
    let Some(cursor) = off_thread(move || find(&journal, incarnation, theirs)).await? else {
        return Ok(None);
    };
    let journal = &uploader.journal;
    let is_live = incarnation == journal.incarnation();
    let is_complete = !is_live && theirs.next_sequence == journal.end_of(incarnation);
    uploader.acked(incarnation, theirs.next_sequence).await?;
    Ok((!is_complete).then_some(cursor))
}

/// None if nothing is left of the incarnation.
fn find(journal: &Journal, incarnation: u64, theirs: Chain) -> Result<Option<Cursor>, UploadError> {
    journal.examine(incarnation)?;
    if !journal.incarnations().contains(&incarnation) {
        return Ok(None);
    }
    let cursor = match journal.cursor(incarnation, theirs.next_sequence) {
        Ok(cursor) => cursor,
        Err(lost @ CursorError::Deleted { .. }) => return Err(UploadError::Lost(lost)),
        Err(CursorError::Beyond(_)) => return Err(UploadError::Fork { theirs }),
        Err(error) => return Err(error.into()),
    };
    if cursor.chain() != theirs {
        return Err(UploadError::Fork { theirs });
    }
    Ok(Some(cursor))
}

impl Stream<'_> {
    async fn run(mut self) -> Result<(), UploadError> {
        let mut progress = self.uploader.journal.progress();
        let is_live = self.incarnation == self.uploader.journal.incarnation();
        loop {
            progress.borrow_and_update();
            self.send_what_fits().await?;
            if !is_live && self.in_flight.is_empty() && self.has_sent_all() {
                return Ok(());
            }
            let patience = if self.in_flight.is_empty() {
                Duration::MAX
            } else {
                ACK_DEADLINE
            };
            tokio::select! {
                answer = timeout(patience, self.answers.message()) => {
                    let answer = answer.map_err(|_| UploadError::Deadline)??.ok_or(UploadError::Ended)?;
                    self.acked(&answer).await?;
                }
                changed = progress.changed(), if is_live && self.has_room() => {
                    changed.map_err(|_| UploadError::Ended)?;
                }
            }
        }
    }

    fn has_sent_all(&self) -> bool {
        self.sent.next_sequence >= self.uploader.journal.durable_end_of(self.incarnation)
    }

    fn bytes_in_flight(&self) -> u64 {
        self.in_flight.iter().map(|(_, bytes)| bytes).sum()
    }

    fn has_room(&self) -> bool {
        self.in_flight.len() < BATCHES_IN_FLIGHT_MAX && self.bytes_in_flight() < self.credit
    }

    async fn send_what_fits(&mut self) -> Result<(), UploadError> {
        while self.has_room() {
            let end = self.uploader.journal.durable_end_of(self.incarnation);
            let bytes_max = BATCH_BYTES_MAX.min(self.credit - self.bytes_in_flight());
            if self.sent.next_sequence >= end {
                return Ok(());
            }
            let Some(batch) = self.read(end, bytes_max).await? else {
                return Ok(());
            };
            self.sent = batch.after;
            self.in_flight.push_back((batch.after, batch.bytes));
            send(&self.requests, wire::append_request::Body::Batch(batch.into())).await?;
        }
        Ok(())
    }

    async fn read(&self, end: u64, bytes_max: u64) -> Result<Option<Batch>, UploadError> {
        let cursor = Arc::clone(&self.cursor);
        off_thread(move || {
            // A read that panicked ended its stream, and the cursor with it.
            let mut cursor = cursor.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(cursor.next_batch(end, BATCH_RECORDS_MAX, bytes_max)?)
        })
        .await
    }

    /// Takes an ack: it must end where one of our batches ended, with our chain.
    async fn acked(&mut self, answer: &wire::AppendResponse) -> Result<(), UploadError> {
        let theirs = chain_of(answer)?;
        self.credit = answer.credit_bytes;
        if theirs == self.acked {
            // Only credit.
            return Ok(());
        }
        while let Some((ours, _)) = self.in_flight.pop_front() {
            if ours == theirs {
                self.acked = ours;
                self.uploader.unstuck(self.incarnation);
                return self.uploader.acked(self.incarnation, theirs.next_sequence).await;
            }
            if ours.next_sequence >= theirs.next_sequence {
                break;
            }
        }
        // Another stream of ours was still being stored, or the histories part: a new stream finds out which.
        Err(UploadError::OutOfStep(theirs.next_sequence))
    }
}

impl Uploader {
    async fn acked(&self, incarnation: u64, next_sequence: u64) -> Result<(), UploadError> {
        let journal = Arc::clone(&self.journal);
        off_thread(move || Ok(journal.acked(incarnation, next_sequence)?)).await?;
        if incarnation == self.journal.incarnation() {
            self.status.update(|status| status.journal_acked = next_sequence);
        }
        Ok(())
    }
}

impl From<Batch> for wire::AppendBatch {
    fn from(batch: Batch) -> Self {
        Self {
            first_sequence: batch.before.next_sequence,
            previous_hash: batch.before.hash.to_bytes(),
            records: batch.records,
        }
    }
}

async fn send(
    requests: &mpsc::Sender<wire::AppendRequest>,
    body: wire::append_request::Body,
) -> Result<(), UploadError> {
    requests
        .send(wire::AppendRequest { body: Some(body) })
        .await
        .map_err(|_| UploadError::Ended)
}

fn chain_of(answer: &wire::AppendResponse) -> Result<Chain, UploadError> {
    let hash = Sha256::try_from(&*answer.chain_hash);
    Ok(Chain {
        next_sequence: answer.next_sequence,
        hash: hash.map_err(|error| tonic::Status::internal(error.to_string()))?,
    })
}
