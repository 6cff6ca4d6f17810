//! The journal: every record is on disk before anyone acts on the verdict it records.
//!
//! Comes from the gate, by [`Journal::append`]; goes to the control plane through [`upload`], and is deleted once acked.
//! An append is one write(2) under a short lock, taken by the thread that decides; surviving power loss is a separate
//! promise, given by [`Journal::sync`], which a thread of its own groups into few `fdatasync`s.
//!
//! **Invariant**: what was appended is never lost silently. A journal that is full, or that failed once, refuses every
//! further record until it is opened anew, and whoever asked is denied.

mod cursor;
mod ended;
mod frame;
mod recover;
mod segment;
mod sync;
pub(crate) mod upload;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use checkrein_shared::decision::{Chain, Record};
use checkrein_shared::id::InstanceId;
use thiserror::Error;
use tokio::sync::watch;

pub(crate) use cursor::{Batch, Cursor, CursorError};
use segment::{SegmentId, SegmentState};
use sync::SyncThread;
use writer::Writer;

use crate::directory::sync_directory;

/// A segment is closed when the next record would make it longer than this.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;
/// A journal holds at least so many segments, however small it is configured.
const SEGMENTS_MIN: u64 = 8;
/// One part in so many is kept for outcomes: what was permitted can still be settled when decisions are refused.
const OUTCOME_RESERVE: u64 = 16;

/// An open journal: one live incarnation that grows, and old ones that are only drained.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    sync: SyncThread,
    incarnation: u64,
}

/// How far the live incarnation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// The sequence of the next record.
    pub(crate) appended: u64,
    /// Everything before this is on stable storage.
    pub(crate) synced: u64,
    /// Nothing can be appended any more.
    pub(crate) failed: bool,
}

/// A record that could not be written down.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Too many bytes wait for the control plane.
    #[error("the journal is full: {bytes} bytes wait for the control plane")]
    Full {
        /// How many.
        bytes: u64,
    },
    /// Longer than any segment may be.
    #[error("a record of {0} bytes is longer than the journal takes")]
    TooLong(usize),
    /// An earlier write or sync failed; what is on disk is not known.
    #[error("the journal failed and takes nothing until the enforcer is restarted")]
    Failed,
    /// The enforcer was shut down; its directory may be another's by now.
    #[error("the enforcer was shut down")]
    Closed,
    /// The disk says no.
    #[error("can't write the journal")]
    Io(#[from] io::Error),
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    instance: InstanceId,
    max_bytes: u64,
    segment_bytes: u64,
    writer: Mutex<Writer>,
    /// Held while a file that does not grow any more is changed; closing waits for it. Taken before `writer`, never after.
    changing: Mutex<()>,
    progress: watch::Sender<Progress>,
}

impl Journal {
    /// Opens the journal of a new incarnation, beside what the ones before left, and starts the syncing thread.
    pub(crate) fn open(
        directory: &Path,
        instance: InstanceId,
        incarnation: u64,
        max_bytes: u64,
    ) -> Result<Self, JournalError> {
        fs::create_dir_all(directory)?;
        let mut segments = recover::list(directory)?;
        let live = SegmentId {
            incarnation,
            first: 0,
        };
        let chain = Chain::begin(instance, incarnation);
        let (file, length) = segment::create(directory, live, chain)?;
        segments.insert(
            live,
            SegmentState {
                bytes: length,
                end: Some(0),
            },
        );
        sync_directory(directory)?;
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            instance,
            max_bytes,
            segment_bytes: SEGMENT_BYTES_MAX.min(max_bytes / SEGMENTS_MIN),
            writer: Mutex::new(Writer::new(segments, live, file, chain)),
            changing: Mutex::default(),
            progress: watch::Sender::default(),
        });
        let sync = SyncThread::start(Arc::clone(&shared))?;
        Ok(Self {
            shared,
            sync,
            incarnation,
        })
    }

    /// Writes a record down and gives its sequence. It survives the death of this process from here on.
    pub(crate) fn append(&self, record: &Record) -> Result<u64, JournalError> {
        let payload = record.encode();
        let limit = match record {
            Record::Decision(_) => self.shared.max_bytes - self.shared.max_bytes / OUTCOME_RESERVE,
            Record::Outcome(_) | Record::SliceClosed(_) => self.shared.max_bytes,
        };
        let mut writer = self.shared.lock()?;
        let sequence = writer.append(&self.shared, &payload, limit)?;
        // Under the lock, so that progress never goes back. Nobody waits for it: records are waited for when they are durable.
        self.shared.progress.send_if_modified(|progress| {
            progress.appended = sequence + 1;
            false
        });
        Ok(sequence)
    }

    /// Whether a decision of ordinary size would still be taken: asked before something that can't be undone.
    pub(crate) fn has_room(&self, record_bytes: u64) -> bool {
        let limit = self.shared.max_bytes - self.shared.max_bytes / OUTCOME_RESERVE;
        self.shared
            .lock()
            .is_ok_and(|writer| writer.bytes.saturating_add(record_bytes) <= limit)
    }

    /// Resolves when the record of this sequence, and all before it, survive power loss.
    pub(crate) async fn sync(&self, sequence: u64) -> Result<(), JournalError> {
        let mut progress = self.shared.progress.subscribe();
        self.sync.ask();
        let reached = progress
            .wait_for(|progress| progress.failed || progress.synced > sequence)
            .await;
        // The sender lives in `shared`, which `self` keeps.
        let reached = reached.map_err(|_| JournalError::Failed)?;
        if reached.synced > sequence {
            Ok(())
        } else {
            Err(JournalError::Failed)
        }
    }

    /// Takes nothing and changes nothing from here on: whoever still holds a gate is denied, an uploader that still runs
    /// deletes no more, and the directory can be given up.
    pub(crate) fn close(&self) {
        let _changed = self.shared.changing.lock();
        if let Ok(mut writer) = self.shared.writer.lock() {
            writer.closed = true;
        }
    }

    /// Which opening the live records belong to.
    pub(crate) const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Follows how far the live incarnation has come.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.subscribe()
    }

    /// The incarnations that have records on disk, oldest first, the live one last.
    pub(crate) fn incarnations(&self) -> Vec<u64> {
        let Ok(writer) = self.shared.lock() else {
            return vec![self.incarnation];
        };
        let mut found: Vec<u64> = writer.segments.keys().map(|id| id.incarnation).collect();
        found.dedup();
        found
    }

    /// Where the records of an incarnation end: the sequence after the last. An old one is [examined](Self::examine) before.
    pub(crate) fn end_of(&self, incarnation: u64) -> u64 {
        if incarnation == self.incarnation {
            return self.shared.progress.borrow().appended;
        }
        let Ok(writer) = self.shared.lock() else { return 0 };
        let ends = writer
            .segments_of(incarnation)
            .filter_map(|(_, segment)| segment.end);
        ends.max().unwrap_or_default()
    }

    /// Where the records end that may leave this machine: of the live incarnation those that survive power loss.
    ///
    /// What the control plane has must never be more than what this disk will have after any end, so that "it has more" is
    /// always a fork. An old incarnation is [examined](Self::examine) before.
    pub(crate) fn durable_end_of(&self, incarnation: u64) -> u64 {
        if incarnation == self.incarnation {
            return self.shared.progress.borrow().synced;
        }
        self.end_of(incarnation)
    }

    /// Reads an old incarnation whole, heals it and makes it durable: a process that was killed may have left a torn record,
    /// and others unsynced. Before this nothing is known of it but that it is there; after the first time it costs nothing.
    pub(crate) fn examine(&self, incarnation: u64) -> Result<(), JournalError> {
        recover::examine(&self.shared, incarnation)
    }

    /// Of all incarnations from this one to the one before `incarnation`, every record that the disk ever had went home. None of
    /// them is [examined](Self::examine) by this.
    pub(crate) fn home_since(&self, incarnation: u64) -> Result<u64, JournalError> {
        let waiting = self.incarnations();
        let waiting = waiting.into_iter().rfind(|waiting| *waiting < incarnation);
        let damaged = recover::newest_damaged(&self.shared.directory)?;
        Ok(waiting.max(damaged).map_or(0, |last| last + 1))
    }

    /// Has what was appended made durable soon, without waiting for it.
    pub(crate) fn ask_for_sync(&self) {
        self.sync.ask();
    }

    /// How many bytes are on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.writer.lock().map_or(0, |writer| writer.bytes)
    }

    /// Reads an incarnation from this sequence on.
    pub(crate) fn cursor(&self, incarnation: u64, from: u64) -> Result<Cursor, CursorError> {
        Cursor::open(&self.shared, incarnation, from)
    }

    /// Deletes the segments all of whose records the control plane has: those before `next_sequence`.
    pub(crate) fn acked(&self, incarnation: u64, next_sequence: u64) -> Result<(), JournalError> {
        let done = self.shared.ended(incarnation, |segment| {
            segment.end.is_some_and(|end| end <= next_sequence)
        })?;
        self.shared.remove(&done, |id| {
            fs::remove_file(self.shared.directory.join(id.file_name()))
        })
    }

    /// Takes an incarnation out of the journal and keeps its files for people: the control plane tells another story of it.
    pub(crate) fn set_aside(&self, incarnation: u64) -> Result<(), JournalError> {
        let of_it = self.shared.ended(incarnation, |_| true)?;
        self.shared.remove(&of_it, |id| {
            segment::set_aside(&self.shared.directory, id, "forked")
        })
    }
}

impl Shared {
    fn lock(&self) -> Result<MutexGuard<'_, Writer>, JournalError> {
        // A thread that died inside left a state nobody knows.
        self.writer.lock().map_err(|_| JournalError::Failed)
    }

    /// Nothing is taken from here on.
    fn fail(&self) {
        if let Ok(mut writer) = self.writer.lock() {
            writer.failed = true;
        }
        self.progress.send_modify(|progress| progress.failed = true);
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
