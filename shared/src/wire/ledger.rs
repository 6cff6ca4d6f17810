//! The ledger of a task, to and from the wire.

use std::collections::{BTreeMap, BTreeSet};

use checkrein_proto::task::v1 as wire;

use super::InvalidMessage;
use crate::label::Label;
use crate::ledger::{LEDGER_LABELS_MAX, LEDGER_TOOLS_MAX, Ledger, Use};
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
        })
    }
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
