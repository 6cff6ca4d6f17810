//! The manifest: what one audience runs at one generation, by content. The only thing that is signed.

use checkrein_proto::policy::v1 as wire;
use prost::Message;

use super::compose::Composition;
use super::{BUNDLE_FORMAT, BundleError};
use crate::action::Sha256;
use crate::id::Generation;
use crate::key::{SigningKey, VerifyingKey};
use crate::text::shown;

/// A bundle may have at most this many segments.
pub const SEGMENTS_MAX: usize = 4_096;
/// A segment may have at most this many bytes.
pub const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// An encoded manifest may have at most this many bytes.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// How to decode a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// What each tool is.
    Catalog,
    /// A pack's rules.
    Rules,
    /// A pack's entities.
    Entities,
    /// Actions, and what the control plane decided on them.
    SelfTest,
}

/// A segment, by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRef {
    /// How to decode it.
    pub kind: SegmentKind,
    /// The pack it was compiled from; empty for what belongs to the composition.
    pub pack: String,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// How many bytes it has.
    pub length: u64,
}

/// What one audience runs at one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Raised only by the root key, after a database was restored.
    pub epoch: u64,
    /// The revision that composed it.
    pub generation: Generation,
    /// Who it is for: the hash of the names of the packs in it.
    pub audience: String,
    /// In the order in which they are decoded.
    pub segments: Vec<SegmentRef>,
    /// The hash of what the control plane decided on the self-test.
    pub self_test: Sha256,
}

impl Manifest {
    /// Numbers a composition.
    pub fn of(composition: &Composition, epoch: u64, generation: Generation) -> Self {
        let reference = |segment: &super::Segment| SegmentRef {
            kind: segment.kind,
            pack: segment.pack.clone(),
            sha256: segment.sha256,
            length: segment.bytes.len() as u64,
        };
        Self {
            epoch,
            generation,
            audience: composition.audience.clone(),
            segments: composition.segments.iter().map(reference).collect(),
            self_test: composition.self_test,
        }
    }

    /// Deterministic bytes: the same manifest gives the same.
    pub fn encode(&self) -> Vec<u8> {
        let segments = self.segments.iter().map(|segment| wire::SegmentRef {
            kind: wire::SegmentKind::from(segment.kind).into(),
            pack: segment.pack.clone(),
            sha256: segment.sha256.to_bytes(),
            length: segment.length,
        });
        wire::Manifest {
            format: BUNDLE_FORMAT,
            epoch: self.epoch,
            generation: self.generation.0,
            audience: self.audience.clone(),
            segments: segments.collect(),
            self_test_sha256: self.self_test.to_bytes(),
        }
        .encode_to_vec()
    }

    /// Signs it with a bundle key.
    pub fn sign(&self, key: &SigningKey) -> wire::SignedManifest {
        let manifest = self.encode();
        wire::SignedManifest {
            signature: key.sign(&manifest).to_vec().into(),
            manifest: manifest.into(),
            key_id: key.id().0.clone(),
        }
    }

    /// Believes a manifest if one of these keys signed it; with it comes the digest of its bytes.
    pub fn verify(
        signed: &wire::SignedManifest,
        keys: &[VerifyingKey],
    ) -> Result<(Self, Sha256), BundleError> {
        let key = keys.iter().find(|key| key.id().0 == signed.key_id);
        let key = key.ok_or_else(|| BundleError::UnknownKey(shown(&signed.key_id)))?;
        key.verify(&signed.manifest, &signed.signature)
            .map_err(|_| BundleError::Signature)?;
        if signed.manifest.len() > MANIFEST_BYTES_MAX {
            return Err(BundleError::Manifest(format!(
                "it has more than {MANIFEST_BYTES_MAX} bytes"
            )));
        }
        let manifest = wire::Manifest::decode(&*signed.manifest)
            .map_err(|error| BundleError::Manifest(error.to_string()))?;
        Ok((Self::try_from(manifest)?, Sha256::of(&signed.manifest)))
    }
}

impl TryFrom<wire::Manifest> for Manifest {
    type Error = BundleError;

    fn try_from(manifest: wire::Manifest) -> Result<Self, BundleError> {
        if manifest.format != BUNDLE_FORMAT {
            return Err(BundleError::Format(manifest.format));
        }
        if manifest.segments.len() > SEGMENTS_MAX {
            return Err(BundleError::Manifest(format!(
                "it has more than {SEGMENTS_MAX} segments"
            )));
        }
        Ok(Self {
            epoch: manifest.epoch,
            generation: Generation(manifest.generation),
            audience: manifest.audience,
            self_test: digest(&manifest.self_test_sha256)?,
            segments: manifest
                .segments
                .into_iter()
                .map(SegmentRef::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<wire::SegmentRef> for SegmentRef {
    type Error = BundleError;

    fn try_from(segment: wire::SegmentRef) -> Result<Self, BundleError> {
        let kind = match segment.kind() {
            wire::SegmentKind::Catalog => SegmentKind::Catalog,
            wire::SegmentKind::Rules => SegmentKind::Rules,
            wire::SegmentKind::Entities => SegmentKind::Entities,
            wire::SegmentKind::SelfTest => SegmentKind::SelfTest,
            wire::SegmentKind::Unspecified => {
                return Err(BundleError::Manifest(format!(
                    "segments of kind {} are not known",
                    segment.kind
                )));
            }
        };
        if segment.length > SEGMENT_BYTES_MAX {
            return Err(BundleError::Manifest(format!(
                "a segment has more than {SEGMENT_BYTES_MAX} bytes"
            )));
        }
        Ok(Self {
            kind,
            sha256: digest(&segment.sha256)?,
            pack: segment.pack,
            length: segment.length,
        })
    }
}

impl From<SegmentKind> for wire::SegmentKind {
    fn from(kind: SegmentKind) -> Self {
        match kind {
            SegmentKind::Catalog => Self::Catalog,
            SegmentKind::Rules => Self::Rules,
            SegmentKind::Entities => Self::Entities,
            SegmentKind::SelfTest => Self::SelfTest,
        }
    }
}

fn digest(bytes: &[u8]) -> Result<Sha256, BundleError> {
    Sha256::try_from(bytes).map_err(|error| BundleError::Manifest(error.to_string()))
}
