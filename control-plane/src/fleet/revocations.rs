//! The revocation log as an enforcer is told of it: pure, so that it can be tested without a stream.
//!
//! **Invariant**: the messages join without a gap from where the enforcer is to where the log is, whatever was forgotten
//! between, and none is larger than an enforcer decodes.

use checkrein_proto::fleet::v1 as wire;

use crate::task::RevocationLog;

/// Entries of one message: some hundred KiB of the 4 MiB an enforcer decodes.
const ENTRIES_MAX: usize = 4_096;

/// What to send to an enforcer that knows everything up to `known`; nothing, if it knows all.
pub(super) fn after(log: &RevocationLog, known: u64) -> Vec<wire::Revocations> {
    if log.sequence <= known {
        return Vec::new();
    }
    let entries: Vec<wire::Revocation> = log
        .entries
        .range(known + 1..)
        .map(|(sequence, revoked)| revoked.to_wire(*sequence))
        .collect();
    let mut previous_sequence = known;
    let mut messages: Vec<wire::Revocations> = entries
        .chunks(ENTRIES_MAX)
        .map(|chunk| {
            let message = wire::Revocations {
                previous_sequence,
                sequence: chunk.last().map_or(previous_sequence, |last| last.sequence),
                entries: chunk.to_vec(),
            };
            previous_sequence = message.sequence;
            message
        })
        .collect();
    // Numbers after the last entry that counts belong to forgotten ones: they are known, too.
    match messages.last_mut() {
        Some(last) => last.sequence = log.sequence,
        None => messages.push(wire::Revocations {
            previous_sequence,
            sequence: log.sequence,
            entries: Vec::new(),
        }),
    }
    messages
}

#[cfg(test)]
mod tests;
