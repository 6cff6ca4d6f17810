//! Releases and labels on the wire.

use checkrein_proto::task::v1 as wire;
use checkrein_shared::ledger::LEDGER_LABELS_MAX;
use checkrein_shared::wire::labels_from_wire;
use tonic::Status;

use super::parse_id;
use crate::api::{bad_field, class_or_worst, proof_id, stored_text};
use crate::task::{Confirm, Counted, Note, Release, Source};

/// The name of a tool has at most this many bytes.
const TOOL_BYTES_MAX: usize = 256;

pub(super) fn parse_confirm(request: wire::ConfirmRequest) -> Result<Confirm, Status> {
    stored_text("tool", &request.tool, TOOL_BYTES_MAX)?;
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
        }),
    };
    Ok(Confirm {
        task: parse_id(&request.task_id)?,
        presented: request.presented,
        generation: request.generation,
        release,
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
    Ok(Note {
        task: parse_id(&request.task_id)?,
        presented: request.presented,
        labels,
        decision,
        tool: request.tool,
        source,
    })
}
