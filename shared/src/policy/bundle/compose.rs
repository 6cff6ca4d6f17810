//! Composing: packs into segments, by content, with the self-test.
//!
//! **Invariant**: the same packs give the same bytes, in whatever order they come.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use thiserror::Error;

use super::segment::{encode_catalog, encode_entities, encode_rules};
use super::{Bundle, BundleError, Manifest, Parts, SegmentKind, SegmentRef};
use crate::action::Sha256;
use crate::id::Generation;
use crate::policy::finding::Finding;
use crate::policy::pack::Pack;
use crate::policy::schema;
use crate::policy::self_test::SelfTests;

/// A piece of a bundle, named by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// How to decode it.
    pub kind: SegmentKind,
    /// The pack it was compiled from; empty for what belongs to the composition.
    pub pack: String,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Packs compiled together, not yet numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composition {
    /// The hash of the names of the packs in it.
    pub audience: String,
    /// In the order in which they are decoded.
    pub segments: Vec<Segment>,
    /// The hash of what was decided on the self-test.
    pub self_test: Sha256,
}

/// Packs that can't run together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ComposeError {
    /// Two packs of one name.
    #[error("two packs are called `{0}`; remove one")]
    SamePack(String),
    /// Errors that a check reports.
    #[error("the packs don't fit together; run `checkrein policy check` on them ({} findings)", .0.len())]
    Findings(Vec<Finding>),
    /// What was composed does not decode.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// Compiles packs and composes them. Zero packs are valid, and deny everything.
pub fn compose(packs: &[&Pack]) -> Result<Composition, ComposeError> {
    let mut packs = packs.to_vec();
    packs.sort_by(|left, right| left.name.cmp(&right.name));
    if let Some(pair) = packs.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(ComposeError::SamePack(pair[0].name.clone()));
    }
    let mut segments = Vec::with_capacity(packs.len() * 3 + 1);
    let mut entities = entities(&packs).map_err(ComposeError::Findings)?;
    for pack in &packs {
        segments.push(Segment::new(
            SegmentKind::Catalog,
            &pack.name,
            encode_catalog(pack),
        ));
        if !pack.rules.is_empty() {
            segments.push(Segment::new(SegmentKind::Rules, &pack.name, encode_rules(pack)));
        }
        if let Some(json) = entities.remove(pack.name.as_str()) {
            segments.push(Segment::new(
                SegmentKind::Entities,
                &pack.name,
                encode_entities(json),
            ));
        }
    }
    let self_tests = SelfTests::derive(&packs, &untested(&segments)?);
    segments.push(Segment::new(SegmentKind::SelfTest, "", self_tests.encode()));
    Ok(Composition {
        audience: audience(&packs),
        segments,
        self_test: self_tests.sha256(),
    })
}

impl Composition {
    /// What an enforcer would make of it, unnumbered: to run cases and to try actions.
    pub fn open(&self) -> Result<Bundle, BundleError> {
        let segments: HashMap<_, _> = self.segments.iter().map(|s| (s.sha256, &s.bytes)).collect();
        let manifest = Manifest::of(self, 0, Generation::default());
        Bundle::decode(&manifest, |sha256| {
            segments.get(sha256).map(|bytes| (*bytes).clone())
        })
    }
}

impl Segment {
    fn new(kind: SegmentKind, pack: &str, bytes: Vec<u8>) -> Self {
        let sha256 = Sha256::of(&bytes);
        Self {
            kind,
            pack: pack.to_owned(),
            sha256,
            bytes: bytes.into(),
        }
    }

    fn reference(&self) -> SegmentRef {
        SegmentRef {
            kind: self.kind,
            pack: self.pack.clone(),
            sha256: self.sha256,
            length: self.bytes.len() as u64,
        }
    }
}

/// The bundle of these segments, decoded from their bytes as an enforcer would, before there is a self-test to run.
fn untested(segments: &[Segment]) -> Result<Bundle, BundleError> {
    let mut parts = Parts::default();
    for segment in segments {
        parts.add(&segment.reference(), segment.bytes.clone())?;
    }
    parts.bundle(0, Generation::default())
}

/// Each pack's entities, compiled. Only they need the schema here: rules have been validated by a check.
fn entities<'p>(packs: &[&'p Pack]) -> Result<BTreeMap<&'p str, String>, Vec<Finding>> {
    if packs.iter().all(|pack| pack.entities.is_none()) {
        return Ok(BTreeMap::new());
    }
    schema::compiled_entities(packs, &schema::schema(packs)?)
}

fn audience(packs: &[&Pack]) -> String {
    let mut names = Vec::new();
    for pack in packs {
        names.extend_from_slice(&(pack.name.len() as u64).to_be_bytes());
        names.extend_from_slice(pack.name.as_bytes());
    }
    Sha256::of(&names).to_string()
}
