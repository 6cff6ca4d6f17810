//! The ledger of a task, to and from the wire.

use std::collections::{BTreeMap, BTreeSet};

use checkrein_proto::task::v1 as wire;

use super::InvalidMessage;
use crate::label::Label;
use crate::ledger::{
    Amounts, Fingerprint, LEDGER_LABELS_MAX, LEDGER_TOOLS_MAX, Ledger, Meter, Pedigree, RESULT_VALUES_MAX,
    Seen, Trust, Use,
};
use crate::policy::Reversibility;

impl From<&Ledger> for wire::Ledger {
    fn from(ledger: &Ledger) -> Self {
        let used = |(tool, used): (&String, &Use)| wire::UsedTool {
            tool: tool.clone(),
            times: used.times,
            last_used_unix_ms: used.last_ms,
        };
        Self {
            revision: ledger.revision,
            labels: ledger.labels.iter().map(ToString::to_string).collect(),
            calls: ledger.calls,
            used: ledger.used.iter().map(used).collect(),
            reversibility: reversibility_to_wire(ledger.reversibility),
            values_lost: ledger.values_lost,
            spent: amounts_to_wire(&ledger.spent),
        }
    }
}

impl TryFrom<wire::Ledger> for Ledger {
    type Error = InvalidMessage;

    fn try_from(ledger: wire::Ledger) -> Result<Self, InvalidMessage> {
        too_many("used", ledger.used.len(), LEDGER_TOOLS_MAX)?;
        let used = |used: wire::UsedTool| {
            let of_tool = Use {
                times: used.times,
                last_ms: used.last_used_unix_ms,
            };
            (used.tool, of_tool)
        };
        Ok(Self {
            revision: ledger.revision,
            labels: labels_from_wire(&ledger.labels, LEDGER_LABELS_MAX)?,
            calls: ledger.calls,
            used: ledger.used.into_iter().map(used).collect::<BTreeMap<_, _>>(),
            reversibility: reversibility_from_wire(ledger.reversibility)?,
            values_lost: ledger.values_lost,
            spent: amounts_from_wire(&ledger.spent)?,
        })
    }
}

impl From<&Pedigree> for wire::Pedigree {
    fn from(pedigree: &Pedigree) -> Self {
        Self {
            trusted: pedigree.trusted.iter().cloned().collect(),
            untrusted: pedigree.untrusted.iter().cloned().collect(),
            lost: pedigree.lost,
        }
    }
}

impl From<wire::Pedigree> for Pedigree {
    fn from(pedigree: wire::Pedigree) -> Self {
        Self {
            trusted: pedigree.trusted.into_iter().collect(),
            untrusted: pedigree.untrusted.into_iter().collect(),
            lost: pedigree.lost,
        }
    }
}

impl Seen {
    /// As it is sent.
    pub fn to_wire(&self) -> wire::SeenValues {
        wire::SeenValues {
            trusted: self.trust == Trust::Trusted,
            fingerprints: fingerprints_to_wire(&self.values),
            lost: self.lost,
        }
    }

    /// As it came.
    pub fn from_wire(seen: &wire::SeenValues) -> Result<Self, InvalidMessage> {
        Ok(Self {
            trust: if seen.trusted {
                Trust::Trusted
            } else {
                Trust::Untrusted
            },
            values: fingerprints_from_wire(&seen.fingerprints, RESULT_VALUES_MAX)?,
            lost: seen.lost,
        })
    }
}

/// Fingerprints, as they are sent.
pub fn fingerprints_to_wire(values: &[Fingerprint]) -> Vec<bytes::Bytes> {
    values
        .iter()
        .map(|value| bytes::Bytes::copy_from_slice(&value.0))
        .collect()
}

/// At most so many, each of its length.
pub fn fingerprints_from_wire(
    values: &[bytes::Bytes],
    max: usize,
) -> Result<Vec<Fingerprint>, InvalidMessage> {
    too_many("fingerprints", values.len(), max)?;
    let fingerprint = |value: &bytes::Bytes| {
        let bytes = <[u8; 12]>::try_from(&**value);
        bytes
            .map(Fingerprint)
            .map_err(|_| InvalidMessage::Missing("the 12 bytes of a fingerprint"))
    };
    values.iter().map(fingerprint).collect()
}

/// Those that are said, in the order of meters.
pub fn amounts_to_wire(amounts: &Amounts) -> Vec<wire::Amount> {
    let amount = |(meter, amount): (Meter, u64)| wire::Amount {
        meter: meter.as_str().to_owned(),
        amount: meter.text(amount),
    };
    amounts.iter().map(amount).collect()
}

/// Amounts in any order, each meter once.
pub fn amounts_from_wire(amounts: &[wire::Amount]) -> Result<Amounts, InvalidMessage> {
    Ok(Amounts::parse(
        amounts.iter().map(|said| (&*said.meter, &*said.amount)),
    )?)
}

/// Labels in any order, at most so many.
pub fn labels_from_wire(labels: &[String], max: usize) -> Result<BTreeSet<Label>, InvalidMessage> {
    too_many("labels", labels.len(), max)?;
    Ok(labels
        .iter()
        .map(|label| label.parse())
        .collect::<Result<_, _>>()?)
}

/// One more than its rank; 0: none.
pub fn reversibility_to_wire(class: Option<Reversibility>) -> u32 {
    class.map_or(0, |class| u32::from(class.rank()) + 1)
}

/// The class of this number, if there is one.
pub fn reversibility_from_wire(class: u32) -> Result<Option<Reversibility>, InvalidMessage> {
    let unknown = || InvalidMessage::UnknownValue {
        field: "reversibility",
        value: class.to_string(),
    };
    match class.checked_sub(1) {
        None => Ok(None),
        Some(rank) => Reversibility::ranked(rank).map(Some).ok_or_else(unknown),
    }
}

fn too_many(field: &'static str, length: usize, max: usize) -> Result<(), InvalidMessage> {
    if length > max {
        return Err(InvalidMessage::TooMany { field, max });
    }
    Ok(())
}
