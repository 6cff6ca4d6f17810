//! Taking in an announced policy: verify, fetch what is missing, decode, make durable. Installing it is the session's.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use checkrein_proto::fleet::v1::Stage;
use checkrein_proto::policy::v1::SignedManifest;
use checkrein_shared::action::Sha256;
use checkrein_shared::key::KeySet;
use tokio::time::Instant;
use tonic::Code;

use super::fetch::{FetchError, Source, Wanted};
use super::heavy::Heavy;
use super::{Parts, SessionError};
use crate::policy::{self, Refused, Verified};
use crate::snapshot::Policy;

/// A policy that is ready to decide and on disk.
#[derive(Debug)]
pub(super) struct Adopted {
    /// A session that ended leaves it to nobody, and no worker shall free it.
    pub(super) policy: Heavy<Policy>,
    pub(super) fetch_us: u64,
    pub(super) decode_us: u64,
}

/// Why not.
#[derive(Debug)]
pub(super) enum Failure {
    /// The policy's own fault: these bytes need not be offered again.
    Refused(Refused),
    /// The replica's fault, or this machine's: the policy may be as good as any, and the next session brings it again.
    Session(SessionError),
}

/// All of it, but the last step.
pub(super) async fn adopt(
    parts: Arc<Parts>,
    source: Arc<dyn Source>,
    signed: SignedManifest,
) -> Result<Adopted, Failure> {
    let snapshot = parts.snapshots.pin();
    let keys = snapshot
        .keys
        .clone()
        .ok_or_else(|| Refused::new(Stage::Verify, "no key set has come yet"))?;
    // Decoding takes a while, and what is pinned can't be freed.
    drop(snapshot);
    let (verified, held) = on_disk(&parts, signed.clone(), keys).await?;
    if let Some(policy) = running(&parts, verified.digest) {
        return Ok(Adopted {
            policy: Heavy::new(policy),
            fetch_us: 0,
            decode_us: 0,
        });
    }
    let started = Instant::now();
    let segments = complete(&*source, &verified, held).await?;
    let fetch_us = micros(started);
    let started = Instant::now();
    let policy = decode_and_keep(parts, signed, verified, segments).await?;
    Ok(Adopted {
        policy: Heavy::new(policy),
        fetch_us,
        decode_us: micros(started),
    })
}

/// The policy that decides, if it is this one.
fn running(parts: &Parts, manifest: Sha256) -> Option<Policy> {
    let snapshot = parts.snapshots.pin();
    let policy = snapshot.policy.as_ref();
    policy.filter(|policy| policy.manifest == manifest).cloned()
}

type Segments = HashMap<Sha256, Bytes>;

/// Verifies the manifest against the mark, and finds the segments that are here already.
async fn on_disk(
    parts: &Arc<Parts>,
    signed: SignedManifest,
    keys: Arc<KeySet>,
) -> Result<(Verified, Segments), Failure> {
    let parts = Arc::clone(parts);
    blocking(move || {
        let kept = parts.kept();
        let verified = policy::verify(&signed, &keys, &parts.root, kept.high_water())?;
        let held = verified.manifest.segments.iter();
        let held = held
            .filter_map(|segment| Some((segment.sha256, kept.segment(&segment.sha256)?)))
            .collect();
        Ok((verified, held))
    })
    .await
}

async fn complete(source: &dyn Source, verified: &Verified, mut held: Segments) -> Result<Segments, Failure> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for segment in &verified.manifest.segments {
        if !held.contains_key(&segment.sha256) && wanted.iter().all(|known| known.sha256 != segment.sha256) {
            wanted.push(Wanted {
                sha256: segment.sha256,
                length: segment.length,
            });
        }
    }
    if !wanted.is_empty() {
        held.extend(source.fetch(wanted).await?);
    }
    Ok(held)
}

async fn decode_and_keep(
    parts: Arc<Parts>,
    signed: SignedManifest,
    verified: Verified,
    segments: Segments,
) -> Result<Policy, Failure> {
    blocking(move || {
        let policy = policy::decode(&verified, &segments)?;
        let mut kept = parts.kept();
        policy::check_still_newest(&verified, kept.high_water())?;
        let durable = kept.keep_policy(&signed, &verified, &segments);
        durable.map_err(SessionError::Persist)?;
        Ok(policy)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let panicked = |_| Refused::new(Stage::Decode, "the bundle made the enforcer panic");
    done.map_err(panicked)?
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Session(match error {
            FetchError::Source(status) if status.code() == Code::NotFound => SessionError::Superseded,
            FetchError::Source(status) => SessionError::Fetch(status),
            FetchError::Content(reason) => SessionError::Segments(reason),
        })
    }
}
