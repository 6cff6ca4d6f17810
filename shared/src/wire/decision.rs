//! Records of the journal.

use std::collections::BTreeSet;

use checkrein_proto::decision::v1 as wire;
use prost::Message;

use super::{
    InvalidMessage, amounts_from_wire, amounts_to_wire, ids, labels_from_wire, optional, or_empty,
    parsed_ids, reversibility_from_wire, reversibility_to_wire, text,
};
use crate::action::{MaskedArguments, Sha256};
use crate::decision::{
    Cause, Decision, Drawn, Mode, Outcome, OutcomeResult, Record, SeenLedger, SliceClosed, Tier, Verdict,
};
use crate::id::Generation;
use crate::label::Label;
use crate::ledger::LEDGER_LABELS_MAX;
use crate::text::shown;

/// The record format this version writes.
const RECORD_FORMAT: u32 = 1;
/// Of a catalog entry, of any number of rules, and of a resource: more labels than one call ever brings.
const YIELDED_MAX: usize = 1_024;

impl Record {
    /// The bytes the chain covers.
    pub fn encode(&self) -> Vec<u8> {
        let body = match self {
            Self::Decision(decision) => wire::record::Body::Decision((&**decision).into()),
            Self::Outcome(outcome) => wire::record::Body::Outcome(outcome.into()),
            Self::SliceClosed(closed) => wire::record::Body::SliceClosed(closed.into()),
        };
        wire::Record {
            format: RECORD_FORMAT,
            body: Some(body),
        }
        .encode_to_vec()
    }

    /// Reads what [`Record::encode`] wrote: the only format so far.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidMessage> {
        let record = wire::Record::decode(bytes).map_err(|_| InvalidMessage::Missing("record"))?;
        if record.format != RECORD_FORMAT {
            return Err(InvalidMessage::Format(record.format));
        }
        match record.body.ok_or(InvalidMessage::Missing("body"))? {
            wire::record::Body::Decision(decision) => Ok(Self::Decision(Box::new(decision.try_into()?))),
            wire::record::Body::Outcome(outcome) => Ok(Self::Outcome(outcome.try_into()?)),
            wire::record::Body::SliceClosed(closed) => Ok(Self::SliceClosed(closed.try_into()?)),
        }
    }
}

impl From<&Decision> for wire::Decision {
    fn from(decision: &Decision) -> Self {
        Self {
            decision_id: decision.id.to_string(),
            decided_unix_ms: decision.decided_ms,
            agent: decision.agent.to_string(),
            agent_asserted: decision.agent_asserted,
            user: decision.user.clone(),
            task_id: or_empty(decision.task),
            grant_id: or_empty(decision.grant),
            call_id: decision.call_id.clone(),
            tool: decision.tool.clone(),
            arguments: decision.arguments.0.clone().into(),
            action_sha256: decision.action.map(Sha256::to_bytes).unwrap_or_default(),
            tier: wire::Tier::from(decision.tier).into(),
            verdict: wire::Verdict::from(decision.verdict).into(),
            cause: decision.cause.to_string(),
            reason: decision.reason.clone(),
            rules: decision.rules.clone(),
            mode: wire::Mode::from(decision.mode).into(),
            epoch: decision.epoch,
            generation: decision.generation.0,
            revocation_sequence: decision.revocation_sequence,
            policy_age_ms: decision.policy_age_ms,
            hold_id: or_empty(decision.hold),
            environment: decision.environment.clone(),
            intent: decision.intent.clone(),
            delegated_by: ids(&decision.delegated_by),
            ledger: decision.ledger.as_ref().map(|seen| wire::SeenLedger {
                revision: seen.revision,
                labels: words(&seen.labels),
            }),
            yields: words(&decision.yields),
            reversibility: reversibility_to_wire(decision.reversibility),
            release_id: or_empty(decision.release),
            drawn: decision.drawn.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<wire::Decision> for Decision {
    type Error = InvalidMessage;

    fn try_from(decision: wire::Decision) -> Result<Self, InvalidMessage> {
        let action = &decision.action_sha256;
        Ok(Self {
            tier: decision.tier().try_into()?,
            verdict: decision.verdict().try_into()?,
            mode: decision.mode().try_into()?,
            cause: cause(&decision.cause)?,
            action: if action.is_empty() {
                None
            } else {
                Some(Sha256::try_from(&**action)?)
            },
            arguments: MaskedArguments(text("arguments", &decision.arguments)?),
            id: decision.decision_id.parse()?,
            decided_ms: decision.decided_unix_ms,
            agent: decision.agent.parse()?,
            agent_asserted: decision.agent_asserted,
            user: decision.user,
            task: optional(&decision.task_id)?,
            grant: optional(&decision.grant_id)?,
            call_id: decision.call_id,
            tool: decision.tool,
            reason: decision.reason,
            rules: decision.rules,
            epoch: decision.epoch,
            generation: Generation(decision.generation),
            revocation_sequence: decision.revocation_sequence,
            policy_age_ms: decision.policy_age_ms,
            hold: optional(&decision.hold_id)?,
            environment: decision.environment,
            intent: decision.intent,
            delegated_by: parsed_ids(&decision.delegated_by)?,
            ledger: decision.ledger.as_ref().map(seen).transpose()?,
            yields: labels_from_wire(&decision.yields, YIELDED_MAX)?,
            reversibility: reversibility_from_wire(decision.reversibility)?,
            release: optional(&decision.release_id)?,
            drawn: decision.drawn.as_ref().map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<&Drawn> for wire::Drawn {
    fn from(drawn: &Drawn) -> Self {
        Self {
            slice_id: drawn.slice.to_string(),
            cost: amounts_to_wire(&drawn.cost),
        }
    }
}

impl TryFrom<&wire::Drawn> for Drawn {
    type Error = InvalidMessage;

    fn try_from(drawn: &wire::Drawn) -> Result<Self, InvalidMessage> {
        Ok(Self {
            slice: drawn.slice_id.parse()?,
            cost: amounts_from_wire(&drawn.cost)?,
        })
    }
}

impl From<&SliceClosed> for wire::SliceClosed {
    fn from(closed: &SliceClosed) -> Self {
        Self {
            slice_id: closed.slice.to_string(),
            task_id: closed.task.to_string(),
        }
    }
}

impl TryFrom<wire::SliceClosed> for SliceClosed {
    type Error = InvalidMessage;

    fn try_from(closed: wire::SliceClosed) -> Result<Self, InvalidMessage> {
        Ok(Self {
            slice: closed.slice_id.parse()?,
            task: closed.task_id.parse()?,
        })
    }
}

fn words(labels: &BTreeSet<Label>) -> Vec<String> {
    labels.iter().map(ToString::to_string).collect()
}

fn seen(ledger: &wire::SeenLedger) -> Result<SeenLedger, InvalidMessage> {
    Ok(SeenLedger {
        revision: ledger.revision,
        labels: labels_from_wire(&ledger.labels, LEDGER_LABELS_MAX)?,
    })
}

impl From<&Outcome> for wire::Outcome {
    fn from(outcome: &Outcome) -> Self {
        Self {
            decision_id: outcome.decision.to_string(),
            completed_unix_ms: outcome.completed_ms,
            result: wire::OutcomeResult::from(outcome.result).into(),
            detail: outcome.detail.clone(),
            hold_id: or_empty(outcome.hold),
            task_id: or_empty(outcome.task),
            spent: amounts_to_wire(&outcome.spent),
        }
    }
}

impl TryFrom<wire::Outcome> for Outcome {
    type Error = InvalidMessage;

    fn try_from(outcome: wire::Outcome) -> Result<Self, InvalidMessage> {
        Ok(Self {
            result: outcome.result().try_into()?,
            decision: outcome.decision_id.parse()?,
            completed_ms: outcome.completed_unix_ms,
            detail: outcome.detail,
            hold: optional(&outcome.hold_id)?,
            task: optional(&outcome.task_id)?,
            spent: amounts_from_wire(&outcome.spent)?,
        })
    }
}

fn cause(word: &str) -> Result<Cause, InvalidMessage> {
    word.parse().map_err(|_| InvalidMessage::UnknownValue {
        field: "cause",
        value: shown(word),
    })
}

/// Ties a domain enum to its wire enum, whose unspecified value means nothing.
macro_rules! same_values {
    ($domain:ident, $field:literal, $($variant:ident),+) => {
        impl From<$domain> for wire::$domain {
            fn from(value: $domain) -> Self {
                match value { $($domain::$variant => Self::$variant),+ }
            }
        }

        impl TryFrom<wire::$domain> for $domain {
            type Error = InvalidMessage;

            fn try_from(value: wire::$domain) -> Result<Self, InvalidMessage> {
                match value {
                    $(wire::$domain::$variant => Ok(Self::$variant),)+
                    wire::$domain::Unspecified => {
                        Err(InvalidMessage::UnknownValue { field: $field, value: "0".to_owned() })
                    }
                }
            }
        }
    };
}

same_values!(Verdict, "verdict", Permit, Hold, Deny);
same_values!(Tier, "tier", Static, Light, Full);
same_values!(Mode, "mode", Enforce, Observe);
same_values!(OutcomeResult, "result", Done, Failed, Unknown);
