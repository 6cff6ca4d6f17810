//! The end of the journal that grows, as its lock guards it.
//!
//! **Invariant**: the chain, the sequence and the bytes counted are those of what was wholly written; after a write that
//! failed halfway nothing more is taken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use checkrein_shared::decision::Chain;

use super::segment::{SegmentId, SegmentState};
use super::{JournalError, Shared, frame, segment};

/// What the lock guards.
#[derive(Debug)]
pub(super) struct Writer {
    /// Every segment on disk, over all incarnations.
    pub(super) segments: BTreeMap<SegmentId, SegmentState>,
    /// The one that grows.
    pub(super) live: SegmentId,
    pub(super) file: Arc<File>,
    pub(super) chain: Chain,
    /// Sum over `segments`.
    pub(super) bytes: u64,
    /// Closed since the last sync.
    pub(super) unsynced: Vec<Arc<File>>,
    /// A segment was made since the last sync.
    pub(super) names_changed: bool,
    pub(super) failed: bool,
    pub(super) closed: bool,
}

impl Writer {
    /// A new incarnation, with nothing in it yet.
    pub(super) fn new(
        segments: BTreeMap<SegmentId, SegmentState>,
        live: SegmentId,
        file: File,
        chain: Chain,
    ) -> Self {
        Self {
            bytes: segments.values().map(|segment| segment.bytes).sum(),
            segments,
            live,
            file: Arc::new(file),
            chain,
            unsynced: Vec::new(),
            names_changed: false,
            failed: false,
            closed: false,
        }
    }

    pub(super) fn segments_of(&self, incarnation: u64) -> impl Iterator<Item = (&SegmentId, &SegmentState)> {
        let first = SegmentId {
            incarnation,
            first: 0,
        };
        let last = SegmentId {
            incarnation,
            first: u64::MAX,
        };
        self.segments.range(first..=last)
    }

    pub(super) fn append(
        &mut self,
        shared: &Shared,
        payload: &[u8],
        limit: u64,
    ) -> Result<u64, JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        if self.closed {
            return Err(JournalError::Closed);
        }
        let sequence = self.chain.next_sequence;
        let chain = self.chain.extend(payload);
        let frame = frame::encode(payload, &chain).ok_or(JournalError::TooLong(payload.len()))?;
        let length = frame.len() as u64;
        if self.bytes + length > limit {
            return Err(JournalError::Full { bytes: self.bytes });
        }
        if self.live_bytes() + length > shared.segment_bytes && sequence > self.live.first {
            self.rotate(shared)?;
        }
        if let Err(error) = (&*self.file).write_all(&frame) {
            // Part of it may be there: whatever followed would stand behind a torn frame.
            self.failed = true;
            shared.progress.send_modify(|progress| progress.failed = true);
            return Err(error.into());
        }
        self.chain = chain;
        self.bytes += length;
        if let Some(live) = self.segments.get_mut(&self.live) {
            live.bytes += length;
            live.end = Some(sequence + 1);
        }
        Ok(sequence)
    }

    fn live_bytes(&self) -> u64 {
        self.segments.get(&self.live).map_or(0, |segment| segment.bytes)
    }

    fn rotate(&mut self, shared: &Shared) -> Result<(), JournalError> {
        let next = SegmentId {
            incarnation: self.live.incarnation,
            first: self.chain.next_sequence,
        };
        let (file, length) = segment::create(&shared.directory, next, self.chain)?;
        self.unsynced
            .push(std::mem::replace(&mut self.file, Arc::new(file)));
        self.names_changed = true;
        self.segments.insert(
            next,
            SegmentState {
                bytes: length,
                end: Some(next.first),
            },
        );
        self.bytes += length;
        self.live = next;
        Ok(())
    }

    /// A segment that does not grow any more is like this now, or gone.
    pub(super) fn learn(&mut self, id: SegmentId, state: Option<SegmentState>) {
        if let Some(known) = self.segments.remove(&id) {
            self.bytes -= known.bytes;
        }
        if let Some(state) = state {
            self.bytes += state.bytes;
            self.segments.insert(id, state);
        }
    }
}
