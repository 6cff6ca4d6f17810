//! Files that do not grow any more: deleted once they are acked, set aside when they are forked, healed before they are drained.
//!
//! **Invariant**: none of them is touched once the journal is closed, and none while the lock that deciding takes is held.

use std::io;

use tracing::warn;

use super::segment::{SegmentId, SegmentState};
use super::{JournalError, Shared};

impl Shared {
    /// The segments of an incarnation that satisfy and do not grow any more.
    pub(super) fn ended(
        &self,
        incarnation: u64,
        satisfies: impl Fn(&SegmentState) -> bool,
    ) -> Result<Vec<SegmentId>, JournalError> {
        let writer = self.lock()?;
        let of_it = writer.segments_of(incarnation);
        let found = of_it.filter(|(id, segment)| **id != writer.live && satisfies(segment));
        Ok(found.map(|(id, _)| *id).collect())
    }

    /// Takes segments out of the journal, each when its file is gone.
    pub(super) fn remove(
        &self,
        ids: &[SegmentId],
        from_disk: impl Fn(SegmentId) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        for id in ids {
            self.change(|| match from_disk(*id) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    warn!(
                        segment = id.file_name(),
                        "a journal segment was gone before it was removed"
                    );
                    Ok(())
                }
                removed => removed,
            })?;
            self.lock()?.learn(*id, None);
        }
        Ok(())
    }

    /// Changes a file, unless the journal was closed: it may be a successor's by then.
    pub(super) fn change<T>(&self, change: impl FnOnce() -> io::Result<T>) -> Result<T, JournalError> {
        let _closing_waits = self.changing.lock().map_err(|_| JournalError::Failed)?;
        if self.lock()?.closed {
            return Err(JournalError::Closed);
        }
        Ok(change()?)
    }
}
