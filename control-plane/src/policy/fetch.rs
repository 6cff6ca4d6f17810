//! `BundleService`: handing out segments.
//!
//! Small and urgent things go over the session; bytes are fetched here, chunk by chunk, so that the encoder never copies
//! a bundle into a stream whole.
//!
//! **Invariant**: an enforcer gets only segments of bundles of its own audience: the newest, or one of the last before it,
//! which it may have begun to fetch when another was pushed.

use std::collections::HashSet;

use checkrein_proto::policy::v1 as wire;
use checkrein_proto::policy::v1::bundle_service_server::BundleService;
use checkrein_shared::action::Sha256;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{PublishedFeed, store};
use crate::api::{bad_field, database_trouble};
use crate::caller::Caller;
use crate::database::Database;

/// Segments asked for in one call.
const SEGMENTS_MAX: usize = 256;
/// Bytes of one message.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks waiting for a slow reader.
const CHUNKS_WAITING_MAX: usize = 4;

/// Hands out segments.
#[derive(Debug, Clone)]
pub struct Segments {
    database: Database,
    published: PublishedFeed,
}

impl Segments {
    /// Of what is published.
    pub const fn new(database: Database, published: PublishedFeed) -> Self {
        Self { database, published }
    }

    /// The segments of the bundle that is this enforcer's now.
    fn own(&self, enforcer: &str) -> Result<HashSet<Sha256>, Status> {
        let published = self.published.borrow();
        let registered = published.enforcers.get(enforcer);
        let registered =
            registered.ok_or_else(|| Status::permission_denied("the enforcer is not in the register"))?;
        let Some((signed, _)) = &registered.bundle else {
            return Ok(HashSet::new());
        };
        let manifest =
            wire::Manifest::decode(&*signed.manifest).map_err(|_| Status::internal("unreadable manifest"))?;
        Ok(manifest
            .segments
            .iter()
            .filter_map(|segment| Sha256::try_from(&*segment.sha256).ok())
            .collect())
    }
}

#[tonic::async_trait]
impl BundleService for Segments {
    type FetchStream = ReceiverStream<Result<wire::FetchResponse, Status>>;

    async fn fetch(
        &self,
        request: Request<wire::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let caller = Caller::of(&request)?;
        let wanted: Vec<Vec<u8>> = request.into_inner().sha256.into_iter().map(Vec::from).collect();
        if wanted.len() > SEGMENTS_MAX {
            return Err(bad_field(
                "sha256",
                format!("at most {SEGMENTS_MAX} segments a call"),
            ));
        }
        let own = self.own(caller.id.name())?;
        let not_own: Vec<Vec<u8>> = wanted
            .iter()
            .filter(|sha256| !Sha256::try_from(&***sha256).is_ok_and(|sha256| own.contains(&sha256)))
            .cloned()
            .collect();
        let tx = self
            .database
            .begin("policy.fetch")
            .await
            .map_err(|error| database_trouble(&error))?;
        if !not_own.is_empty() {
            let recent = store::recent_segments(&tx, caller.id.name(), &not_own)
                .await
                .map_err(|error| database_trouble(&error))?;
            let distinct: HashSet<&Vec<u8>> = not_own.iter().collect();
            if recent.len() < distinct.len() {
                return Err(Status::not_found(
                    "no such segment in this enforcer's bundle; announce it again",
                ));
            }
        }
        let segments = store::segments(&tx, &wanted)
            .await
            .map_err(|error| database_trouble(&error))?;
        tx.commit().await.map_err(|error| database_trouble(&error))?;
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
        tokio::spawn(async move {
            for (sha256, bytes) in segments {
                // An empty segment is one empty chunk.
                for offset in (0..bytes.len().max(1)).step_by(CHUNK_BYTES) {
                    let chunk = bytes.slice(offset..bytes.len().min(offset + CHUNK_BYTES));
                    let chunk = wire::FetchResponse {
                        sha256: sha256.to_bytes(),
                        offset: offset as u64,
                        chunk,
                    };
                    if sender.send(Ok(chunk)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
