//! From a signed manifest to a bundle that may decide: the same steps for what is announced and for what was kept.
//!
//! **Invariant**: nothing decides that was not signed by a key the root certified, that is lower than the high-water mark,
//! or that gave other verdicts here than in the control plane. A bundle that panics is a bundle that is refused.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use checkrein_proto::fleet::v1::Stage;
use checkrein_proto::policy::v1::SignedManifest;
use checkrein_shared::Generation;
use checkrein_shared::action::Sha256;
use checkrein_shared::key::{KeySet, VerifyingKey};
use checkrein_shared::policy::{self, Bundle, BundleError, Manifest};
use thiserror::Error;

use crate::snapshot::Policy;

/// The segments of one bundle may have at most so many bytes.
pub(crate) const BUNDLE_BYTES_MAX: u64 = 64 << 20;
/// And so many segments.
const SEGMENTS_MAX: usize = 4_096;

/// The highest policy this enforcer ever made durable; lower ones are refused for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HighWater {
    pub(crate) epoch: u64,
    pub(crate) generation: Generation,
    pub(crate) manifest: Sha256,
}

/// A manifest that is believed, and not lower than what was.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) manifest: Manifest,
    pub(crate) digest: Sha256,
}

/// Why a bundle does not decide.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub(crate) struct Refused {
    pub(crate) stage: Stage,
    pub(crate) reason: String,
}

impl HighWater {
    /// The mark once this manifest is durable.
    pub(crate) fn of(verified: &Verified) -> Self {
        Self {
            epoch: verified.manifest.epoch,
            generation: verified.manifest.generation,
            manifest: verified.digest,
        }
    }

    /// Whether anything was ever durable here.
    const fn is_set(self) -> bool {
        self.generation.0 != 0
    }
}

impl Refused {
    pub(crate) fn new(stage: Stage, reason: impl Into<String>) -> Self {
        Self {
            stage,
            reason: reason.into(),
        }
    }
}

/// Believes a manifest if a certified key signed it, or the root where the epoch rises, and it is no step back.
pub(crate) fn verify(
    signed: &SignedManifest,
    keys: &KeySet,
    root: &VerifyingKey,
    mark: HighWater,
) -> Result<Verified, Refused> {
    let certified = [keys.bundle.as_slice(), std::slice::from_ref(root)].concat();
    let (manifest, digest) = Manifest::verify(signed, &certified).map_err(|error| Refused::from(&error))?;
    let by_root = signed.key_id == root.id().0;
    let verified = Verified { manifest, digest };
    check_order(&verified, by_root, mark)?;
    check_size(&verified.manifest)?;
    Ok(verified)
}

/// Decodes and tests a bundle; a panic in it is its own failure. Takes long: not for a thread that serves.
pub(crate) fn decode(verified: &Verified, segments: &HashMap<Sha256, Bytes>) -> Result<Policy, Refused> {
    let find = |sha256: &Sha256| segments.get(sha256).cloned();
    let decoded = catch_unwind(AssertUnwindSafe(|| Bundle::decode(&verified.manifest, find)));
    let decoded = decoded.map_err(|_| Refused::new(Stage::Decode, "the bundle made the decoder panic"))?;
    let bundle = decoded.map_err(|error| Refused::from(&error))?;
    Ok(Policy {
        bundle: Arc::new(bundle),
        manifest: verified.digest,
        seated: None,
    })
}

impl From<&BundleError> for Refused {
    fn from(error: &BundleError) -> Self {
        let stage = match error.stage() {
            policy::Stage::Verify => Stage::Verify,
            policy::Stage::Decode => Stage::Decode,
            policy::Stage::SelfTest => Stage::SelfTest,
        };
        Self::new(stage, error.to_string())
    }
}

/// Whether something newer became durable while this one was fetched and decoded.
pub(crate) fn check_still_newest(verified: &Verified, mark: HighWater) -> Result<(), Refused> {
    if (verified.manifest.epoch, verified.manifest.generation) < (mark.epoch, mark.generation) {
        return Err(Refused::new(
            Stage::RollbackRefused,
            "a newer generation came meanwhile",
        ));
    }
    Ok(())
}

fn check_order(offered: &Verified, by_root: bool, mark: HighWater) -> Result<(), Refused> {
    let refused = |reason: String| Err(Refused::new(Stage::RollbackRefused, reason));
    let (epoch, generation) = (offered.manifest.epoch, offered.manifest.generation);
    if !mark.is_set() {
        return Ok(());
    }
    if epoch < mark.epoch {
        return refused(format!(
            "epoch {epoch} is lower than {}, which this enforcer has run",
            mark.epoch
        ));
    }
    if epoch > mark.epoch {
        if by_root {
            return Ok(());
        }
        return refused(format!(
            "epoch {epoch} is higher than {} and not signed by the root key",
            mark.epoch
        ));
    }
    if generation < mark.generation {
        return refused(format!(
            "generation {generation} is lower than {}, which this enforcer has run",
            mark.generation
        ));
    }
    if generation == mark.generation && offered.digest != mark.manifest {
        return refused(format!(
            "generation {generation} is known here with another digest: somebody forges or forks"
        ));
    }
    Ok(())
}

fn check_size(manifest: &Manifest) -> Result<(), Refused> {
    let total = manifest
        .segments
        .iter()
        .try_fold(0_u64, |sum, segment| sum.checked_add(segment.length));
    if manifest.segments.len() > SEGMENTS_MAX || total.is_none_or(|total| total > BUNDLE_BYTES_MAX) {
        let reason = format!("the bundle is larger than {BUNDLE_BYTES_MAX} bytes or {SEGMENTS_MAX} segments");
        return Err(Refused::new(Stage::Verify, reason));
    }
    Ok(())
}
