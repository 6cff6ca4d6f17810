//! What the incarnations before left: a torn tail is cut, damage is set aside for people, and neither stops the start.
//!
//! **Invariant**: after recovery every segment that is left reads whole and continues the one before it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::path::Path;

use checkrein_shared::decision::Chain;
use tracing::{error, warn};

use super::frame::{self, Found};
use super::segment::{self, HEAD_BYTES, SegmentId, SegmentState};

/// How one segment reads.
struct Scan {
    /// Bytes up to the last good record.
    good_bytes: u64,
    /// The chain there.
    end: Chain,
    flaw: Flaw,
}

enum Flaw {
    None,
    Torn,
    Corrupt,
}

/// Reads every segment of a directory, heals them, and says what is there to be drained.
pub(super) fn recover(directory: &Path) -> io::Result<BTreeMap<SegmentId, SegmentState>> {
    let mut segments = BTreeMap::new();
    let mut before: Option<(u64, Chain)> = None;
    for id in list(directory)? {
        let expected = before
            .filter(|(incarnation, _)| *incarnation == id.incarnation)
            .map(|(_, chain)| chain);
        let Some(scan) = scan(directory, id, expected)? else {
            continue;
        };
        heal(directory, id, &scan)?;
        before = Some((id.incarnation, scan.end));
        if scan.end.next_sequence == id.first {
            fs::remove_file(directory.join(id.file_name()))?;
            continue;
        }
        segments.insert(
            id,
            SegmentState {
                bytes: scan.good_bytes,
                end: scan.end.next_sequence,
            },
        );
    }
    Ok(segments)
}

fn list(directory: &Path) -> io::Result<Vec<SegmentId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        found.extend(entry?.file_name().to_str().and_then(SegmentId::parse));
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads a segment to its end or its first flaw; none if it could not be used at all and is out of the way.
fn scan(directory: &Path, id: SegmentId, expected: Option<Chain>) -> io::Result<Option<Scan>> {
    let path = directory.join(id.file_name());
    let mut file = BufReader::new(File::open(&path)?);
    let Some(mut chain) = segment::read_head(&mut file, id)? else {
        if file.get_ref().metadata()?.len() <= HEAD_BYTES as u64 {
            warn!(segment = %path.display(), "a segment was cut off while it was made; nothing was in it");
            fs::remove_file(path)?;
        } else {
            error!(segment = %path.display(), "a journal segment has a damaged head and is set aside");
            segment::set_aside(directory, id, "corrupt")?;
        }
        return Ok(None);
    };
    if expected.is_some_and(|expected| expected != chain) {
        error!(segment = %path.display(), "a journal segment does not continue the one before it and is set aside");
        segment::set_aside(directory, id, "corrupt")?;
        return Ok(None);
    }
    let mut good_bytes = HEAD_BYTES as u64;
    let flaw = loop {
        match frame::read(&mut file, chain)? {
            Found::Record(payload, after) => {
                good_bytes += (frame::HEAD_BYTES + payload.len()) as u64;
                chain = after;
            }
            Found::End => break Flaw::None,
            Found::Torn => break Flaw::Torn,
            Found::Corrupt => break Flaw::Corrupt,
        }
    };
    Ok(Some(Scan {
        good_bytes,
        end: chain,
        flaw,
    }))
}

/// Cuts a segment after its last good record; what is cut from the middle is kept beside it.
fn heal(directory: &Path, id: SegmentId, scan: &Scan) -> io::Result<()> {
    let path = directory.join(id.file_name());
    let records = scan.end.next_sequence - id.first;
    match scan.flaw {
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
    file.set_len(scan.good_bytes)?;
    file.sync_all()
}
