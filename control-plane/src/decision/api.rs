//! `JournalService` and `DecisionService` on the wire.

use checkrein_proto::decision::v1 as wire;
use checkrein_proto::decision::v1::append_request::Body as Up;
use checkrein_proto::decision::v1::decision_service_server::DecisionService;
use checkrein_proto::decision::v1::journal_service_server::JournalService;
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::{Chain, Verdict};
use checkrein_shared::id::DecisionId;
use checkrein_shared::identity::SpiffeId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{AppendError, Batch, Decisions, Journal, Order, Position, Search, StoredDecision, store};
use crate::api::{bad_field, database_trouble, not_found, page_rows, precondition, text, too_much};
use crate::caller::Caller;

/// A batch has at most this many records.
const RECORDS_MAX: usize = 512;
/// How many bytes an enforcer may have in flight: what the database takes in a few commits.
const CREDIT_BYTES: u64 = 1 << 20;
/// Answers waiting for a slow reader.
const ANSWERS_WAITING_MAX: usize = 16;

#[tonic::async_trait]
impl JournalService for Decisions {
    type AppendStream = ReceiverStream<Result<wire::AppendResponse, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<wire::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let caller = Caller::of(&request)?.id;
        let (answers, receiver) = mpsc::channel(ANSWERS_WAITING_MAX);
        let decisions = self.clone();
        let up = request.into_inner();
        tokio::spawn(async move {
            if let Err(status) = decisions.take_in(&caller, up, &answers).await {
                // Nobody left to tell is fine.
                let _gone = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl Decisions {
    async fn take_in(
        &self,
        caller: &SpiffeId,
        mut up: Streaming<wire::AppendRequest>,
        answers: &mpsc::Sender<Result<wire::AppendResponse, Status>>,
    ) -> Result<(), Status> {
        let Some(Up::Open(open)) = up.message().await?.and_then(|message| message.body) else {
            return Err(Status::failed_precondition(
                "the first message must open a journal",
            ));
        };
        let instance = open
            .instance_id
            .parse()
            .map_err(|error| bad_field("instance_id", format!("{error}")))?;
        let journal = Journal::of(caller, instance, open.incarnation);
        let whole_since = Some(open.whole_since).filter(|since| *since > 0);
        let mut cursor = self.open(&journal, whole_since).await?;
        while answers.send(Ok(answer(cursor))).await.is_ok() {
            let Some(message) = self.stop.run_until_cancelled(up.message()).await else {
                break;
            };
            let Some(message) = message? else { break };
            let Some(Up::Batch(batch)) = message.body else {
                return Err(Status::failed_precondition("a journal is opened once"));
            };
            cursor = match self.append(&journal, &parse_batch(batch)?).await {
                // Told where to go on, the enforcer does.
                Err(AppendError::OutOfPlace(cursor)) => cursor,
                result => result?,
            };
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl DecisionService for Decisions {
    async fn search(
        &self,
        request: Request<wire::SearchRequest>,
    ) -> Result<Response<wire::SearchResponse>, Status> {
        let request = request.into_inner();
        let search = parse_search(&request)?;
        let tx = self
            .database
            .begin_looking("decision.search")
            .await
            .map_err(|error| database_trouble(&error))?;
        let found = store::search(&tx, &search)
            .await
            .map_err(|error| too_much(&error, "name a narrower time, or a task"))?;
        let is_full = i64::try_from(found.len()).is_ok_and(|count| count >= search.rows);
        let next_page_token = match found.last() {
            Some(last) if is_full || request.ascending => {
                format!("{}.{}", last.position.at, last.position.id)
            }
            // A follower goes on from where it was.
            None if request.ascending => request.page_token,
            _ => String::new(),
        };
        Ok(Response::new(wire::SearchResponse {
            decisions: found.iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn show(
        &self,
        request: Request<wire::ShowRequest>,
    ) -> Result<Response<wire::ShowResponse>, Status> {
        let id = &request.get_ref().decision_id;
        let id: DecisionId = id
            .parse()
            .map_err(|error| bad_field("decision_id", format!("{error}")))?;
        let tx = self
            .database
            .begin("decision.show")
            .await
            .map_err(|error| database_trouble(&error))?;
        let found = store::find(&tx, id)
            .await
            .map_err(|error| database_trouble(&error))?;
        let found = found.ok_or_else(|| not_found("decision", &id.to_string()))?;
        Ok(Response::new(wire::ShowResponse {
            decision: Some((&found).into()),
        }))
    }

    async fn count(
        &self,
        request: Request<wire::CountRequest>,
    ) -> Result<Response<wire::CountResponse>, Status> {
        let task = Some(&request.get_ref().task_id).filter(|id| !id.is_empty());
        let task = task
            .map(|id| {
                id.parse()
                    .map_err(|error| bad_field("task_id", format!("{error}")))
            })
            .transpose()?;
        let tx = self
            .database
            .begin_looking("decision.count")
            .await
            .map_err(|error| database_trouble(&error))?;
        let (decisions, duplicates, outcomes) = store::count(&tx, task)
            .await
            .map_err(|error| too_much(&error, "name a task"))?;
        Ok(Response::new(wire::CountResponse {
            decisions,
            duplicates,
            outcomes,
        }))
    }
}

impl From<AppendError> for Status {
    fn from(error: AppendError) -> Self {
        let message = error.to_string();
        match error {
            AppendError::ForeignInstance(_) => precondition("FOREIGN_INSTANCE", message),
            AppendError::OutOfPlace(_) => precondition("OUT_OF_PLACE", message),
            AppendError::Forked(_) => Self::data_loss(message),
            AppendError::Record { source, .. } => Self::invalid_argument(format!("{message}: {source}")),
            AppendError::Database(error) => database_trouble(&error),
        }
    }
}

impl From<&StoredDecision> for wire::StoredDecision {
    fn from(stored: &StoredDecision) -> Self {
        Self {
            decision: Some((&stored.decision).into()),
            enforcer: stored.journal.enforcer.clone(),
            instance_id: stored.journal.instance.to_string(),
            incarnation: stored.journal.incarnation,
            sequence: stored.sequence,
            received_unix_ms: stored.received_ms,
            chain_hash: stored.chain_hash.to_bytes(),
            outcome: stored.outcome.as_ref().map(Into::into),
        }
    }
}

fn answer(cursor: Chain) -> wire::AppendResponse {
    wire::AppendResponse {
        next_sequence: cursor.next_sequence,
        chain_hash: cursor.hash.to_bytes(),
        credit_bytes: CREDIT_BYTES,
    }
}

fn parse_batch(batch: wire::AppendBatch) -> Result<Batch, Status> {
    if batch.records.is_empty() || batch.records.len() > RECORDS_MAX {
        return Err(bad_field("records", format!("expected 1 to {RECORDS_MAX}")));
    }
    let hash = Sha256::try_from(&*batch.previous_hash);
    let hash = hash.map_err(|error| bad_field("previous_hash", error.to_string()))?;
    Ok(Batch {
        before: Chain {
            next_sequence: batch.first_sequence,
            hash,
        },
        records: batch.records,
    })
}

fn parse_search(request: &wire::SearchRequest) -> Result<Search, Status> {
    let task = Some(&request.task_id).filter(|id| !id.is_empty());
    let wanted = [
        ("agent", &request.agent),
        ("tool", &request.tool),
        ("rule", &request.rule),
        ("enforcer", &request.enforcer),
    ];
    for (field, asked) in wanted {
        text(field, asked)?;
    }
    let verdict = Verdict::try_from(request.verdict())
        .map(Verdict::as_str)
        .unwrap_or_default();
    Ok(Search {
        task: task
            .map(|id| {
                id.parse()
                    .map_err(|error| bad_field("task_id", format!("{error}")))
            })
            .transpose()?,
        agent: request.agent.clone(),
        tool: request.tool.clone(),
        verdict: verdict.to_owned(),
        rule: request.rule.clone(),
        enforcer: request.enforcer.clone(),
        since_ms: Some(request.since_unix_ms).filter(|ms| *ms > 0),
        until_ms: Some(request.until_unix_ms).filter(|ms| *ms > 0),
        after: parse_token(&request.page_token)?,
        order: if request.ascending {
            Order::Stored
        } else {
            Order::Newest
        },
        rows: page_rows(request.page_size),
    })
}

fn parse_token(token: &str) -> Result<Option<Position>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parts = token.split_once('.').and_then(|(at, id)| {
        Some(Position {
            at: at.parse().ok()?,
            id: id.parse().ok()?,
        })
    });
    parts
        .map(Some)
        .ok_or_else(|| bad_field("page_token", "not a token of an earlier page"))
}
