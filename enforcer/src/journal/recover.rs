//! What the incarnations before left: a torn tail is cut, damage is set aside for people, and neither stops the start.
//!
//! Opening only looks which files there are, so that the gate opens as fast with a full journal as with an empty one. An
//! incarnation is read whole when it is about to be drained.
//!
//! **Invariant**: after an incarnation was examined every segment of it that is left reads whole, continues the one before it
//! (the first begins its chain), and survives power loss.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::path::Path;

use checkrein_shared::decision::Chain;
use tracing::{error, warn};

use super::frame::{self, Found};
use super::segment::{self, HEAD_BYTES, SegmentId, SegmentState};
use super::{JournalError, Shared};
use crate::directory::sync_directory;

/// How one segment reads.
enum Scan {
    /// There is no file.
    Gone,
    /// It ends inside its head.
    Headless,
    /// It can't be used, for this.
    Unusable(&'static str),
    /// It begins well.
    Read(Good),
}

/// What is good of a segment.
struct Good {
    /// Bytes up to the last good record.
    bytes: u64,
    /// The chain there.
    end: Chain,
    flaw: Flaw,
}

#[derive(Clone, Copy)]
enum Flaw {
    None,
    Torn,
    Corrupt,
}

/// Every segment of a directory that may hold records. Nothing is read.
pub(super) fn list(directory: &Path) -> io::Result<BTreeMap<SegmentId, SegmentState>> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(SegmentId::parse) else {
            continue;
        };
        let bytes = entry.metadata()?.len();
        if bytes <= HEAD_BYTES as u64 {
            // Made, and nothing was written to it: runs that decide nothing must not pile up files.
            fs::remove_file(entry.path())?;
            continue;
        }
        segments.insert(id, SegmentState { bytes, end: None });
    }
    Ok(segments)
}

/// The newest incarnation of which something was set aside for people.
pub(super) fn newest_damaged(directory: &Path) -> io::Result<Option<u64>> {
    let mut newest = None;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let aside = name.to_str().and_then(segment::parse_aside);
        newest = newest.max(aside.map(|id| id.incarnation));
    }
    Ok(newest)
}

/// Reads the segments of an incarnation, heals them, makes them durable, and learns where they end; once.
pub(super) fn examine(shared: &Shared, incarnation: u64) -> Result<(), JournalError> {
    let directory = &*shared.directory;
    if shared
        .ended(incarnation, |segment| segment.end.is_none())?
        .is_empty()
    {
        return Ok(());
    }
    let mut before: Option<Chain> = None;
    for id in shared.ended(incarnation, |_| true)? {
        let begins = (id.first == 0).then(|| Chain::begin(shared.instance, incarnation));
        let scan = scan(directory, id, before.or(begins))?;
        let state = shared.change(|| heal(directory, id, &scan))?;
        if state.is_some() {
            File::open(directory.join(id.file_name()))?.sync_data()?;
        }
        if let Scan::Read(good) = scan {
            before = Some(good.end);
        }
        shared.lock()?.learn(id, state);
    }
    Ok(sync_directory(directory)?)
}

/// Reads a segment to its end or its first flaw.
fn scan(directory: &Path, id: SegmentId, expected: Option<Chain>) -> io::Result<Scan> {
    let mut file = match File::open(directory.join(id.file_name())) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Scan::Gone),
        Err(error) => return Err(error),
    };
    let Some(mut chain) = segment::read_head(&mut file, id)? else {
        return Ok(if file.get_ref().metadata()?.len() <= HEAD_BYTES as u64 {
            Scan::Headless
        } else {
            Scan::Unusable("has a damaged head")
        });
    };
    if expected.is_some_and(|expected| expected != chain) {
        return Ok(Scan::Unusable(
            "does not continue the one before it, or begins another journal",
        ));
    }
    let mut bytes = HEAD_BYTES as u64;
    let flaw = loop {
        match frame::read(&mut file, chain)? {
            Found::Record(payload, after) => {
                bytes += (frame::HEAD_BYTES + payload.len()) as u64;
                chain = after;
            }
            Found::End => break Flaw::None,
            Found::Torn => break Flaw::Torn,
            Found::Corrupt => break Flaw::Corrupt,
        }
    };
    Ok(Scan::Read(Good {
        bytes,
        end: chain,
        flaw,
    }))
}

/// Gets what can't be used out of the way; gives what is left, if anything is.
fn heal(directory: &Path, id: SegmentId, scan: &Scan) -> io::Result<Option<SegmentState>> {
    let path = directory.join(id.file_name());
    let good = match scan {
        Scan::Read(good) => good,
        Scan::Gone => {
            warn!(segment = %path.display(), "a journal segment was removed by somebody");
            return Ok(None);
        }
        Scan::Headless => {
            warn!(segment = %path.display(), "a segment was cut off while it was made; nothing was in it");
            return fs::remove_file(path).map(|()| None);
        }
        Scan::Unusable(why) => {
            error!(segment = %path.display(), why, "a journal segment can't be used and is set aside");
            return segment::set_aside(directory, id, "corrupt").map(|()| None);
        }
    };
    cut(directory, id, good)?;
    if good.end.next_sequence == id.first {
        return fs::remove_file(path).map(|()| None);
    }
    Ok(Some(SegmentState {
        bytes: good.bytes,
        end: Some(good.end.next_sequence),
    }))
}

/// Cuts a segment after its last good record; what is cut from the middle is kept beside it.
fn cut(directory: &Path, id: SegmentId, good: &Good) -> io::Result<()> {
    let path = directory.join(id.file_name());
    let records = good.end.next_sequence - id.first;
    match good.flaw {
        Flaw::None => return Ok(()),
        Flaw::Torn => {
            warn!(segment = %path.display(), records, "the last record of a segment is incomplete and is cut off");
        }
        Flaw::Corrupt => {
            error!(segment = %path.display(), records, "a journal segment is damaged in the middle; what follows is set aside");
            fs::copy(&path, directory.join(format!("{}.corrupt", id.file_name())))?;
        }
    }
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(good.bytes)?;
    file.sync_all()
}
