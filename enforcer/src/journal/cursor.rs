//! Reading the journal back, in batches, for the control plane.
//!
//! **Invariant**: a cursor hands out only records that were wholly appended, in order, with the chain before and after.

use std::fs::File;
use std::io::{self, BufReader};
use std::sync::Arc;

use bytes::Bytes;
use checkrein_shared::decision::Chain;
use thiserror::Error;

use super::Shared;
use super::frame::{self, Found};
use super::segment::{self, SegmentId};

/// A place in one incarnation.
#[derive(Debug)]
pub(crate) struct Cursor {
    shared: Arc<Shared>,
    segment: SegmentId,
    file: BufReader<File>,
    /// Up to here everything was handed out.
    chain: Chain,
    /// Read, and too big for the batch it would have been in.
    kept: Option<(Bytes, Chain)>,
}

/// A run of records.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The chain before the first.
    pub(crate) before: Chain,
    /// The chain after the last.
    pub(crate) after: Chain,
    /// Encoded.
    pub(crate) records: Vec<Bytes>,
    /// Their sum.
    pub(crate) bytes: u64,
}

/// A place that can't be read.
#[derive(Debug, Error)]
pub(crate) enum CursorError {
    /// The records there were acked and deleted.
    #[error("record {wanted} was acknowledged and deleted; the oldest kept is {oldest}")]
    Deleted { wanted: u64, oldest: u64 },
    /// There are no records there.
    #[error("record {0} was never written")]
    Beyond(u64),
    /// The file changed under us.
    #[error("the journal can't be read back at record {0}")]
    Damaged(u64),
    /// The disk says no.
    #[error("can't read the journal")]
    Io(#[from] io::Error),
}

impl Cursor {
    pub(super) fn open(shared: &Arc<Shared>, incarnation: u64, from: u64) -> Result<Self, CursorError> {
        let segment = locate(shared, incarnation, from)?;
        let (file, chain) = open_segment(shared, segment)?;
        let mut cursor = Self {
            shared: Arc::clone(shared),
            segment,
            file,
            chain,
            kept: None,
        };
        while cursor.chain.next_sequence < from {
            let (_, after) = cursor.read()?;
            cursor.chain = after;
        }
        Ok(cursor)
    }

    /// Where it stands.
    pub(crate) const fn chain(&self) -> Chain {
        self.chain
    }

    /// The next records before `end`: at most `records_max`, and at most `bytes_max` unless one alone is longer.
    pub(crate) fn next_batch(
        &mut self,
        end: u64,
        records_max: usize,
        bytes_max: u64,
    ) -> Result<Option<Batch>, CursorError> {
        let mut batch = Batch {
            before: self.chain,
            after: self.chain,
            records: Vec::new(),
            bytes: 0,
        };
        while self.chain.next_sequence < end && batch.records.len() < records_max {
            let (payload, after) = match self.kept.take() {
                Some(kept) => kept,
                None => self.read()?,
            };
            let bytes = batch.bytes + payload.len() as u64;
            if bytes > bytes_max && !batch.records.is_empty() {
                self.kept = Some((payload, after));
                break;
            }
            batch.bytes = bytes;
            batch.records.push(payload);
            self.chain = after;
        }
        batch.after = self.chain;
        Ok((!batch.records.is_empty()).then_some(batch))
    }

    fn read(&mut self) -> Result<(Bytes, Chain), CursorError> {
        loop {
            match frame::read(&mut self.file, self.chain)? {
                Found::Record(payload, after) => return Ok((payload.into(), after)),
                Found::End => self.enter_next_segment()?,
                Found::Torn | Found::Corrupt => return Err(CursorError::Damaged(self.chain.next_sequence)),
            }
        }
    }

    fn enter_next_segment(&mut self) -> Result<(), CursorError> {
        let next = SegmentId {
            incarnation: self.segment.incarnation,
            first: self.chain.next_sequence,
        };
        if next == self.segment {
            return Err(CursorError::Beyond(next.first));
        }
        let (file, chain) = open_segment(&self.shared, next)?;
        if chain != self.chain {
            return Err(CursorError::Damaged(next.first));
        }
        self.segment = next;
        self.file = file;
        Ok(())
    }
}

/// The segment in which a sequence stands, or would stand next.
fn locate(shared: &Shared, incarnation: u64, from: u64) -> Result<SegmentId, CursorError> {
    let writer = shared.writer.lock().map_err(|_| CursorError::Damaged(from))?;
    let found = writer
        .segments_of(incarnation)
        .take_while(|(id, _)| id.first <= from)
        .last();
    if let Some((id, segment)) = found {
        return if segment.end.is_some_and(|end| from <= end) {
            Ok(*id)
        } else {
            Err(CursorError::Beyond(from))
        };
    }
    match writer.segments_of(incarnation).next() {
        Some((oldest, _)) => Err(CursorError::Deleted {
            wanted: from,
            oldest: oldest.first,
        }),
        None => Err(CursorError::Beyond(from)),
    }
}

fn open_segment(shared: &Shared, id: SegmentId) -> Result<(BufReader<File>, Chain), CursorError> {
    let mut file = BufReader::new(File::open(shared.directory.join(id.file_name()))?);
    let chain = segment::read_head(&mut file, id)?.ok_or(CursorError::Damaged(id.first))?;
    Ok((file, chain))
}
