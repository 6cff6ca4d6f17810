//! Fetching segments: only those asked for, never longer than the signed manifest says, in order.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use checkrein_proto::policy::v1::bundle_service_client::BundleServiceClient;
use checkrein_proto::policy::v1::{FetchRequest, FetchResponse};
use checkrein_shared::action::Sha256;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tonic::Status;
use tonic::transport::Channel;

/// Longest fetch of one batch.
const FETCH_DEADLINE: Duration = Duration::from_mins(1);
/// So many segments are asked for at once.
const SEGMENTS_A_CALL_MAX: usize = 256;

/// A segment that is missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) sha256: Sha256,
    /// As the signed manifest says.
    pub(super) length: u64,
}

/// Where segments come from.
pub(super) trait Source: Send + Sync + Debug {
    fn fetch(&self, wanted: Vec<Wanted>) -> BoxFuture<'_, Result<HashMap<Sha256, Bytes>, FetchError>>;
}

/// Why there are no segments.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The replica did not give them.
    Source(Status),
    /// It gave something else.
    Content(String),
}

/// The replica this session is with.
#[derive(Debug)]
pub(super) struct Replica(pub(super) Channel);

/// What has come so far.
struct Gathering {
    wanted: HashMap<Sha256, u64>,
    parts: HashMap<Sha256, BytesMut>,
}

impl Source for Replica {
    fn fetch(&self, wanted: Vec<Wanted>) -> BoxFuture<'_, Result<HashMap<Sha256, Bytes>, FetchError>> {
        async move {
            let mut all = HashMap::new();
            for some in wanted.chunks(SEGMENTS_A_CALL_MAX) {
                let fetched = tokio::time::timeout(FETCH_DEADLINE, fetch_some(self.0.clone(), some)).await;
                let late = |_| Status::deadline_exceeded("the segments did not come in time");
                all.extend(fetched.map_err(late).map_err(FetchError::Source)??);
            }
            Ok(all)
        }
        .boxed()
    }
}

async fn fetch_some(channel: Channel, wanted: &[Wanted]) -> Result<HashMap<Sha256, Bytes>, FetchError> {
    let request = FetchRequest {
        sha256: wanted.iter().map(|segment| segment.sha256.to_bytes()).collect(),
    };
    let mut client = BundleServiceClient::new(channel);
    let mut chunks = client
        .fetch(request)
        .await
        .map_err(FetchError::Source)?
        .into_inner();
    let mut gathering = Gathering::new(wanted);
    while let Some(chunk) = chunks.message().await.map_err(FetchError::Source)? {
        gathering.take(&chunk)?;
    }
    gathering.finish()
}

impl Gathering {
    fn new(wanted: &[Wanted]) -> Self {
        let wanted: HashMap<Sha256, u64> = wanted
            .iter()
            .map(|segment| (segment.sha256, segment.length))
            .collect();
        let parts = wanted.keys().map(|sha256| (*sha256, BytesMut::new())).collect();
        Self { wanted, parts }
    }

    fn take(&mut self, chunk: &FetchResponse) -> Result<(), FetchError> {
        let content = |reason: &str| FetchError::Content(reason.to_owned());
        let sha256 = Sha256::try_from(&*chunk.sha256).map_err(|_| content("a chunk has no digest"))?;
        let (Some(length), Some(part)) = (self.wanted.get(&sha256), self.parts.get_mut(&sha256)) else {
            return Err(content("a segment came that was not asked for"));
        };
        if chunk.offset != part.len() as u64 {
            return Err(content("a chunk came out of order"));
        }
        if part.len() as u64 + chunk.chunk.len() as u64 > *length {
            return Err(content("a segment is longer than its manifest says"));
        }
        part.extend_from_slice(&chunk.chunk);
        Ok(())
    }

    fn finish(self) -> Result<HashMap<Sha256, Bytes>, FetchError> {
        let mut whole = HashMap::new();
        for (sha256, part) in self.parts {
            if self
                .wanted
                .get(&sha256)
                .is_none_or(|length| *length != part.len() as u64)
            {
                // Cut short by the stream's end: nothing says that the bytes are bad.
                return Err(FetchError::Source(Status::data_loss("a segment ended early")));
            }
            if Sha256::of(&part) != sha256 {
                return Err(FetchError::Content(format!(
                    "segment {sha256} has other bytes than its name says"
                )));
            }
            whole.insert(sha256, part.freeze());
        }
        Ok(whole)
    }
}
