//! What a ledger says, in the words in which tasks, holds and decisions show it.

use checkrein_proto::task::v1::{LabelSource, TaskLabel};
use checkrein_shared::policy::Reversibility;
use checkrein_shared::wire::reversibility_from_wire;
use serde::Serialize;

use super::output::{relative, rfc3339};

/// A label with the call that brought it.
#[derive(Debug, Serialize)]
pub(super) struct LabelView {
    pub label: String,
    source: &'static str,
    decision_id: String,
    pub tool: String,
    pub agent: String,
    enforcer: String,
    added_at: Option<String>,
}

/// Since when a label is carried, and because of what.
pub(super) fn carried(label: &TaskLabel, now_ms: u64) -> String {
    let told = match label.source() {
        LabelSource::Result => "the result of a call",
        LabelSource::Call | LabelSource::Unspecified => "a call",
    };
    format!(
        "{told} of {} by {} through {} brought {} ({})",
        label.tool,
        label.agent,
        label.enforcer,
        relative(label.added_unix_ms, now_ms),
        label.decision_id
    )
}

impl LabelView {
    pub(super) fn of(label: &TaskLabel) -> Self {
        let source = match label.source() {
            LabelSource::Unspecified => "unrecognised",
            LabelSource::Call => "call",
            LabelSource::Result => "result",
        };
        Self {
            label: label.label.clone(),
            source,
            decision_id: label.decision_id.clone(),
            tool: label.tool.clone(),
            agent: label.agent.clone(),
            enforcer: label.enforcer.clone(),
            added_at: rfc3339(label.added_unix_ms),
        }
    }
}

/// The class of this number in one word; none: there was no call.
pub(super) fn reversibility_word(class: u32) -> Option<&'static str> {
    match reversibility_from_wire(class) {
        Ok(class) => class.map(Reversibility::as_str),
        Err(_) => Some("unrecognised"),
    }
}
