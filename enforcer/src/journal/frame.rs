//! How one record stands in a file: `[length: u32][first 4 bytes of the chain after it][payload]`, little endian.
//!
//! The chain is the checksum: it covers the record and everything before it, and costs nothing, as it is computed anyway.

use std::io::{self, Read};

use checkrein_shared::decision::Chain;

/// A record may have at most this many bytes: arguments at their bound, masked, with room for the rest.
pub(super) const PAYLOAD_BYTES_MAX: usize = 4 << 20;
pub(super) const HEAD_BYTES: usize = 8;

/// What a reader finds at a place.
#[derive(Debug)]
pub(super) enum Found {
    /// A record that continues the chain.
    Record(Vec<u8>, Chain),
    /// The end of the file, where a record would begin.
    End,
    /// The file ends inside a record, or in zeros the file system left.
    Torn,
    /// Bytes that are no record.
    Corrupt,
}

/// The bytes of a record that leads to `after`; none if it is too long.
pub(super) fn encode(payload: &[u8], after: &Chain) -> Option<Vec<u8>> {
    if payload.is_empty() || payload.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let length = u32::try_from(payload.len()).ok()?;
    let mut frame = Vec::with_capacity(HEAD_BYTES + payload.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&after.hash.0[..4]);
    frame.extend_from_slice(payload);
    Some(frame)
}

/// Reads the record that follows `before`.
pub(super) fn read(from: &mut impl Read, before: Chain) -> io::Result<Found> {
    let mut head = [0; HEAD_BYTES];
    match read_fully(from, &mut head)? {
        0 => return Ok(Found::End),
        HEAD_BYTES => {}
        _ => return Ok(Found::Torn),
    }
    let [l0, l1, l2, l3, check @ ..] = head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length == 0 {
        return rest_is_zeros(from).map(|zeros| if zeros { Found::Torn } else { Found::Corrupt });
    }
    if length > PAYLOAD_BYTES_MAX {
        return Ok(Found::Corrupt);
    }
    let mut payload = vec![0; length];
    if read_fully(from, &mut payload)? < length {
        return Ok(Found::Torn);
    }
    let after = before.extend(&payload);
    if after.hash.0[..4] == check {
        return Ok(Found::Record(payload, after));
    }
    // The last record of a file may have been torn inside: its length is there, its last pages are not.
    rest_is_zeros(from).map(|at_end| if at_end { Found::Torn } else { Found::Corrupt })
}

fn read_fully(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn rest_is_zeros(from: &mut impl Read) -> io::Result<bool> {
    let mut piece = [0; 4096];
    loop {
        match read_fully(from, &mut piece)? {
            0 => return Ok(true),
            read if piece[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}
