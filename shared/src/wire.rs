//! The contract's messages to and from domain types. Wire types end here: a handler parses first and encodes last.

mod approver;
mod decision;
mod hold;
mod ledger;
mod revocation;
mod roster;
mod standing;
mod task;

use thiserror::Error;

use crate::action::InvalidSha256;
use crate::id::InvalidId;
use crate::identity::{InvalidSpiffeId, SpiffeId};
use crate::label::InvalidLabel;
use crate::ledger::InvalidAmount;
use crate::policy::InvalidTeam;
pub use ledger::{
    amounts_from_wire, amounts_to_wire, fingerprints_from_wire, fingerprints_to_wire, labels_from_wire,
    reversibility_from_wire, reversibility_to_wire,
};

/// A message that parsed as protobuf and does not mean anything.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidMessage {
    /// A field that must be set is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// An enum has a value this version does not know.
    #[error("`{field}` has the unknown value {value}")]
    UnknownValue {
        /// Which field.
        field: &'static str,
        /// What it held.
        value: String,
    },
    /// A record format this version does not read.
    #[error("records of format {0} are not readable by this version")]
    Format(u32),
    /// An id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// An identity.
    #[error(transparent)]
    SpiffeId(#[from] InvalidSpiffeId),
    /// A digest.
    #[error(transparent)]
    Sha256(#[from] InvalidSha256),
    /// A list that is longer than it may be.
    #[error("`{field}` has more than {max} entries")]
    TooMany {
        /// Which.
        field: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// The name of a team.
    #[error(transparent)]
    Team(#[from] InvalidTeam),
    /// An amount.
    #[error(transparent)]
    Amount(#[from] InvalidAmount),
    /// A label.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// Text that is not UTF-8.
    #[error("`{0}` is not UTF-8 text")]
    Text(&'static str),
}

pub use standing::bounds_to_wire;

pub(crate) fn ids(agents: &[SpiffeId]) -> Vec<String> {
    agents.iter().map(ToString::to_string).collect()
}

pub(crate) fn parsed_ids(agents: &[String]) -> Result<Vec<SpiffeId>, InvalidMessage> {
    Ok(agents
        .iter()
        .map(|agent| agent.parse())
        .collect::<Result<_, _>>()?)
}

fn text(field: &'static str, bytes: &[u8]) -> Result<String, InvalidMessage> {
    std::str::from_utf8(bytes)
        .map(ToOwned::to_owned)
        .map_err(|_| InvalidMessage::Text(field))
}

fn optional<T: std::str::FromStr<Err = InvalidId>>(id: &str) -> Result<Option<T>, InvalidMessage> {
    if id.is_empty() {
        Ok(None)
    } else {
        Ok(Some(id.parse()?))
    }
}

fn or_empty<T: ToString>(id: Option<T>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
