//! Every record arrives once and in order, whatever the control plane and the wire do; a fork is named and stops.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use checkrein_proto::decision::v1 as wire;
use checkrein_proto::decision::v1::journal_service_server::{JournalService, JournalServiceServer};
use checkrein_shared::ManualClock;
use checkrein_shared::decision::{Outcome, OutcomeResult, Record};
use checkrein_shared::id::DecisionId;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

use super::*;

const SOON: Duration = Duration::from_secs(20);
const ROOMY: u64 = 64 << 20;

fn instance() -> InstanceId {
    "inst_0198c0de00007000800000000000cafe".parse().unwrap()
}

/// What a control plane has stored, by incarnation.
#[derive(Default)]
struct Stored {
    chains: std::collections::BTreeMap<u64, Chain>,
    records: Vec<Vec<u8>>,
    /// Streams are cut after so many batches.
    cut_after: Option<usize>,
    /// An incarnation whose records it can't read.
    refused: Option<u64>,
    credit: u64,
    largest_batch: usize,
}

impl Stored {
    fn chain(&self, incarnation: u64) -> Chain {
        let chain = self.chains.get(&incarnation).copied();
        chain.unwrap_or_else(|| Chain::begin(instance(), incarnation))
    }
}

#[derive(Clone)]
struct ControlPlane(Arc<Mutex<Stored>>);

#[tonic::async_trait]
impl JournalService for ControlPlane {
    type AppendStream = ReceiverStream<Result<wire::AppendResponse, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<wire::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let (answers, receiver) = mpsc::channel(4);
        let (control_plane, up) = (self.clone(), request.into_inner());
        tokio::spawn(async move { control_plane.take_in(up, answers).await });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl ControlPlane {
    async fn take_in(
        &self,
        mut up: Streaming<wire::AppendRequest>,
        answers: mpsc::Sender<Result<wire::AppendResponse, Status>>,
    ) -> Option<()> {
        let wire::append_request::Body::Open(open) = up.message().await.ok()??.body? else {
            return None;
        };
        answers.send(Ok(self.answer(open.incarnation))).await.ok()?;
        for batch in 1.. {
            let wire::append_request::Body::Batch(came) = up.message().await.ok()??.body? else {
                return None;
            };
            if self.0.lock().unwrap().refused == Some(open.incarnation) {
                answers
                    .send(Err(Status::invalid_argument("a record can't be read")))
                    .await
                    .ok()?;
                return None;
            }
            self.store(open.incarnation, &came);
            if self.0.lock().unwrap().cut_after == Some(batch) {
                // Stored, and the ack is lost.
                return None;
            }
            answers.send(Ok(self.answer(open.incarnation))).await.ok()?;
        }
        None
    }

    fn store(&self, incarnation: u64, batch: &wire::AppendBatch) {
        let mut stored = self.0.lock().unwrap();
        stored.largest_batch = stored.largest_batch.max(batch.records.len());
        let chain = stored.chain(incarnation);
        let before = (batch.first_sequence, &*batch.previous_hash);
        if before == (chain.next_sequence, chain.hash.0.as_slice()) {
            let after = batch
                .records
                .iter()
                .fold(chain, |chain, record| chain.extend(record));
            stored.chains.insert(incarnation, after);
            stored
                .records
                .extend(batch.records.iter().map(|record| record.to_vec()));
        }
    }

    fn answer(&self, incarnation: u64) -> wire::AppendResponse {
        let stored = self.0.lock().unwrap();
        let chain = stored.chain(incarnation);
        wire::AppendResponse {
            next_sequence: chain.next_sequence,
            chain_hash: chain.hash.to_bytes(),
            credit_bytes: stored.credit,
        }
    }
}

/// An uploader that runs, and what it uploads to.
struct Upload {
    journal: Arc<Journal>,
    status: StatusBoard,
    stored: Arc<Mutex<Stored>>,
    stop: CancellationToken,
}

impl Upload {
    async fn start(place: &Path, incarnation: u64, stored: Stored) -> Self {
        let journal = Arc::new(Journal::open(place, instance(), incarnation, ROOMY).unwrap());
        let stored = Arc::new(Mutex::new(stored));
        let address = serve(ControlPlane(Arc::clone(&stored))).await;
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        let connection = Connection::default();
        connection.set(Some(channel));
        let status = StatusBoard::new(instance(), incarnation);
        let stop = CancellationToken::new();
        let uploader = Uploader {
            journal: Arc::clone(&journal),
            instance: instance(),
            up_since: 1,
            connection,
            status: status.clone(),
        };
        tokio::spawn(uploader.run(stop.clone()));
        Self {
            journal,
            status,
            stored,
            stop,
        }
    }

    async fn until(&self, satisfied: impl Fn(&Stored) -> bool) {
        let looking = async {
            while !satisfied(&self.stored.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(SOON, looking).await.expect("it comes true");
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(control_plane: ControlPlane) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Server::builder().add_service(JournalServiceServer::new(control_plane));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

fn roomy() -> Stored {
    Stored {
        credit: 1 << 20,
        ..Stored::default()
    }
}

fn record(n: u64, bytes: usize) -> Record {
    Record::Outcome(Outcome {
        decision: DecisionId::new(&ManualClock::at(n)),
        completed_ms: n,
        result: OutcomeResult::Done,
        detail: "x".repeat(bytes),
        hold: None,
        task: None,
        spent: checkrein_shared::ledger::Amounts::default(),
    })
}

/// Writes so many records down and gives them as they must arrive.
fn append(journal: &Journal, count: u64, bytes: usize) -> Vec<Vec<u8>> {
    let written = (0..count).map(|n| record(n, bytes)).map(|record| {
        journal.append(&record).unwrap();
        record.encode()
    });
    written.collect()
}

#[tokio::test]
async fn old_incarnations_come_first_and_everything_comes_once() {
    let place = tempfile::tempdir().unwrap();
    let old = append(
        &Journal::open(place.path(), instance(), 1, ROOMY).unwrap(),
        700,
        10,
    );
    let upload = Upload::start(place.path(), 2, roomy()).await;
    let new = append(&upload.journal, 50, 10);
    upload.until(|stored| stored.records.len() == 750).await;
    assert_eq!(upload.stored.lock().unwrap().records, [old, new].concat());
    assert!(upload.stored.lock().unwrap().largest_batch <= 512);
    upload
        .status
        .wait_until(|| upload.status.read(), |status| status.journal_acked == 50, SOON)
        .await
        .unwrap();
    assert_eq!(upload.journal.incarnations(), [2]);
}

#[tokio::test]
async fn acks_that_are_lost_make_nothing_come_twice() {
    let place = tempfile::tempdir().unwrap();
    let upload = Upload::start(
        place.path(),
        1,
        Stored {
            cut_after: Some(2),
            ..roomy()
        },
    )
    .await;
    let all = append(&upload.journal, 3_000, 10);
    upload.until(|stored| stored.records.len() == 3_000).await;
    assert_eq!(upload.stored.lock().unwrap().records, all);
    upload.stored.lock().unwrap().cut_after = None;
    upload
        .status
        .wait_until(
            || upload.status.read(),
            |status| status.journal_acked == 3_000,
            SOON,
        )
        .await
        .unwrap();
    assert_eq!(upload.status.read().forks, 0);
}

#[tokio::test]
async fn little_credit_only_slows_down() {
    let place = tempfile::tempdir().unwrap();
    let upload = Upload::start(
        place.path(),
        1,
        Stored {
            credit: 200,
            ..roomy()
        },
    )
    .await;
    let all = append(&upload.journal, 60, 300);
    upload.until(|stored| stored.records.len() == 60).await;
    assert_eq!(upload.stored.lock().unwrap().records, all);
    assert_eq!(upload.stored.lock().unwrap().largest_batch, 1);
}

/// What the control plane stored of incarnation 1, made from our own records; then its fork is told, ours is kept aside,
/// and the next incarnation goes on.
async fn is_a_fork(theirs: impl FnOnce(&[Vec<u8>]) -> Chain) {
    let place = tempfile::tempdir().unwrap();
    let old = append(&Journal::open(place.path(), instance(), 1, ROOMY).unwrap(), 5, 10);
    let mut stored = roomy();
    stored.chains.insert(1, theirs(&old));
    let upload = Upload::start(place.path(), 2, stored).await;
    upload
        .status
        .wait_until(|| upload.status.read(), |status| status.forks == 1, SOON)
        .await
        .unwrap();
    let new = append(&upload.journal, 5, 10);
    upload.until(|stored| stored.records.len() == 5).await;
    assert_eq!(upload.stored.lock().unwrap().records, new);
    assert_eq!(upload.journal.incarnations(), [2]);
    let aside = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    assert_eq!(
        aside
            .filter(|path| path.extension().is_some_and(|found| found == "forked"))
            .count(),
        1
    );
}

fn chain_of(records: &[Vec<u8>]) -> Chain {
    records
        .iter()
        .fold(Chain::begin(instance(), 1), |chain, record| chain.extend(record))
}

#[tokio::test]
async fn another_history_is_a_fork_that_is_told_and_not_uploaded() {
    is_a_fork(|_| chain_of(&[b"something else".to_vec()])).await;
}

#[tokio::test]
async fn a_clone_that_uploaded_as_many_records_under_our_name_is_a_fork() {
    is_a_fork(|ours| chain_of(&[&ours[..4], &[b"of the clone".to_vec()]].concat())).await;
}

#[tokio::test]
async fn a_clone_that_uploaded_more_records_than_we_have_is_a_fork() {
    is_a_fork(|ours| chain_of(&[ours, &[b"of the clone".to_vec()]].concat())).await;
}

#[tokio::test]
async fn an_old_incarnation_that_is_stored_already_is_only_deleted() {
    let place = tempfile::tempdir().unwrap();
    let old = append(&Journal::open(place.path(), instance(), 1, ROOMY).unwrap(), 5, 10);
    let mut stored = roomy();
    stored.chains.insert(1, chain_of(&old));
    let upload = Upload::start(place.path(), 2, stored).await;
    let new = append(&upload.journal, 1, 10);
    upload.until(|stored| stored.records.len() == 1).await;
    assert_eq!(upload.stored.lock().unwrap().records, new);
    assert_eq!(
        (upload.status.read().forks, upload.journal.incarnations()),
        (0, vec![2])
    );
}

#[tokio::test]
async fn nothing_is_uploaded_that_power_loss_could_still_take() {
    let place = tempfile::tempdir().unwrap();
    let upload = Upload::start(place.path(), 1, roomy()).await;
    append(&upload.journal, 3_000, 10);
    upload
        .until(|stored| {
            // In this order: what is synced only grows.
            let arrived = stored.records.len() as u64;
            assert!(arrived <= upload.journal.progress().borrow().synced);
            arrived == 3_000
        })
        .await;
}

#[tokio::test]
async fn an_old_incarnation_that_is_refused_blocks_no_other_and_is_told() {
    let place = tempfile::tempdir().unwrap();
    append(&Journal::open(place.path(), instance(), 1, ROOMY).unwrap(), 3, 10);
    let old = append(&Journal::open(place.path(), instance(), 2, ROOMY).unwrap(), 3, 10);
    let stored = Stored {
        refused: Some(1),
        ..roomy()
    };
    let upload = Upload::start(place.path(), 3, stored).await;
    let new = append(&upload.journal, 3, 10);
    upload.until(|stored| stored.records.len() == 6).await;
    assert_eq!(upload.stored.lock().unwrap().records, [old, new].concat());
    assert_eq!(upload.status.read().journal_stuck, BTreeSet::from([1]));
    assert!(upload.journal.incarnations().contains(&1), "it waits on disk");
}

#[tokio::test]
async fn an_incarnation_that_was_stuck_goes_on_when_it_is_taken() {
    let place = tempfile::tempdir().unwrap();
    let stored = Stored {
        refused: Some(1),
        ..roomy()
    };
    let upload = Upload::start(place.path(), 1, stored).await;
    let all = append(&upload.journal, 3, 10);
    let looks = || upload.status.read();
    let is_stuck = |status: &crate::status::Status| status.journal_stuck.contains(&1);
    upload.status.wait_until(looks, is_stuck, SOON).await.unwrap();
    upload.stored.lock().unwrap().refused = None;
    let goes_on = |status: &crate::status::Status| !is_stuck(status);
    upload.status.wait_until(looks, goes_on, SOON).await.unwrap();
    assert_eq!(upload.stored.lock().unwrap().records, all);
}

#[test]
fn what_the_control_plane_calls_another_history_is_a_fork() {
    let refused = |code| UploadError::Refused(tonic::Status::new(code, "another history"));
    assert!(refused(Code::DataLoss).is_fork());
    assert!(!refused(Code::Unavailable).is_fork() && !refused(Code::Unavailable).is_of_the_records());
}

#[tokio::test]
async fn an_incarnation_whose_only_record_is_torn_has_nothing_to_give_and_is_no_fork() {
    let place = tempfile::tempdir().unwrap();
    append(&Journal::open(place.path(), instance(), 1, ROOMY).unwrap(), 1, 10);
    let segment = std::fs::read_dir(place.path()).unwrap().next().unwrap().unwrap();
    let length = segment.metadata().unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(segment.path());
    file.unwrap().set_len(length - 1).unwrap();
    let upload = Upload::start(place.path(), 2, roomy()).await;
    let new = append(&upload.journal, 1, 10);
    upload.until(|stored| stored.records.len() == 1).await;
    assert_eq!(upload.stored.lock().unwrap().records, new);
    assert_eq!(
        (upload.status.read().forks, upload.journal.incarnations()),
        (0, vec![2])
    );
}
