//! Releases, labels and ledgers on the wire.

use std::collections::BTreeSet;

use checkrein_proto::task::v1 as wire;
use checkrein_shared::id::InstanceId;
use checkrein_shared::label::Label;
use checkrein_shared::ledger::{ARGUMENT_VALUES_MAX, CameFrom, Fingerprint, LEDGER_LABELS_MAX, Ledger, Seen};
use checkrein_shared::wire::{amounts_from_wire, fingerprints_from_wire, labels_from_wire};
use tonic::Status;
use uuid::Uuid;

use super::parse_id;
use crate::api::{bad_field, class_or_worst, proof_id, stored_text, text};
use crate::task::ledger::TOOL_BYTES_MAX;
use crate::task::{Carried, Confirm, Counted, Note, Release, Source, Spending};

pub(super) fn parse_confirm(enforcer: &str, request: wire::ConfirmRequest) -> Result<Confirm, Status> {
    stored_text("tool", &request.tool, TOOL_BYTES_MAX)?;
    let cost = amounts_from_wire(&request.cost).map_err(|error| bad_field("cost", error.to_string()))?;
    let instance = match &*request.instance_id {
        "" if cost.is_empty() && request.slice_id.is_empty() => InstanceId::from_uuid(Uuid::nil()),
        id => id
            .parse()
            .map_err(|error| bad_field("instance_id", format!("{error}")))?,
    };
    let slice = match &*request.slice_id {
        "" => None,
        id => Some(
            id.parse()
                .map_err(|error| bad_field("slice_id", format!("{error}")))?,
        ),
    };
    if request.tool.is_empty() && !(cost.is_empty() && slice.is_none()) {
        return Err(bad_field("tool", "say which tool costs it"));
    }
    let spending = Spending {
        cost,
        tool: request.tool.clone(),
        enforcer: enforcer.to_owned(),
        instance,
        incarnation: request.incarnation,
    };
    let counted = match request.tool {
        tool if tool.is_empty() => None,
        tool => Some(Counted {
            tool,
            reversibility: class_or_worst(request.reversibility)?,
        }),
    };
    let release = match &*request.use_id {
        "" => None,
        id => Some(Release {
            id: id.parse().map_err(|_| bad_field("use_id", "not a UUID"))?,
            proof: proof_id(&request.proof_id)?,
            counted,
            spending,
            slice,
        }),
    };
    Ok(Confirm {
        asked: parse_asked(request.asked)?,
        task: parse_id(&request.task_id)?,
        presented: request.presented,
        generation: request.generation,
        release,
    })
}

fn parse_asked(asked: Option<wire::AskedValues>) -> Result<Vec<Fingerprint>, Status> {
    let asked = asked.unwrap_or_default();
    fingerprints_from_wire(&asked.fingerprints, ARGUMENT_VALUES_MAX)
        .map_err(|error| bad_field("asked", error.to_string()))
}

/// Where values came from; absent, if nothing was asked.
pub(super) fn encode_known(from: &[CameFrom]) -> Option<wire::KnownValues> {
    (!from.is_empty()).then(|| wire::KnownValues {
        from: from.iter().map(|from| from.bits().into()).collect(),
    })
}

pub(super) fn parse_note(request: wire::NoteRequest) -> Result<Note, Status> {
    let source = match request.source() {
        wire::LabelSource::Call => Source::Call,
        wire::LabelSource::Result => Source::Result,
        wire::LabelSource::Unspecified if request.labels.is_empty() => Source::Call,
        wire::LabelSource::Unspecified => {
            return Err(bad_field(
                "source",
                "say whether the call or its result told the labels",
            ));
        }
    };
    let labels = labels_from_wire(&request.labels, LEDGER_LABELS_MAX);
    let labels = labels.map_err(|error| bad_field("labels", error.to_string()))?;
    stored_text("tool", &request.tool, TOOL_BYTES_MAX)?;
    let decision = match &*request.decision_id {
        "" if labels.is_empty() => None,
        id => Some(
            id.parse()
                .map_err(|error| bad_field("decision_id", format!("{error}")))?,
        ),
    };
    if !labels.is_empty() && request.tool.is_empty() {
        return Err(bad_field("tool", "say which tool brings the labels"));
    }
    let seen = request.seen.as_ref().map(Seen::from_wire).transpose();
    Ok(Note {
        seen: seen.map_err(|error| bad_field("seen", error.to_string()))?,
        asked: parse_asked(request.asked)?,
        task: parse_id(&request.task_id)?,
        presented: request.presented,
        labels,
        decision,
        tool: request.tool,
        source,
    })
}

/// What shall be lifted, and why.
pub(super) fn parse_declassify(request: &wire::DeclassifyRequest) -> Result<(BTreeSet<Label>, &str), Status> {
    let labels = labels_from_wire(&request.labels, LEDGER_LABELS_MAX);
    let labels = labels.map_err(|error| bad_field("labels", error.to_string()))?;
    if labels.is_empty() {
        return Err(bad_field(
            "labels",
            "say which labels the task shall carry no more",
        ));
    }
    let reason = text("reason", &request.reason)?;
    if reason.trim().is_empty() {
        return Err(bad_field(
            "reason",
            "say why the task may go on as if it had not read that",
        ));
    }
    Ok((labels, reason))
}

/// The task with what it has done.
pub(super) fn with_ledger(mut shown: wire::Task, ledger: &Ledger, carried: &[Carried]) -> wire::Task {
    shown.ledger = Some(ledger.into());
    shown.labels = carried.iter().map(Into::into).collect();
    shown
}

impl From<&Carried> for wire::TaskLabel {
    fn from(carried: &Carried) -> Self {
        let source = match carried.source {
            Source::Call => wire::LabelSource::Call,
            Source::Result => wire::LabelSource::Result,
        };
        Self {
            label: carried.label.to_string(),
            source: source.into(),
            decision_id: carried.decision.to_string(),
            tool: carried.tool.clone(),
            agent: carried.agent.to_string(),
            enforcer: carried.enforcer.clone(),
            added_unix_ms: carried.added_ms,
        }
    }
}
