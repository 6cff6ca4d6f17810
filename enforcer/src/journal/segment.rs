//! One file of the journal: a head that says where its chain begins, then records.
//!
//! `<incarnation>-<first sequence>.journal`; the head carries the chain before the first record, so that earlier segments
//! can be deleted and the rest still be checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use checkrein_shared::action::Sha256;
use checkrein_shared::decision::Chain;

const MAGIC: &[u8; 8] = b"chkrein1";
/// Magic, incarnation, first sequence, chain, and the first 8 bytes of the SHA-256 of all that.
pub(super) const HEAD_BYTES: usize = 8 + 8 + 8 + 32 + 8;
const EXTENSION: &str = "journal";

/// Names a segment; sorts by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentId {
    pub(super) incarnation: u64,
    /// The sequence of its first record.
    pub(super) first: u64,
}

/// What is known of a segment on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentState {
    pub(super) bytes: u64,
    /// The sequence after its last record; none until an old one was examined.
    pub(super) end: Option<u64>,
}

impl SegmentId {
    pub(super) fn file_name(self) -> String {
        format!("{:020}-{:020}.{EXTENSION}", self.incarnation, self.first)
    }

    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let (incarnation, first) = file_name
            .strip_suffix(EXTENSION)?
            .strip_suffix('.')?
            .split_once('-')?;
        Some(Self {
            incarnation: incarnation.parse().ok()?,
            first: first.parse().ok()?,
        })
    }
}

/// Makes a segment and writes its head; gives the file and its length.
pub(super) fn create(directory: &Path, id: SegmentId, before: Chain) -> io::Result<(File, u64)> {
    let path = directory.join(id.file_name());
    let mut file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    if let Err(error) = file.write_all(&head(id, before)) {
        // Leave nothing behind that the next attempt would trip over.
        drop(fs::remove_file(&path));
        return Err(error);
    }
    Ok((file, HEAD_BYTES as u64))
}

/// Reads a head: the chain before the first record; none if it is torn or is not this segment's.
pub(super) fn read_head(file: &mut impl Read, id: SegmentId) -> io::Result<Option<Chain>> {
    let mut found = [0; HEAD_BYTES];
    match file.read_exact(&mut found) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(&found[24..56]);
    let chain = Chain {
        next_sequence: id.first,
        hash: Sha256(hash),
    };
    Ok((found == head(id, chain)).then_some(chain))
}

/// The segment that a file was, before it was set aside; none, if it was not.
pub(super) fn parse_aside(file_name: &str) -> Option<SegmentId> {
    file_name
        .rsplit_once('.')
        .and_then(|(name, _)| SegmentId::parse(name))
}

/// Renames a segment so that people can look at it and the journal no longer does.
pub(super) fn set_aside(directory: &Path, id: SegmentId, why: &str) -> io::Result<()> {
    let name = id.file_name();
    fs::rename(directory.join(&name), directory.join(format!("{name}.{why}")))
}

fn head(id: SegmentId, before: Chain) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..16].copy_from_slice(&id.incarnation.to_le_bytes());
    head[16..24].copy_from_slice(&id.first.to_le_bytes());
    head[24..56].copy_from_slice(&before.hash.0);
    let check = Sha256::of(&head[..56]);
    head[56..].copy_from_slice(&check.0[..8]);
    head
}
